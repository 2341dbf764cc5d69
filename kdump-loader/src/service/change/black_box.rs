//! What the black box keeps below /var/lib/kdump-loader, which no ledger lists.
//!
//! Files that lead the next boot to the records of the armed image go, because no program reads
//! them any more. Recorded panics stay: they may be the only trace of a crash.

use std::path::PathBuf;

use super::super::Error;
use super::super::ledger::DIRECTORY;
use super::super::tree::{Found, Tree};
use super::Done;
use crate::arm::generation::GENERATION;
use crate::black_box::{armed, saved};

/// Removes these files, or in a dry run only reports them.
pub fn remove(tree: &Tree, dry_run: bool) -> Result<Vec<Done>, Error> {
    let mut done = Vec::new();
    for name in [GENERATION, armed::FILE, saved::OUTCOME] {
        let path = format!("{DIRECTORY}/{name}");
        if tree.look(&path)? == Found::Absent {
            continue;
        }
        if !dry_run {
            tree.remove(&path)?;
        }
        done.push(Done::Removed(tree.path(&path)));
    }
    let panics = format!("{DIRECTORY}/{}", saved::PANICS);
    let names = tree.names(&panics)?;
    let kept: Option<PathBuf> = (!names.is_empty()).then(|| tree.path(&panics));
    if !dry_run {
        tree.remove_directory(&panics)?;
    }
    done.extend(kept.map(Done::LeftPanics));
    Ok(done)
}
