//! `[2c]` The distributions with a known kdump service, and the config for each.

use std::str::FromStr;

use super::Error;
use super::settings::Settings;
use super::tree::Tree;

const CONFIGURATION_TEXT: &str = include_str!("dist/kdump-loader.toml");

/// The distribution whose kdump service makes the initrd and saves the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Debian, Ubuntu: kdump-tools.
    Debian,
    /// Fedora, RHEL: kdump-utils.
    Fedora,
    /// openSUSE, SLES: kdump.
    Suse,
}

impl Distribution {
    /// The machine's distribution, from /etc/os-release (os-release(5)).
    pub fn of(tree: &Tree) -> Result<Self, Error> {
        let release = match tree.text("etc/os-release")? {
            Some(text) => text,
            None => tree.text("usr/lib/os-release")?.unwrap_or_default(),
        };
        let words = release
            .lines()
            .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")));
        let words: Vec<&str> =
            words.flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace()).collect();
        // ID, the distribution itself, comes before ID_LIKE, the distributions that it derives
        // from.
        let known = |word: &&str| Self::ALL.into_iter().find(|(_, names)| names.contains(word));
        let found = words.iter().find_map(known).map(|(distribution, _)| distribution);
        found.ok_or_else(|| Error::Distribution {
            ids: words.iter().map(|&word| word.to_owned()).collect(),
        })
    }

    /// Every distribution, and its names in os-release.
    const ALL: [(Self, &[&str]); 3] = [
        (Self::Debian, &["debian", "ubuntu"]),
        (Self::Fedora, &["fedora", "rhel", "centos"]),
        (Self::Suse, &["suse", "opensuse", "sles"]),
    ];

    /// The start of its paragraph in the config.
    const fn paragraph(self) -> &'static str {
        match self {
            Self::Debian => "# Debian",
            Self::Fedora => "# Fedora",
            Self::Suse => "# openSUSE",
        }
    }

    /// The `append` of its paragraph.
    pub fn default_append(self) -> String {
        let own = CONFIGURATION_TEXT
            .split("\n\n")
            .find(|paragraph| paragraph.starts_with(self.paragraph()))
            .unwrap_or_default();
        let value =
            own.lines().find_map(|line| line.trim_start_matches('#').strip_prefix("append = "));
        value.unwrap_or_default().trim_matches('"').to_owned()
    }

    /// The config with this distribution's keys instead of Debian's, and with the settings that are
    /// taken over.
    pub fn configuration(self, settings: &Settings) -> String {
        let paragraphs = CONFIGURATION_TEXT.split("\n\n").map(|paragraph| {
            let lines = paragraph.lines().map(|line| {
                if paragraph.starts_with(self.paragraph()) {
                    // A comment has a space after `#`, a disabled key has none.
                    line.strip_prefix('#')
                        .filter(|key| !key.starts_with(' '))
                        .unwrap_or(line)
                        .to_owned()
                } else if !line.starts_with('#')
                    && (paragraph.starts_with(Self::Debian.paragraph()) || self.has_own(line))
                {
                    format!("#{line}")
                } else {
                    line.to_owned()
                }
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        let mut text = paragraphs.collect::<Vec<_>>().join("\n\n") + "\n";
        for (key, value) in &settings.keys {
            set(&mut text, key, value);
        }
        text
    }

    /// Whether this distribution's paragraph has the key of a line.
    fn has_own(self, line: &str) -> bool {
        let Some((key, _)) = line.split_once('=') else { return false };
        let mut own = CONFIGURATION_TEXT
            .split("\n\n")
            .filter(|paragraph| paragraph.starts_with(self.paragraph()));
        own.any(|paragraph| paragraph.lines().any(|line| line.starts_with(&format!("#{key}="))))
    }
}

/// Sets a key: in its line, in place of its first disabled line, or at the end.
fn set(text: &mut String, key: &str, value: &str) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at =
        |sign: &str| lines.iter().position(|line| line.starts_with(&format!("{sign}{key} = ")));
    let setting = format!("{key} = {value} # taken over");
    match at("").or_else(|| at("#")) {
        Some(at) => lines[at] = setting,
        None => lines.push(setting),
    }
    *text = lines.join("\n") + "\n";
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "debian" => Ok(Self::Debian),
            "fedora" => Ok(Self::Fedora),
            "suse" => Ok(Self::Suse),
            _ => Err("not debian, fedora or suse".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::options::config::Config;

    #[test]
    fn config_for_debian_is_the_unchanged_file() {
        assert_eq!(Distribution::Debian.configuration(&Settings::default()), CONFIGURATION_TEXT);
    }

    #[test]
    fn every_distribution_has_its_own_keys_and_no_others() {
        let keys = |distribution: Distribution| {
            let text = distribution.configuration(&Settings::default());
            let lines: Vec<String> = text
                .lines()
                .filter(|line| !line.starts_with('#') && !line.is_empty())
                .map(Into::into)
                .collect();
            lines
        };
        let initrds = [
            (Distribution::Debian, "initrd = \"/var/lib/kdump/initrd.img-{release}\"", 4),
            (
                Distribution::Fedora,
                "initrd = [\"/boot/initramfs-{release}kdump.img\", \
                 \"/var/lib/kdump/initramfs-{release}kdump.img\"]",
                3,
            ),
            (Distribution::Suse, "initrd = \"/var/lib/kdump/initrd\"", 4),
        ];
        for (distribution, initrd, count) in initrds {
            let keys = keys(distribution);
            assert!(
                keys.contains(&initrd.to_owned()) && keys[0].starts_with("kernel = "),
                "{keys:?}"
            );
            assert_eq!(keys.len(), count, "{keys:?}");
            assert!(
                keys.iter()
                    .any(|key| key.starts_with("append = ") && key.contains("acpi_no_memhotplug")),
                "{keys:?}"
            );
        }
    }

    #[test]
    fn every_config_is_valid() {
        for distribution in [Distribution::Debian, Distribution::Fedora, Distribution::Suse] {
            let config =
                Config::parse(&distribution.configuration(&Settings::default()), "6.12.0").unwrap();
            // openSUSE's initrd matches the kernel next to it, not the running one.
            let suse = distribution == Distribution::Suse;
            let kernel = if suse { "/var/lib/kdump/kernel" } else { "/boot/vmlinuz-6.12.0" };
            assert_eq!(config.options.kernel, Path::new(kernel));
        }
        // The disabled keys are also valid.
        let disabled =
            |line: &'static str| line.strip_prefix('#').filter(|key| !key.starts_with(' '));
        let is_one_of = |line: &str, keys: &[&str]| keys.iter().any(|key| line.starts_with(key));
        // They replace the initrd.
        let (capture, others): (Vec<&str>, Vec<&str>) = CONFIGURATION_TEXT
            .lines()
            .filter_map(disabled)
            .filter(|line| !is_one_of(line, &["kernel", "initrd", "append", "reuse_cmdline"]))
            .partition(|line| is_one_of(line, &["capture", "makedumpfile", "dump_level", "keep_"]));
        let with = |lines: Vec<&str>| CONFIGURATION_TEXT.to_owned() + &lines.join("\n");
        Config::parse(&with(others), "6.12.0").unwrap();
        assert_eq!(capture.len(), 6);
        let without_initrd = with(capture).replace("\ninitrd = ", "\n#initrd = ");
        Config::parse(&without_initrd, "6.12.0").unwrap();
    }

    #[test]
    fn distribution_comes_from_os_release() {
        for (text, expected) in [
            ("ID=debian\n", Distribution::Debian),
            ("NAME=x\nID=ubuntu\nID_LIKE=debian\n", Distribution::Debian),
            ("ID=fedora\n", Distribution::Fedora),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Distribution::Fedora),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", Distribution::Suse),
            ("ID=pop\nID_LIKE=\"ubuntu debian\"\n", Distribution::Debian),
        ] {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(root.path().join("usr/lib")).unwrap();
            std::fs::create_dir_all(root.path().join("etc")).unwrap();
            std::fs::write(root.path().join("usr/lib/os-release"), text).unwrap();
            // As on every distribution.
            std::os::unix::fs::symlink("../usr/lib/os-release", root.path().join("etc/os-release"))
                .unwrap();
            assert_eq!(
                Distribution::of(&Tree::new(root.path()).unwrap()).unwrap(),
                expected,
                "{text}"
            );
        }
    }
}
