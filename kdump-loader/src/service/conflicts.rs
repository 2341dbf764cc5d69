//! [4] Everybody else who arms capture kernels on a machine, and what holds them back.
//!
//! Services of the distributions arm in the one kernel and save the dump in the other, some by the same unit: Debian's kdump-tools.service and
//! Fedora's kdump.service look for /proc/vmcore first. So no unit is masked. A drop-in lets it run in capture kernels only, and a unit that
//! does nothing else than arm never runs then. Units that only save (kdump-tools-dump.service, kdump-capture.service, kdump-save.service) are
//! not in the table. udev rules arm and nothing else; a link to /dev/null masks them (udev(7)).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::layout::Item;
use super::rules::{self, Arming};
use super::tree::{Found, Tree};
use super::{Error, layout};

/// Units that arm at boot, and whose they are.
const UNITS: [(&str, &str); 3] = [
    ("kdump-tools.service", "kdump-tools of Debian and Ubuntu"),
    ("kdump.service", "kdump-utils of Fedora and RHEL, kdump of openSUSE and SLES"),
    ("kdump-early.service", "kdump of openSUSE and SLES"),
];
/// Where systemd looks for units, the strongest first (systemd.unit(5)); the last where /lib is no link.
const UNIT_DIRECTORIES: [&str; 5] =
    ["etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
/// Where udev looks for rules, in the same order (udev(7)).
const RULE_DIRECTORIES: [&str; 5] =
    ["etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d"];
/// Where the administrator's word goes.
const ADMINISTRATORS_UNITS: &str = UNIT_DIRECTORIES[0];
const ADMINISTRATORS_RULES: &str = RULE_DIRECTORIES[0];

/// Lets a unit run in capture kernels only.
const HOLDS_BACK: &str = include_str!("dist/90-kdump-loader.conf");
/// In the same place, for a unit that is not held back: the image that is armed last counts, and that is ours. The ordering is not in our
/// unit, because a unit that is held back would still delay it.
const GOES_FIRST: &str = "# Of `kdump-loader service install`: this service arms an image, too. kdump-loader.service arms after it, because the last \
                          image counts.\n\n[Unit]\nBefore=kdump-loader.service\n";
/// The line of it that does.
const CONDITION: &str = "ConditionPathExists=/proc/vmcore";
/// Masks a rule.
const NOTHING: &str = "/dev/null";

/// Somebody who arms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A udev rule, on every block of memory or CPU.
    Rule {
        /// Its file.
        path: PathBuf,
        /// Its name, without the directory.
        name: String,
        /// What in it.
        arming: Vec<Arming>,
        /// Whether it is the administrator's own.
        administrators: bool,
    },
    /// A unit that is enabled.
    Unit {
        /// Its file.
        path: PathBuf,
        /// Its name.
        name: &'static str,
        /// Whose it is.
        whose: &'static str,
    },
}

impl Conflict {
    /// What it is called: a unit, or a file of rules.
    pub fn name(&self) -> &str {
        match self {
            Self::Rule { name, .. } => name,
            Self::Unit { name, .. } => name,
        }
    }

    /// What holds it back, if that is not for the administrator to do.
    pub(super) fn remedy(&self) -> Result<Item, Error> {
        match self {
            Self::Rule { path, administrators: true, .. } => Err(Error::Administrators { path: path.clone() }),
            Self::Rule { name, .. } => Ok(Item::link(format!("{ADMINISTRATORS_RULES}/{name}"), NOTHING)),
            Self::Unit { name, .. } => Ok(Item::text(drop_in(name), HOLDS_BACK)),
        }
    }

    /// What makes it arm before ours, if it is not held back. Rules arm at any time.
    pub(super) fn ordering(&self) -> Option<Item> {
        match self {
            Self::Rule { .. } => None,
            Self::Unit { name, .. } => Some(Item::text(drop_in(name), GOES_FIRST)),
        }
    }
}

fn drop_in(unit: &str) -> String {
    format!("{ADMINISTRATORS_UNITS}/{unit}.d/90-kdump-loader.conf")
}

/// Everybody who arms on the machine with this root and is not held back.
pub fn conflicts(root: &Path) -> Result<Vec<Conflict>, Error> {
    all(&Tree::new(root)?)
}

pub(super) fn all(tree: &Tree) -> Result<Vec<Conflict>, Error> {
    let mut conflicts = arming_units(tree)?;
    conflicts.extend(arming_rules(tree)?);
    Ok(conflicts)
}

/// What systemd finds under the name of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnitState {
    /// No file.
    Absent,
    /// A link to /dev/null, or an empty file.
    Masked,
    /// A file, and no other unit wants it.
    Disabled,
    /// A file, and another unit wants it.
    Enabled,
}

/// Looks for a unit on the machine with this root.
pub(crate) fn unit_state(root: &Path, name: &str) -> Result<UnitState, Error> {
    let tree = Tree::new(root)?;
    let Some(path) = first_with(&tree, &UNIT_DIRECTORIES, name)? else { return Ok(UnitState::Absent) };
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
        if !is_masked(tree, &path)? && is_enabled(tree, name)? && !is_held_back(tree, name)? {
            found.push(Conflict::Unit { path: tree.path(&path), name, whose });
        }
    }
    Ok(found)
}

/// Whether somebody wants the unit.
fn is_enabled(tree: &Tree, unit: &str) -> Result<bool, Error> {
    for directory in UNIT_DIRECTORIES {
        for name in tree.names(directory)? {
            let wanted = [".wants", ".requires"].iter().any(|suffix| name.to_string_lossy().ends_with(suffix));
            if wanted && tree.names(&format!("{directory}/{}", name.display()))?.iter().any(|name| name == unit) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a drop-in lets it run in capture kernels only, ours or the administrator's.
fn is_held_back(tree: &Tree, unit: &str) -> Result<bool, Error> {
    for directory in UNIT_DIRECTORIES {
        let directory = format!("{directory}/{unit}.d");
        for name in tree.names(&directory)? {
            let text = tree.text(&format!("{directory}/{}", name.display()))?.unwrap_or_default();
            if Path::new(&name).extension() == Some(OsStr::new("conf")) && text.lines().any(|line| line.trim() == CONDITION) {
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

/// The strongest file of this name.
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
        assert!(HOLDS_BACK.lines().any(|line| line == CONDITION));
    }
}
