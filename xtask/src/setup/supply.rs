//! Where parts come from: the archive and the private apt roots, opened only when a part needs them, and the memory of what was
//! brought earlier, so that a second run asks nobody anything.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use qemu_runner::assets::{GuestProgram, Kernel, Ovmf, Part, Qemu};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use xshell::Shell;

use crate::repository::Repository;
use crate::setup::apt_root::{AptRoot, Package};
use crate::setup::archive::{self, Archive};
use crate::setup::by_hand::Unsupported;
use crate::setup::fetch;
use crate::setup::suites::Purpose;

/// Raised when parts are laid out differently, so that what an older xtask brought is brought again.
const RECIPE: u32 = 1;
/// What looks again for a part that was not to be had.
pub const LOOK_AGAIN: &str = "cargo xtask setup --refresh";

/// A part as it was found, and what it was made from.
pub struct Found<T> {
    /// The part.
    pub part: Part<T>,
    /// The packages that were unpacked for it, `name=version`.
    pub packages: Vec<String>,
}

/// `Found`, as it is remembered in `target/assets/NAME.json`.
#[derive(Serialize, Deserialize)]
struct Record<T> {
    recipe: u32,
    packages: Vec<String>,
    part: Part<T>,
}

/// What must exist for a part to be used again.
pub trait Files {
    /// Its files.
    fn files(&self) -> Vec<&Path>;

    /// Whether it is as it would be made now.
    fn is_current(&self) -> bool {
        true
    }
}

/// The state of one set-up run.
pub struct Supply<'a> {
    /// Runs programs.
    pub sh: &'a Shell,
    /// Where things go.
    pub repo: &'a Repository,
    refresh: bool,
    archive: OnceCell<Archive>,
    roots: RefCell<BTreeMap<Purpose, Rc<AptRoot<'a>>>>,
}

impl<'a> Supply<'a> {
    /// With `refresh`, the archive is asked for newer versions of everything.
    pub fn new(sh: &'a Shell, repo: &'a Repository, refresh: bool) -> Self {
        Self { sh, repo, refresh, archive: OnceCell::new(), roots: RefCell::default() }
    }

    /// The part named `name`: remembered, or got by `get`, which is given the directory that is the part's own.
    pub fn provide<T>(&self, name: &str, get: impl Fn(&Self, &Path) -> Result<Found<T>>) -> Result<Part<T>>
    where
        T: Files + Serialize + DeserializeOwned,
    {
        let record = self.repo.assets().join(format!("{name}.json"));
        if !self.refresh
            && let Some(part) = self.remembered(name)
        {
            return Ok(part);
        }
        eprintln!("{name}: {}", if self.refresh { "looking for the newest" } else { "missing, fetching it" });
        let tree = self.repo.assets().join(name);
        let found = self.with_fresh_index(|| get(self, &tree)).with_context(|| format!("could not set up {name}"))?;
        match found.part {
            Part::Present(_) => {
                match &found.packages[..] {
                    // What was asked for comes last, after what it depends on; the record has them all.
                    [others @ .., asked] if !others.is_empty() => eprintln!("  done: {asked} and {} more", others.len()),
                    packages => eprintln!("  done: {}", packages.join(" ")),
                }
                let record_of = Record { recipe: RECIPE, packages: found.packages, part: found.part };
                self.sh.write_file(record, serde_json::to_string_pretty(&record_of)?)?;
                Ok(record_of.part)
            }
            Part::Missing(reason) => {
                eprintln!("  not to be had: {reason}");
                Ok(Part::Missing(format!("{reason}; `{LOOK_AGAIN}` looks again")))
            }
        }
    }

    /// Tries once more with a fresh index if nothing came of it: point releases leave the archive when the next one comes, and
    /// then our copy of the index is what is wrong.
    fn with_fresh_index<T>(&self, get: impl Fn() -> Result<Found<T>>) -> Result<Found<T>> {
        let first = get();
        let reason = match &first {
            Ok(Found { part: Part::Present(_), .. }) => return first,
            Ok(Found { part: Part::Missing(reason), .. }) => reason.clone(),
            Err(error) if error.is::<Unsupported>() => return first,
            Err(error) => format!("{error:#}"),
        };
        let stale: Vec<_> = self.roots.borrow().values().filter(|root| !root.is_fresh()).cloned().collect();
        if stale.is_empty() {
            return first;
        }
        eprintln!("  {reason}\n  trying again with a fresh index");
        stale.iter().try_for_each(|root| root.refresh())?;
        get()
    }

    /// The part named `name`, if it was brought earlier.
    pub fn remembered<T: Files + DeserializeOwned>(&self, name: &str) -> Option<Part<T>> {
        recall(&self.repo.assets().join(format!("{name}.json")))
    }

