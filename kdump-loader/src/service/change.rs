//! `[6]` Installs all changes or none, and uninstalls all of them.
//!
//! An installation first plans every step, and finds obstacles before it changes anything. If a
//! step fails, the earlier ones are undone. If the process is killed midway, the ledger lets
//! `uninstall` roll back and `install` finish.

mod done;
mod black_box; // what the program has written at run time

use std::path::Path;

use super::access::Access;
use super::layout::{self, Content, Item, Program};
use super::ledger::{self, Entry, Ledger, Made};
use super::tree::{Found, Tree, kept_name};
use super::{Conflict, Distribution, Error, conflicts};
pub use done::Done;

/// One step of an installation.
struct Step {
    item: Item,
    /// What is there now.
    before: Found,
    /// Whether this step must keep it.
    keep: bool,
    /// Whether an older file is kept after this step, from now or from an earlier installation.
    kept: bool,
    /// What is there now, if an earlier installation created it.
    earlier: Option<Made>,
}

/// Options of an installation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// Keep every other service and rule from arming.
    pub mask_conflicts: bool,
    /// The distribution, instead of the one in os-release.
    pub distribution: Option<Distribution>,
}

/// Installs the service. In a [`Access::DryRun`], only returns the planned changes.
pub fn install(
    access: &Access<'_>,
    program: Program<'_>,
    choice: Choice,
) -> Result<Vec<Done>, Error> {
    install_in(&Tree::new(access.root())?, access.is_dry_run(), program, choice)
}

pub(super) fn install_in(
    tree: &Tree,
    dry_run: bool,
    program: Program<'_>,
    choice: Choice,
) -> Result<Vec<Done>, Error> {
    let Choice { mask_conflicts, distribution } = choice;
    let old = Ledger::read(tree)?;
    if old.is_none() && !dry_run {
        Ledger::clear_unfinished(tree)?;
    }
    let mut items = layout::of(tree, program, distribution)?;
    let others = conflicts::all(tree)?;
    if mask_conflicts {
        items.extend(others.iter().map(Conflict::remedy).collect::<Result<Vec<_>, _>>()?);
    } else {
        items.extend(others.iter().filter_map(Conflict::ordering));
    }
    let ledger = old.unwrap_or_default();
    let steps: Vec<Step> = items
        .into_iter()
        .filter_map(|item| plan(tree, &ledger, item).transpose())
        .collect::<Result<_, _>>()?;
    let done = steps.iter().map(|step| step.done(tree)).collect();
    if !dry_run && !steps.is_empty() {
        Undoing::new(tree).all(ledger, &steps)?;
    }
    Ok(done)
}

/// Plans the step for an item; `None` if nothing must be changed.
fn plan(tree: &Tree, ledger: &Ledger, item: Item) -> Result<Option<Step>, Error> {
    let before = tree.look(&item.path)?;
    if item.is(&before) {
        return Ok(None);
    }
    let path = tree.path(&item.path);
    let entry = ledger.entry(&item.path);
    let (keep, kept) = match (&before, entry) {
        (Found::Other { what }, _) => return Err(Error::InTheWay { path, what }),
        (Found::Absent, entry) => (false, entry.is_some_and(|entry| entry.kept)),
        // This includes a config of an earlier installation, which may have named another
        // distribution.
        (_, _) if item.keep_existing => return Ok(None),
        (_, Some(entry)) if entry.made_this(&before) => (false, entry.kept),
        // An earlier installation was killed before it replaced the file.
        (found, Some(Entry { kept: true, .. })) => match tree.kept(&item.path)? {
            Found::Absent => (true, true),
            kept if kept == *found => (false, true),
            _ => return Err(Error::Changed { path }),
        },
        (_, Some(_)) => return Err(Error::Changed { path }),
        (_, None) if tree.kept(&item.path)? == Found::Absent => (true, true),
        (_, None) => {
            let what = "a file that an earlier installation kept, but there is no ledger";
            return Err(Error::InTheWay { path: tree.path(&kept_name(&item.path)), what });
        }
    };
    tree.missing_directories(&item.path)?;
    let earlier =
        entry.filter(|entry| entry.made_this(&before)).and_then(|_| Made::of_found(&before));
    Ok(Some(Step { item, before, keep, kept, earlier }))
}

impl Step {
    fn done(&self, tree: &Tree) -> Done {
        let path = tree.path(&self.item.path);
        match (&self.before, &self.item.content) {
            (Found::Absent, Content::File { .. }) => Done::Wrote(path),
            (Found::Absent, Content::Link { target }) => Done::Linked(path, target.clone()),
            _ if self.keep => Done::Replaced(path, tree.path(&kept_name(&self.item.path))),
            _ => Done::Updated(path),
        }
    }

    fn entry(&self) -> Entry {
        Entry {
            path: self.item.path.clone(),
            made: Made::of(&self.item.content),
            kept: self.kept,
            earlier: self.earlier.clone(),
        }
    }
}

/// How to undo a change.
enum Undo {
    RemoveDirectory(String),
    Restore(String),
    PutBack(String, Found),
}

/// An installation in progress, and how to undo it.
struct Undoing<'t> {
    tree: &'t Tree,
    done: Vec<Undo>,
}

impl<'t> Undoing<'t> {
    fn new(tree: &'t Tree) -> Self {
        Self { tree, done: Vec::new() }
    }

