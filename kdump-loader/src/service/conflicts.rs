//! `[4]` Finds other services and udev rules that arm capture kernels, and keeps them from arming.
//!
//! A distribution's service arms in the running kernel and saves the dump in the capture kernel.
//! Debian's kdump-tools.service and Fedora's kdump.service do both with one unit, which checks for
//! /proc/vmcore. So units are not masked: a drop-in makes them run in capture kernels only, where a
//! unit that only arms never runs. Units that only save (kdump-tools-dump.service,
//! kdump-capture.service, kdump-save.service) are not in the table. udev rules only arm, so a link
//! to /dev/null masks them (udev(7)).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::layout::Item;
use super::rules::{self, Arming};
use super::tree::{Found, Tree};
use super::{Error, layout};

/// Units that arm at boot, and their packages.
const UNITS: [(&str, &str); 3] = [
    ("kdump-tools.service", "kdump-tools of Debian and Ubuntu"),
    ("kdump.service", "kdump-utils of Fedora and RHEL, kdump of openSUSE and SLES"),
    ("kdump-early.service", "kdump of openSUSE and SLES"),
];
/// systemd's unit directories, highest priority first (systemd.unit(5)). The last one counts if
/// /lib is not a link.
const UNIT_DIRECTORIES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// udev's rule directories, in the same order (udev(7)).
const RULE_DIRECTORIES: [&str; 5] = [
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
    "lib/udev/rules.d",
];
/// The administrator's directories.
const ADMINISTRATORS_UNITS: &str = UNIT_DIRECTORIES[0];
const ADMINISTRATORS_RULES: &str = RULE_DIRECTORIES[0];

/// A drop-in that makes a unit run in capture kernels only.
const ONLY_IN_CAPTURE_KERNEL: &str = include_str!("dist/90-kdump-loader.conf");
/// A drop-in for a unit that may arm: kdump-loader.service arms after it, because the last image
/// counts. This ordering is not in kdump-loader.service, because there it would also wait for a
/// unit that is kept from arming.
const ARMS_FIRST: &str = "# From `kdump-loader service install`: this service also arms an image. \
                          kdump-loader.service arms after it, because the last image counts.\n\n\
                          [Unit]\nBefore=kdump-loader.service\n";
/// The line of [`ONLY_IN_CAPTURE_KERNEL`] that has the effect.
const CONDITION: &str = "ConditionPathExists=/proc/vmcore";
/// Target of a link that masks a rule.
const NOTHING: &str = "/dev/null";

/// A unit or udev rule that arms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A file of udev rules.
    Rule {
        /// Its path.
        path: PathBuf,
        /// Its name, without the directory.
        name: String,
        /// The rules in it that arm.
        arming: Vec<Arming>,
        /// Whether it is the administrator's own.
        administrators: bool,
    },
    /// An enabled unit.
    Unit {
        /// Its file.
        path: PathBuf,
        /// Its name.
        name: &'static str,
        /// Its packages.
        whose: &'static str,
    },
}

impl Conflict {
    /// The name of the unit or the file of rules.
    pub fn name(&self) -> &str {
        match self {
            Self::Rule { name, .. } => name,
            Self::Unit { name, .. } => name,
        }
    }

    /// The item that keeps it from arming. An administrator's own file is an error.
    pub(super) fn remedy(&self) -> Result<Item, Error> {
        match self {
            Self::Rule { path, administrators: true, .. } => {
                Err(Error::Administrators { path: path.clone() })
            }
            Self::Rule { name, .. } => {
                Ok(Item::link(format!("{ADMINISTRATORS_RULES}/{name}"), NOTHING))
            }
            Self::Unit { name, .. } => Ok(Item::text(drop_in(name), ONLY_IN_CAPTURE_KERNEL)),
        }
    }

    /// The item that makes it arm before kdump-loader.service. There is none for rules, which arm
    /// at any time.
    pub(super) fn ordering(&self) -> Option<Item> {
        match self {
            Self::Rule { .. } => None,
            Self::Unit { name, .. } => Some(Item::text(drop_in(name), ARMS_FIRST)),
        }
    }
}

fn drop_in(unit: &str) -> String {
    format!("{ADMINISTRATORS_UNITS}/{unit}.d/90-kdump-loader.conf")
}

