//! The state of one set-up run: the archive and the private apt roots, opened when a part needs
//! them, and a record of every part that an earlier run fetched. A second run needs no network.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use qemu_runner::assets::{GuestProgram, Kernel, Ovmf, Part, Qemu};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use xshell::Shell;

use crate::repository::Repository;
use crate::setup::apt::fetch;
use crate::setup::apt::root::{AptRoot, Package};
use crate::setup::apt::sources::{self, Archive};
use crate::setup::apt::suites::Purpose;
use crate::setup::by_hand::Unsupported;

/// Raised when the layout of parts changes, so that parts of an older xtask are fetched again.
const RECIPE: u32 = 1;
/// The command that looks again for missing parts.
pub const LOOK_AGAIN: &str = "cargo xtask setup --refresh";

/// A part, and the packages that it comes from.
pub struct Found<T> {
    /// The part.
    pub part: Part<T>,
    /// The packages unpacked for it, as `name=version`.
    pub packages: Vec<String>,
}

impl<T> Found<T> {
    /// A part that is present.
    pub fn present(part: T, packages: Vec<String>) -> Self {
        Self { part: Part::Present(part), packages }
    }

    /// A part that the archive does not have, and why.
    pub fn missing(reason: String) -> Self {
        Self { part: Part::Missing(reason), packages: Vec::new() }
    }
}

/// `Found`, as recorded in `target/assets/NAME.json`.
#[derive(Serialize, Deserialize)]
struct Record<T> {
    recipe: u32,
    packages: Vec<String>,
    part: Part<T>,
}

/// A part whose files must exist before it is used again.
pub trait Files {
    /// Its files.
    fn files(&self) -> Vec<&Path>;

    /// Whether it was made in today's way.
    fn is_current(&self) -> bool {
        true
    }
}

/// The state of one set-up run.
pub struct Supply<'a> {
    /// Runs programs.
    pub sh: &'a Shell,
    /// Holds the parts.
    pub repo: &'a Repository,
    refresh: bool,
    archive: OnceCell<Archive>,
    roots: RefCell<BTreeMap<Purpose, Rc<AptRoot<'a>>>>,
}

impl<'a> Supply<'a> {
    /// With `refresh`, every part is replaced by the newest version that the archive has.
    pub fn new(sh: &'a Shell, repo: &'a Repository, refresh: bool) -> Self {
        Self { sh, repo, refresh, archive: OnceCell::new(), roots: RefCell::default() }
    }

    /// The part named `name`: recorded, or fetched by `get` into the directory that it is given.
    pub fn provide<T>(
        &self,
        name: &str,
        get: impl Fn(&Self, &Path) -> Result<Found<T>>,
    ) -> Result<Part<T>>
    where
        T: Files + Serialize + DeserializeOwned,
    {
        let record = self.repo.assets().join(format!("{name}.json"));
        if !self.refresh
            && let Some(part) = self.remembered(name)
        {
            return Ok(part);
        }
        eprintln!(
            "{name}: {}",
            if self.refresh { "looking for the newest" } else { "missing, fetching it" }
        );
        let tree = self.repo.assets().join(name);
        let found = self
            .with_fresh_index(|| get(self, &tree))
            .with_context(|| format!("could not set up {name}"))?;
        match found.part {
            Part::Present(_) => {
                match &found.packages[..] {
                    // The requested package comes last, after its dependencies. The record has all.
                    [others @ .., last] if !others.is_empty() => {
                        eprintln!("  done: {last} and {} more", others.len())
                    }
                    packages => eprintln!("  done: {}", packages.join(" ")),
                }
                let record_of =
                    Record { recipe: RECIPE, packages: found.packages, part: found.part };
                self.sh.write_file(record, serde_json::to_string_pretty(&record_of)?)?;
                Ok(record_of.part)
            }
            Part::Missing(reason) => {
                eprintln!("  missing: {reason}");
                Ok(Part::Missing(format!("{reason}; `{LOOK_AGAIN}` looks again")))
            }
        }
    }