    /// The apt root for a purpose.
    pub fn root(&self, purpose: Purpose) -> Result<Rc<AptRoot<'a>>> {
        let archive = match self.archive.get() {
            Some(archive) => archive,
            None => {
                let surveyed = archive::survey(self.sh, self.repo)?;
                self.archive.get_or_init(|| surveyed)
            }
        };
        let purpose = purpose.served_by(archive);
        if let Some(root) = self.roots.borrow().get(&purpose) {
            return Ok(root.clone());
        }
        let root = Rc::new(AptRoot::open(self.sh, self.repo, archive, purpose)?);
        if self.refresh && !root.is_fresh() {
            root.refresh()?;
        }
        self.roots.borrow_mut().insert(purpose, root.clone());
        Ok(root)
    }

    /// Downloads what is missing.
    pub fn bring(&self, root: &AptRoot<'_>, packages: &[Package]) -> Result<()> {
        fetch::bring(self.sh, self.repo, root, packages)
    }

    /// Downloads what is missing and unpacks all of it into a fresh `tree`.
    pub fn unpack(&self, root: &AptRoot<'_>, packages: &[Package], tree: &Path) -> Result<()> {
        fetch::unpack(self.sh, self.repo, root, packages, tree)
    }
}

/// What was brought earlier, if all of it is still there. That something was missing is not remembered: the archive may have it now.
fn recall<T: Files + DeserializeOwned>(record: &Path) -> Option<Part<T>> {
    let record: Record<T> = serde_json::from_slice(&std::fs::read(record).ok()?).ok()?;
    let complete = match &record.part {
        Part::Present(part) => part.is_current() && part.files().iter().all(|file| file.exists()),
        Part::Missing(_) => false,
    };
    (record.recipe == RECIPE && complete).then_some(record.part)
}

/// Does as if a part had been brought.
#[cfg(test)]
pub fn remember<T: Serialize>(repo: &Repository, name: &str, part: Part<T>) -> Result<()> {
    let record = Record { recipe: RECIPE, packages: vec![], part };
    Ok(std::fs::write(repo.assets().join(format!("{name}.json")), serde_json::to_vec(&record)?)?)
}

impl Files for Qemu {
    fn files(&self) -> Vec<&Path> {
        [&self.program].into_iter().chain(&self.library_path).chain(&self.data_dirs).map(PathBuf::as_path).collect()
    }
}

impl Files for Kernel {
    fn files(&self) -> Vec<&Path> {
        [&self.vmlinuz].into_iter().chain(&self.virtio_mem).map(PathBuf::as_path).collect()
    }
}

impl Files for GuestProgram {
    fn files(&self) -> Vec<&Path> {
        self.files.values().map(PathBuf::as_path).collect()
    }
}

impl Files for Ovmf {
    fn files(&self) -> Vec<&Path> {
        vec![&self.code, &self.vars]
    }
}

impl Files for PathBuf {
    fn files(&self) -> Vec<&Path> {
        vec![self]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_whose_file_is_gone_is_not_remembered() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let (file, json) = (dir.path().join("vmlinuz"), dir.path().join("kernel.json"));
        let kernel = Kernel { vmlinuz: file.clone(), release: "6.12".into(), virtio_mem: None };
        let record = Record { recipe: RECIPE, packages: vec![], part: Part::Present(kernel) };
        std::fs::write(&json, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(recall::<Kernel>(&json).is_none());
        std::fs::write(&file, "").unwrap();
        assert!(recall::<Kernel>(&json).is_some());
    }

    #[test]
    fn what_an_older_recipe_brought_is_not_remembered() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let json = dir.path().join("kernel.json");
        let kernel = Kernel { vmlinuz: dir.path().to_path_buf(), release: "6.12".into(), virtio_mem: None };
        let mut record = Record { recipe: RECIPE, packages: vec![], part: Part::Present(kernel) };
        std::fs::write(&json, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(recall::<Kernel>(&json).is_some());
        record.recipe -= 1;
        std::fs::write(&json, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(recall::<Kernel>(&json).is_none());
    }
    #[test]
    fn what_was_missing_is_looked_for_again() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let json = dir.path().join("kernel.json");
        let record: Record<Kernel> = Record { recipe: RECIPE, packages: vec![], part: Part::Missing("no".into()) };
        std::fs::write(&json, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(recall::<Kernel>(&json).is_none());
    }

    #[test]
    fn a_part_that_stays_missing_is_not_remembered_and_its_reason_names_the_command() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let repo = Repository { root: dir.path().to_path_buf() };
        let supply = Supply::new(&sh, &repo, false);
        let asked = std::cell::Cell::new(0);
        for times in 1..3 {
            let part = supply.provide::<Kernel>("kernel", |_, _| {
                asked.set(asked.get() + 1);
                Ok(Found { part: Part::Missing("no such package".into()), packages: vec![] })
            });
            let Ok(Part::Missing(reason)) = part else { panic!("present") };
            assert!(reason.contains("no such package") && reason.contains(LOOK_AGAIN), "{reason}");
            assert_eq!(asked.get(), times);
        }
    }
}
