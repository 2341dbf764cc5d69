//! [2] What shall be there: the program, its units and its udev rule, which are in this program, a configuration, and the links that
//! `systemctl enable` would make of the units' [Install] sections.

use std::path::PathBuf;

use super::Error;
use super::tree::{Found, Tree};

/// Where the program goes, and the units and the rule say so.
pub const PROGRAM: &str = "usr/sbin/kdump-loader";
/// Where the configuration is.
pub const CONFIGURATION: &str = crate::config::DEFAULT;
/// Where the udev rule goes.
pub const RULE: &str = "usr/lib/udev/rules.d/40-kdump-loader.rules";
/// Where units go that do not come from the administrator.
const UNITS: &str = "usr/lib/systemd/system";
/// Where links to them go that enable them.
const ENABLED: &str = "etc/systemd/system";

/// The units: name, text, and the unit that wants it, as its own [Install] section says.
const OUR_UNITS: [(&str, &str, Option<&str>); 3] = [
    ("kdump-loader.service", include_str!("../../../dist/kdump-loader.service"), Some("multi-user.target")),
    ("kdump-loader-reload.path", include_str!("../../../dist/kdump-loader-reload.path"), Some("kdump-loader.service")),
    ("kdump-loader-reload.service", include_str!("../../../dist/kdump-loader-reload.service"), None),
];
const RULE_TEXT: &str = include_str!("../../../dist/40-kdump-loader.rules");
const CONFIGURATION_TEXT: &str = include_str!("../../../dist/kdump-loader.toml");

/// rwxr-xr-x
const EXECUTABLE: u32 = 0o755;
/// rw-r--r--
const READABLE: u32 = 0o644;

/// The program that is to be installed, as bytes.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a>(pub &'a [u8]);

/// Something that shall be at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Below the root.
    pub path: String,
    /// What shall be there.
    pub content: Content,
    /// Whether something else may be there, too: it is the administrator's then.
    pub any_will_do: bool,
}

/// A file or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file.
    File {
        /// What is in it.
        bytes: Vec<u8>,
        /// Its permissions.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// What it says.
        target: PathBuf,
    },
}

impl Item {
    fn file(path: impl Into<String>, bytes: &[u8], mode: u32) -> Self {
        Self { path: path.into(), content: Content::File { bytes: bytes.to_vec(), mode }, any_will_do: false }
    }

    /// A file that everybody may read.
    pub fn text(path: impl Into<String>, text: &str) -> Self {
        Self::file(path, text.as_bytes(), READABLE)
    }

    /// A link.
    pub fn link(path: impl Into<String>, target: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), content: Content::Link { target: target.into() }, any_will_do: false }
    }

    /// Whether this is what lies there.
    pub fn is(&self, found: &Found) -> bool {
        match (found, &self.content) {
            (Found::File { bytes, mode }, Content::File { bytes: wanted, mode: wanted_mode }) => {
                bytes == wanted && mode == wanted_mode
            }
            (Found::Link { target }, Content::Link { target: wanted }) => target == wanted,
            _ => false,
        }
    }
}

/// Everything of ours that shall be on this machine, in the order in which it is put there: what is enabled is there by then.
pub fn items(tree: &Tree, program: Program<'_>) -> Result<Vec<Item>, Error> {
    let units = OUR_UNITS.iter().map(|(name, text, _)| Item::text(format!("{UNITS}/{name}"), text));
    let enabled = OUR_UNITS.iter().filter_map(|(name, _, wanted_by)| {
        Some(Item::link(format!("{ENABLED}/{}.wants/{name}", (*wanted_by)?), format!("/{UNITS}/{name}")))
    });
    let configuration = Item::text(CONFIGURATION, &Distribution::of(tree)?.configuration());
    let first =
        [Item::file(PROGRAM, program.0, EXECUTABLE), Item { any_will_do: true, ..configuration }, Item::text(RULE, RULE_TEXT)];
    Ok(first.into_iter().chain(units).chain(enabled).collect())
}

/// Whose initial RAM disks capture kernels get on a machine, and whose programs save the dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distribution {
    Debian,
    Fedora,
    Suse,
}