    /// Runs all steps, or none.
    fn all(mut self, ledger: Ledger, steps: &[Step]) -> Result<(), Error> {
        let Err(source) = self.forward(ledger, steps) else { return Ok(()) };
        if self.done.is_empty() {
            return Err(source);
        }
        let source = Box::new(source);
        Err(match self.back() {
            Ok(()) => Error::Undone { source },
            Err(undoing) => Error::Half { undoing: Box::new(undoing), source },
        })
    }

    fn forward(&mut self, mut ledger: Ledger, steps: &[Step]) -> Result<(), Error> {
        for path in
            [ledger::PATH].into_iter().chain(steps.iter().map(|step| step.item.path.as_str()))
        {
            for directory in self.tree.missing_directories(path)? {
                ledger.enter(Entry {
                    path: directory,
                    made: Made::Directory,
                    kept: false,
                    earlier: None,
                });
            }
        }
        steps.iter().for_each(|step| ledger.enter(step.entry()));
        self.directories(ledger::PATH)?;
        let before = self.tree.look(ledger::PATH)?;
        ledger.write(self.tree)?;
        self.done.push(Undo::PutBack(ledger::PATH.into(), before));
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, Step { item, before, keep, .. }: &Step) -> Result<(), Error> {
        let path = &item.path;
        self.directories(path)?;
        if *keep {
            self.tree.keep(path)?;
            self.done.push(Undo::Restore(path.clone()));
        }
        match &item.content {
            Content::File { bytes, mode } => self.tree.write(path, bytes, *mode)?,
            Content::Link { target } => self.tree.link(path, target)?,
        }
        if !keep {
            self.done.push(Undo::PutBack(path.clone(), before.clone()));
        }
        Ok(())
    }

    fn directories(&mut self, path: &str) -> Result<(), Error> {
        for directory in self.tree.missing_directories(path)? {
            self.tree.make_directory(&directory)?;
            self.done.push(Undo::RemoveDirectory(directory));
        }
        Ok(())
    }

    fn back(&mut self) -> Result<(), Error> {
        // The ledger was written first, so it is removed last.
        while let Some(undo) = self.done.pop() {
            match undo {
                Undo::RemoveDirectory(path) => self.tree.remove_directory(&path)?,
                Undo::Restore(path) => self.tree.restore(&path)?,
                Undo::PutBack(path, Found::File { bytes, mode }) => {
                    self.tree.write(&path, &bytes, mode)?
                }
                Undo::PutBack(path, Found::Link { target }) => self.tree.link(&path, &target)?,
                Undo::PutBack(path, _) => self.tree.remove(&path)?,
            }
        }
        Ok(())
    }
}

/// Restores the files before the installation, except those that were changed after it. In a
/// [`Access::DryRun`], only returns the planned changes. `None` if nothing is installed.
pub fn uninstall(access: &Access<'_>) -> Result<Option<Vec<Done>>, Error> {
    uninstall_in(&Tree::new(access.root())?, access.is_dry_run())
}

pub(super) fn uninstall_in(tree: &Tree, dry_run: bool) -> Result<Option<Vec<Done>>, Error> {
    let unfinished = |source| Error::Unfinished { source: Box::new(source) };
    if let Some(ledger) = Ledger::read(tree)? {
        return put_back(tree, &ledger, dry_run).map(Some).map_err(unfinished);
    }
    if !dry_run {
        Ledger::clear_unfinished(tree).map_err(unfinished)?;
    }
    Ok(None)
}

fn put_back(tree: &Tree, ledger: &Ledger, dry_run: bool) -> Result<Vec<Done>, Error> {
    let mut done = Vec::new();
    let (directories, files): (Vec<_>, Vec<_>) =
        ledger.entries.iter().partition(|entry| entry.made == Made::Directory);
    for entry @ Entry { path, kept, .. } in files.into_iter().rev() {
        let (found, before) = (tree.look(path)?, tree.kept(path)?);
        let as_made = entry.made_this(&found);
        let whole = tree.path(path);
        if !dry_run {
            tree.remove_unfinished(path)?;
        }
        match (kept, &before) {
            // It was never replaced, or is already restored.
            (true, Found::Absent) => {}
            (true, _) if as_made || found == Found::Absent || found == before => {
                if !dry_run {
                    tree.restore(path)?;
                }
                done.push(Done::Restored(whole));
            }
            (false, _) if as_made => {
                if !dry_run {
                    tree.remove(path)?;
                }
                done.push(Done::Removed(whole));
            }
            (false, _) if found == Found::Absent => {}
            _ => done.push(Done::Left(whole)),
        }
    }
    done.extend(black_box::remove(tree, dry_run)?);
    if !dry_run {
        // Directories without the ledger come first: without the ledger, an interrupted run could
        // not find them again.
        let (above_ledger, others): (Vec<_>, Vec<_>) = directories
            .into_iter()
            .rev()
            .partition(|entry| Path::new(ledger::PATH).starts_with(&entry.path));
        others.into_iter().try_for_each(|entry| tree.remove_directory(&entry.path))?;
        tree.remove(ledger::PATH)?;
        tree.remove_unfinished(ledger::PATH)?;
        // A load may have created it before the installation.
        tree.remove_directory(ledger::DIRECTORY)?;
        above_ledger.into_iter().try_for_each(|entry| tree.remove_directory(&entry.path))?;
    }
    Ok(done)
}