/// All units and rules that arm on the machine at this root.
pub fn conflicts(root: &Path) -> Result<Vec<Conflict>, Error> {
    all(&Tree::new(root)?)
}

pub(super) fn all(tree: &Tree) -> Result<Vec<Conflict>, Error> {
    let mut conflicts = arming_units(tree)?;
    conflicts.extend(arming_rules(tree)?);
    Ok(conflicts)
}

/// The state of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnitState {
    /// It has no file.
    Absent,
    /// Its file is empty, or a link to /dev/null.
    Masked,
    /// No other unit wants it.
    Disabled,
    /// Another unit wants it.
    Enabled,
}

/// The state of a unit on the machine at this root.
pub(crate) fn unit_state(root: &Path, name: &str) -> Result<UnitState, Error> {
    let tree = Tree::new(root)?;
    let Some(path) = first_with(&tree, &UNIT_DIRECTORIES, name)? else {
        return Ok(UnitState::Absent);
    };
    Ok(match (is_masked(&tree, &path)?, is_enabled(&tree, name)?) {
        (true, _) => UnitState::Masked,
        (false, true) => UnitState::Enabled,
        (false, false) => UnitState::Disabled,
    })
}

fn arming_units(tree: &Tree) -> Result<Vec<Conflict>, Error> {
    let mut found = Vec::new();
    for (name, whose) in UNITS {
        let strongest = first_with(tree, &UNIT_DIRECTORIES, name)?;
        let Some(path) = strongest else { continue };
        if !is_masked(tree, &path)?
            && is_enabled(tree, name)?
            && !runs_only_in_capture_kernel(tree, name)?
        {
            found.push(Conflict::Unit { path: tree.path(&path), name, whose });
        }
    }
    Ok(found)
}

/// Whether another unit wants or requires this one.
fn is_enabled(tree: &Tree, unit: &str) -> Result<bool, Error> {
    for directory in UNIT_DIRECTORIES {
        for name in tree.names(directory)? {
            let wanted = [".wants", ".requires"]
                .iter()
                .any(|suffix| name.to_string_lossy().ends_with(suffix));
            if wanted
                && tree
                    .names(&format!("{directory}/{}", name.display()))?
                    .iter()
                    .any(|name| name == unit)
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a drop-in, this program's or the administrator's, makes it run in capture kernels only.
fn runs_only_in_capture_kernel(tree: &Tree, unit: &str) -> Result<bool, Error> {
    for directory in UNIT_DIRECTORIES {
        let directory = format!("{directory}/{unit}.d");
        for name in tree.names(&directory)? {
            let text = tree.text(&format!("{directory}/{}", name.display()))?.unwrap_or_default();
            if Path::new(&name).extension() == Some(OsStr::new("conf"))
                && text.lines().any(|line| line.trim() == CONDITION)
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn arming_rules(tree: &Tree) -> Result<Vec<Conflict>, Error> {
    let mut names = Vec::new();
    for directory in RULE_DIRECTORIES {
        names.extend(tree.names(directory)?.into_iter().filter_map(|name| name.into_string().ok()));
    }
    names.retain(|name| name.ends_with(".rules") && !layout::RULE.ends_with(&format!("/{name}")));
    names.sort();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        let Some(path) = first_with(tree, &RULE_DIRECTORIES, &name)? else { continue };
        let arming = rules::arming(&tree.text(&path)?.unwrap_or_default());
        if !arming.is_empty() {
            let administrators = path.starts_with(ADMINISTRATORS_RULES);
            found.push(Conflict::Rule { path: tree.path(&path), name, arming, administrators });
        }
    }
    Ok(found)
}

/// The file of this name with the highest priority.
fn first_with(tree: &Tree, directories: &[&str], name: &str) -> Result<Option<String>, Error> {
    for directory in directories {
        let path = format!("{directory}/{name}");
        if tree.look(&path)? != Found::Absent {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn is_masked(tree: &Tree, path: &str) -> Result<bool, Error> {
    Ok(match tree.look(path)? {
        Found::Link { target } => target == Path::new(NOTHING),
        Found::File { bytes, .. } => bytes.is_empty(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_in_has_the_condition() {
        assert!(ONLY_IN_CAPTURE_KERNEL.lines().any(|line| line == CONDITION));
    }
}
