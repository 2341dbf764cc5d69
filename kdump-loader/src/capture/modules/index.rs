//! `[4a]` What depmod(8) wrote about a kernel's modules, and the order in which they are loaded.
//!
//! *On entry* a kernel's release. *On exit* its modules, their dependencies, the drivers that are
//! built in, and the names of devices that each is for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Module;
use super::pattern;
use crate::capture::error::Modules as Error;
use crate::health::files::Files;

/// Limit of a file of depmod. The modules.alias of Debian's kernels has 1.5 MB.
const LARGEST: u64 = 64 << 20;

/// A module, and what must be loaded before it.
#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    needs: Vec<String>,
}

/// The modules of one kernel.
#[derive(Clone, Debug)]
pub struct Index {
    /// The kernel's release.
    pub release: String,
    entries: BTreeMap<String, Entry>,
    built_in: BTreeSet<String>,
    /// Patterns, and the module that each is for.
    aliases: Vec<(String, String)>,
    /// What should be loaded before and after a module, if it exists.
    soft: BTreeMap<String, Soft>,
}

#[derive(Clone, Debug, Default)]
struct Soft {
    before: Vec<String>,
    after: Vec<String>,
}

impl Index {
    /// Reads the files of depmod in /lib/modules/RELEASE.
    pub fn read(files: Files<'_>, release: &str) -> Result<Self, Error> {
        let directory = PathBuf::from("/lib/modules").join(release);
        let text = |name: &str| {
            let path = directory.join(name);
            match files.read(&path, LARGEST) {
                Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Err(source) => {
                    Err(Error::NotInstalled { release: release.to_owned(), path, source })
                }
            }
        };
        let entry = |line: &str| {
            let (path, needs) = line.split_once(':')?;
            let needs = needs.split_whitespace().filter_map(name_of).collect();
            Some((name_of(path)?, Entry { path: directory.join(path), needs }))
        };
        Ok(Self {
            release: release.to_owned(),
            entries: text("modules.dep")?.lines().filter_map(entry).collect(),
            built_in: text("modules.builtin")?.lines().filter_map(name_of).collect(),
            // Without these files there are no aliases and no soft dependencies.
            aliases: aliases(&text("modules.alias").unwrap_or_default()),
            soft: soft(&text("modules.softdep").unwrap_or_default()),
        })
    }

    /// Whether there is a module of this name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(&underscored(name))
    }

    /// Whether this module is a part of the kernel.
    pub fn is_built_in(&self, name: &str) -> bool {
        self.built_in.contains(&underscored(name))
    }

    /// The modules for a device of this name.
    pub fn matching(&self, device: &str) -> Vec<String> {
        let fits = |(pattern, _): &&(String, String)| pattern::matches(pattern, device);
        let mut found: Vec<String> = Vec::new();
        for (_, name) in self.aliases.iter().filter(fits) {
            if !found.contains(name) && self.has(name) {
                found.push(name.clone());
            }
        }
        found
    }

    /// The error about a driver that this kernel does not have.
    pub fn missing(&self, what: &'static str, name: &str) -> Error {
        Error::Missing { release: self.release.clone(), what, name: name.to_owned() }
    }

    /// These modules with all that they need, in the order in which they are loaded.
    pub fn in_order(&self, wanted: &[String]) -> Vec<Module> {
        let mut order = Order { index: self, entered: BTreeSet::new(), modules: Vec::new() };
        wanted.iter().for_each(|name| order.add(name));
        order.modules
    }

    /// The modules that a soft dependency names: by their own name, or by an alias.
    fn named(&self, name: &str) -> Vec<String> {
        if self.has(name) { vec![underscored(name)] } else { self.matching(name) }
    }
}

struct Order<'a> {
    index: &'a Index,
    entered: BTreeSet<String>,
    modules: Vec<Module>,
}

impl Order<'_> {
    /// Adds a module after all that it needs. What is built in, or missing, needs nothing: a hard
    /// dependency that is missing makes modprobe(8) fail as well, and /init says so.
    fn add(&mut self, name: &str) {
        let name = underscored(name);
        let Some(entry) = self.index.entries.get(&name) else { return };
        // Soft dependencies may form circles.
        if !self.entered.insert(name.clone()) {
            return;
        }
        let none = Soft::default();
        let soft = self.index.soft.get(&name).unwrap_or(&none);
        entry.needs.iter().for_each(|needed| self.add(needed));
        self.add_soft(&soft.before);
        self.modules.push(Module { name, path: entry.path.clone() });
        self.add_soft(&soft.after);
    }

    fn add_soft(&mut self, names: &[String]) {
        for name in names {
            self.index.named(name).iter().for_each(|name| self.add(name));
        }
    }
}

/// The name of the module in a file such as `kernel/fs/ext4/ext4.ko.xz`.
fn name_of(path: &str) -> Option<String> {
    let (name, _) = path.rsplit('/').next()?.split_once(".ko")?;
    Some(underscored(name))
}

/// The kernel treats hyphens in names of modules as underscores.
pub fn underscored(name: &str) -> String {
    name.replace('-', "_")
}

/// Lines `alias PATTERN MODULE`.
fn aliases(text: &str) -> Vec<(String, String)> {
    let alias = |line: &str| {
        let mut words = line.split_whitespace();
        let words = (words.next()?, words.next()?, words.next()?);
        (words.0 == "alias").then(|| (words.1.to_owned(), underscored(words.2)))
    };
    text.lines().filter_map(alias).collect()
}

/// Lines `softdep MODULE pre: NAME… post: NAME…` (modprobe.d(5)).
fn soft(text: &str) -> BTreeMap<String, Soft> {
    let mut all: BTreeMap<String, Soft> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("softdep"), Some(name)) = (words.next(), words.next()) else { continue };
        let soft = all.entry(underscored(name)).or_default();
        let mut list = None;
        for word in words {
            match (word, &mut list) {
                ("pre:", list) => *list = Some(false),
                ("post:", list) => *list = Some(true),
                (name, Some(false)) => soft.before.push(name.to_owned()),
                (name, Some(true)) => soft.after.push(name.to_owned()),
                (_, None) => {}
            }
        }
    }
    all
}