    /// Retries with a fresh index. A point release leaves the archive when the next one arrives,
    /// and then the copy of the index is stale.
    fn with_fresh_index<T>(&self, get: impl Fn() -> Result<Found<T>>) -> Result<Found<T>> {
        let first = get();
        let reason = match &first {
            Ok(Found { part: Part::Present(_), .. }) => return first,
            Ok(Found { part: Part::Missing(reason), .. }) => reason.clone(),
            Err(error) if error.is::<Unsupported>() => return first,
            Err(error) => format!("{error:#}"),
        };
        let stale: Vec<_> =
            self.roots.borrow().values().filter(|root| !root.is_fresh()).cloned().collect();
        if stale.is_empty() {
            return first;
        }
        eprintln!("  {reason}\n  retrying with a fresh index");
        stale.iter().try_for_each(|root| root.refresh())?;
        get()
    }

    /// The part named `name`, if an earlier run fetched it.
    pub fn remembered<T: Files + DeserializeOwned>(&self, name: &str) -> Option<Part<T>> {
        recall(&self.repo.assets().join(format!("{name}.json")))
    }

    /// The apt root for a purpose.
    pub fn root(&self, purpose: Purpose) -> Result<Rc<AptRoot<'a>>> {
        let archive = match self.archive.get() {
            Some(archive) => archive,
            None => {
                let surveyed = sources::survey(self.sh, self.repo)?;
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

    /// Downloads the packages that are missing.
    pub fn fetch(&self, root: &AptRoot<'_>, packages: &[Package]) -> Result<()> {
        fetch::fetch(self.sh, self.repo, root, packages)
    }

    /// Downloads the packages that are missing, and unpacks all of them into a fresh `tree`.
    pub fn unpack(&self, root: &AptRoot<'_>, packages: &[Package], tree: &Path) -> Result<()> {
        fetch::unpack(self.sh, self.repo, root, packages, tree)
    }
}

/// A recorded part, if its files still exist. A missing part is not recorded: the archive may have
/// it now.
fn recall<T: Files + DeserializeOwned>(record: &Path) -> Option<Part<T>> {
    let record: Record<T> = serde_json::from_slice(&std::fs::read(record).ok()?).ok()?;
    let complete = match &record.part {
        Part::Present(part) => part.is_current() && part.files().iter().all(|file| file.exists()),
        Part::Missing(_) => false,
    };
    (record.recipe == RECIPE && complete).then_some(record.part)
}

/// Records a part as if it had been fetched.
#[cfg(test)]
pub fn remember<T: Serialize>(repo: &Repository, name: &str, part: Part<T>) -> Result<()> {
    let record = Record { recipe: RECIPE, packages: vec![], part };
    Ok(std::fs::write(repo.assets().join(format!("{name}.json")), serde_json::to_vec(&record)?)?)
}

impl Files for Qemu {
    fn files(&self) -> Vec<&Path> {
        [&self.program]
            .into_iter()
            .chain(&self.library_path)
            .chain(&self.data_dirs)
            .map(PathBuf::as_path)
            .collect()
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
    fn a_part_whose_file_is_gone_is_fetched_again() {
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
    fn a_part_of_an_older_recipe_is_fetched_again() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let json = dir.path().join("kernel.json");
        let kernel =
            Kernel { vmlinuz: dir.path().to_path_buf(), release: "6.12".into(), virtio_mem: None };
        let mut record = Record { recipe: RECIPE, packages: vec![], part: Part::Present(kernel) };
        std::fs::write(&json, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(recall::<Kernel>(&json).is_some());
        record.recipe -= 1;
        std::fs::write(&json, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(recall::<Kernel>(&json).is_none());
    }

    #[test]
    fn a_missing_part_is_looked_for_again() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let json = dir.path().join("kernel.json");
        let record: Record<Kernel> =
            Record { recipe: RECIPE, packages: vec![], part: Part::Missing("no".into()) };
        std::fs::write(&json, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(recall::<Kernel>(&json).is_none());
    }

    #[test]
    fn the_reason_for_a_missing_part_names_the_command_that_looks_again() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let repo = Repository { root: dir.path().to_path_buf() };
        let supply = Supply::new(&sh, &repo, false);
        let asked = std::cell::Cell::new(0);
        for times in 1..3 {
            let part = supply.provide::<Kernel>("kernel", |_, _| {
                asked.set(asked.get() + 1);
                Ok(Found::missing("no such package".into()))
            });
            let Ok(Part::Missing(reason)) = part else { panic!("present") };
            assert!(reason.contains("no such package") && reason.contains(LOOK_AGAIN), "{reason}");
            assert_eq!(asked.get(), times);
        }
    }
}
