//! `[2]` The files to install: the program, its embedded units and udev rule, a config, and the
//! links that `systemctl enable` would create from the units' `[Install]` sections.

use std::path::{Path, PathBuf};

use super::distribution::Distribution;
use super::settings::{self, Settings};
use super::tree::{Found, Tree};
use super::{Error, distribution_of};

/// Path of the program, which the units and the rule use.
pub const PROGRAM: &str = "usr/sbin/kdump-loader";
/// Path of the config.
pub const CONFIGURATION: &str = crate::options::config::DEFAULT;
/// Path of the udev rule.
pub const RULE: &str = "usr/lib/udev/rules.d/40-kdump-loader.rules";
/// Path of the units' presets (systemd.preset(5)). No package has this file, so it is below /etc:
/// /usr may be read-only.
const PRESET: &str = "etc/systemd/system-preset/80-kdump-loader.preset";
/// Path of the kernel settings (sysctl.d(5)), below /etc for the same reason.
pub const SYSCTL: &str = "etc/sysctl.d/60-kdump-loader.conf";
/// Directory of packages' units.
const UNITS: &str = "usr/lib/systemd/system";
/// Directory of the links that enable units.
const ENABLED: &str = "etc/systemd/system";

/// The units: name, text, and the unit that wants it, from its `[Install]` section.
const OUR_UNITS: [(&str, &str, Option<&str>); 5] = [
    ("kdump-loader.service", include_str!("dist/kdump-loader.service"), Some("multi-user.target")),
    (
        "kdump-loader-reload.path",
        include_str!("dist/kdump-loader-reload.path"),
        Some("kdump-loader.service"),
    ),
    ("kdump-loader-reload.service", include_str!("dist/kdump-loader-reload.service"), None),
    ("kdump-loader-shutdown.service", include_str!("dist/kdump-loader-shutdown.service"), None),
    ("kdump-loader-disarm.service", include_str!("dist/kdump-loader-disarm.service"), None),
];
const RULE_TEXT: &str = include_str!("dist/40-kdump-loader.rules");
const PRESET_TEXT: &str = include_str!("dist/80-kdump-loader.preset");
const SYSCTL_TEXT: &str = include_str!("dist/60-kdump-loader-sysctl.conf");

/// rwxr-xr-x
const EXECUTABLE: u32 = 0o755;
/// rw-r--r--
const READABLE: u32 = 0o644;

/// The bytes of the program to install.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a>(pub &'a [u8]);

/// A file or link to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Path below the root.
    pub path: String,
    /// The content.
    pub content: Content,
    /// Whether an existing file stays, because it may be the administrator's.
    pub keep_existing: bool,
}

/// A file or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its mode.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Its target.
        target: PathBuf,
    },
}

impl Item {
    fn file(path: impl Into<String>, bytes: &[u8], mode: u32) -> Self {
        Self {
            path: path.into(),
            content: Content::File { bytes: bytes.to_vec(), mode },
            keep_existing: false,
        }
    }

    /// A file that all users can read.
    pub fn text(path: impl Into<String>, text: &str) -> Self {
        Self::file(path, text.as_bytes(), READABLE)
    }

    /// A link.
    pub fn link(path: impl Into<String>, target: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            content: Content::Link { target: target.into() },
            keep_existing: false,
        }
    }

    /// Whether this item was found.
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

/// [`items`] for this machine. `named` overrides its distribution, which need not be known if the
/// config exists.
pub fn of(
    tree: &Tree,
    program: Program<'_>,
    named: Option<Distribution>,
) -> Result<Vec<Item>, Error> {
    let (distribution, settings) = match distribution_of(tree, named) {
        Ok(distribution) => (distribution, settings::read(tree, distribution)?),
        Err(_) if tree.look(CONFIGURATION)? != Found::Absent => {
            (Distribution::Debian, Settings::default())
        }
        Err(error) => return Err(error),
    };
    Ok(items(program, distribution, &settings))
}

/// All items for this machine, in the order of installation: units before the links that enable
/// them.
pub fn items(program: Program<'_>, distribution: Distribution, settings: &Settings) -> Vec<Item> {
    let units = OUR_UNITS.iter().map(|(name, text, _)| Item::text(format!("{UNITS}/{name}"), text));
    let enabled = OUR_UNITS.iter().filter_map(|(name, _, wanted_by)| {
        Some(Item::link(
            format!("{ENABLED}/{}.wants/{name}", (*wanted_by)?),
            format!("/{UNITS}/{name}"),
        ))
    });
    let configuration = Item::text(CONFIGURATION, &distribution.configuration(settings));
    let sysctl = settings
        .sysctl
        .as_ref()
        .map_or_else(|| SYSCTL_TEXT.to_owned(), |settings| sysctl(settings));
    let first = [
        Item::file(PROGRAM, program.0, EXECUTABLE),
        Item { keep_existing: true, ..configuration },
        Item::text(RULE, RULE_TEXT),
        Item::text(SYSCTL, &sysctl),
        Item::text(PRESET, PRESET_TEXT),
    ];
    first.into_iter().chain(units).chain(enabled).collect()
}

/// The file of kernel settings with those of the replaced service.
fn sysctl(settings: &[String]) -> String {
    let comment = SYSCTL_TEXT
        .lines()
        .take_while(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"));
    comment
        .chain(settings.iter().map(|setting| format!("{}\n", setting.replacen('=', " = ", 1))))
        .collect()
}

/// The keys of the installed kernel settings; none if they cannot be read.
pub fn sysctl_keys(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root.join(SYSCTL)).unwrap_or_default();
    let settings = text.lines().filter(|line| !line.starts_with('#'));
    settings.filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests;