impl Distribution {
    /// What /etc/os-release says (os-release(5)); Debian where it says nothing that is known here.
    fn of(tree: &Tree) -> Result<Self, Error> {
        let release = match tree.text("etc/os-release")? {
            Some(text) => text,
            None => tree.text("usr/lib/os-release")?.unwrap_or_default(),
        };
        let words = release.lines().filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")));
        let words: Vec<&str> = words.flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace()).collect();
        let any = |names: &[&str]| words.iter().any(|word| names.iter().any(|name| word == name));
        Ok(if any(&["fedora", "rhel", "centos"]) {
            Self::Fedora
        } else if any(&["suse", "opensuse", "sles"]) {
            Self::Suse
        } else {
            Self::Debian
        })
    }

    /// How its paragraph of the configuration begins.
    const fn paragraph(self) -> &'static str {
        match self {
            Self::Debian => "# Debian",
            Self::Fedora => "# Fedora",
            Self::Suse => "# openSUSE",
        }
    }

    /// The configuration with this distribution's keys in force, instead of Debian's.
    fn configuration(self) -> String {
        let paragraphs = CONFIGURATION_TEXT.split("\n\n").map(|paragraph| {
            let lines = paragraph.lines().map(|line| {
                if paragraph.starts_with(self.paragraph()) {
                    // A comment has a space behind its sign, a key has none.
                    line.strip_prefix('#').filter(|key| !key.starts_with(' ')).unwrap_or(line).to_owned()
                } else if paragraph.starts_with(Self::Debian.paragraph()) && !line.starts_with('#') {
                    format!("#{line}")
                } else {
                    line.to_owned()
                }
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        paragraphs.collect::<Vec<_>>().join("\n\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::burst;
    use crate::config::Config;

    #[test]
    fn links_are_those_that_the_units_ask_for() {
        for (name, text, wanted_by) in OUR_UNITS {
            let asked = text.lines().find_map(|line| line.strip_prefix("WantedBy="));
            assert_eq!(asked, wanted_by, "{name}");
        }
    }

    #[test]
    fn units_and_rule_call_the_program_where_it_is_installed() {
        let texts = OUR_UNITS.iter().map(|(_, text, _)| *text).chain([RULE_TEXT]);
        let calls = texts.flat_map(str::lines).filter(|line| !line.starts_with('#') && line.contains("/kdump-loader "));
        let calls: Vec<&str> = calls.collect();
        assert_eq!(calls.len(), 6, "{calls:#?}");
        calls.iter().for_each(|line| assert!(line.contains(&format!("/{PROGRAM} ")), "{line}"));
    }

    #[test]
    fn both_services_run_in_the_same_sandbox() {
        let sandbox = |text: &'static str| {
            let start = text.find("# What it does:").unwrap();
            text[start..].split("\n[Install]").next().unwrap().trim_end()
        };
        assert_eq!(sandbox(OUR_UNITS[0].1), sandbox(OUR_UNITS[2].1));
    }

    #[test]
    fn nobody_is_killed_while_a_storm_is_answered() {
        let timeout = |text: &'static str| text.lines().find_map(|line| line.strip_prefix("TimeoutStartSec=")).unwrap();
        // It answers until it is quiet, however long that takes; the other waits for it as long as one burst may take.
        assert_eq!(timeout(OUR_UNITS[2].1), "infinity");
        assert!(timeout(OUR_UNITS[0].1).parse::<u64>().unwrap() > burst::LONGEST.as_secs() * 2);
    }

    #[test]
    fn path_unit_waits_for_the_service_under_the_conditions_of_the_service() {
        let conditions =
            |text: &'static str| -> Vec<&str> { text.lines().filter(|line| line.starts_with("Condition")).collect() };
        assert_eq!(conditions(OUR_UNITS[0].1), conditions(OUR_UNITS[1].1));
        assert!(OUR_UNITS[1].1.contains("\nUnit=kdump-loader-reload.service\n"));
    }

    #[test]
    fn debian_is_what_the_file_says_as_it_stands() {
        assert_eq!(Distribution::Debian.configuration(), CONFIGURATION_TEXT);
    }

    #[test]
    fn every_distribution_has_keys_of_its_own_and_nobody_else_s() {
        let keys = |distribution: Distribution| {
            let text = distribution.configuration();
            let lines: Vec<String> =
                text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(Into::into).collect();
            lines
        };
        let initrds = [
            (Distribution::Debian, "initrd = \"/var/lib/kdump/initrd.img-{release}\"", 4),
            (Distribution::Fedora, "initrd = \"/boot/initramfs-{release}kdump.img\"", 3),
            (Distribution::Suse, "initrd = \"/var/lib/kdump/initrd\"", 4),
        ];
        for (distribution, initrd, count) in initrds {
            let keys = keys(distribution);
            assert!(keys.contains(&initrd.to_owned()) && keys[0].starts_with("kernel = "), "{keys:?}");
            assert_eq!(keys.len(), count, "{keys:?}");
            assert!(keys.iter().any(|key| key.starts_with("append = ") && key.contains("acpi_no_memhotplug")), "{keys:?}");
        }
    }

    #[test]
    fn every_configuration_is_one() {
        for distribution in [Distribution::Debian, Distribution::Fedora, Distribution::Suse] {
            let config = Config::parse(&distribution.configuration(), "6.12.0").unwrap();
            assert_eq!(config.options.kernel, Path::new("/boot/vmlinuz-6.12.0"));
        }
        // Nor is any key in a comment misspelt.
        let every_key: String = CONFIGURATION_TEXT
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|key| !key.starts_with(' ')))
            .filter(|line| !["initrd", "append", "reuse_cmdline"].iter().any(|key| line.starts_with(key)))
            .map(|line| format!("{line}\n"))
            .collect();
        Config::parse(&(CONFIGURATION_TEXT.to_owned() + &every_key), "6.12.0").unwrap();
    }

    #[test]
    fn distribution_is_what_os_release_says() {
        for (text, expected) in [
            ("ID=debian\n", Distribution::Debian),
            ("NAME=x\nID=ubuntu\nID_LIKE=debian\n", Distribution::Debian),
            ("ID=fedora\n", Distribution::Fedora),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Distribution::Fedora),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", Distribution::Suse),
            ("ID=unheard-of\n", Distribution::Debian),
        ] {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(root.path().join("usr/lib")).unwrap();
            std::fs::create_dir_all(root.path().join("etc")).unwrap();
            std::fs::write(root.path().join("usr/lib/os-release"), text).unwrap();
            // As on every distribution.
            std::os::unix::fs::symlink("../usr/lib/os-release", root.path().join("etc/os-release")).unwrap();
            assert_eq!(Distribution::of(&Tree::new(root.path()).unwrap()).unwrap(), expected, "{text}");
        }
    }
}
