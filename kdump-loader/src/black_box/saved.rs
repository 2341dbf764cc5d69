//! `[3]` Panics below /var/lib/kdump-loader: one folder for each, the last ten.
//!
//! *On entry* what memory had. *On exit* `panics/TIME/` with record.json, dmesg.txt and
//! capture-dmesg.txt. A folder appears whole, by a rename. If /var/lib cannot be written, it is
//! below /run until the next reboot.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::armed::{STATE, expect_var_lib, is_absent};
use super::panic::{Outcome, Panic};
use crate::arm::record::{self, Error, failed, state};
use capture_init::utc;

/// Folders that are kept.
pub const KEPT: usize = 10;
/// Below [`STATE`]: the panics.
pub const PANICS: &str = "panics";
/// Below [`STATE`]: what came out of the last harvest.
pub const OUTCOME: &str = "harvest.json";
/// Below a panic's folder.
const RECORD: &str = "record.json";
/// The crashed kernel's log.
pub const DMESG: &str = "dmesg.txt";
/// The capture kernel's log.
pub const CAPTURE_DMESG: &str = "capture-dmesg.txt";
/// Created by `last`: an operator has seen it.
const SEEN: &str = "seen";
/// The name of a folder that is not complete yet begins so.
const INCOMPLETE: &str = ".new-";

impl Outcome {
    /// Replaces the file atomically.
    pub fn write(&self, root: &Path) -> Result<(), Error> {
        let write = |state| record::write_whole(&root.join(state).join(OUTCOME), self);
        expect_var_lib(root).and_then(|()| write(STATE)).or_else(|_| write(state::PATH))
    }

    /// The last one, if it can be read.
    pub fn read(root: &Path) -> Option<Self> {
        let outcomes = [state::PATH, STATE].into_iter().filter_map(|state| {
            let text = state::read(&root.join(state).join(OUTCOME)).ok()?;
            serde_json::from_slice::<Self>(&text).ok()
        });
        outcomes.max_by_key(|outcome| outcome.harvested_at)
    }
}

/// Saves a panic, and removes the oldest ones. Returns the folder's name.
pub fn save(root: &Path, panic: &Panic, log: &str, capture_log: &str) -> Result<String, Error> {
    let lasting =
        expect_var_lib(root).and_then(|()| save_below(root, STATE, panic, log, capture_log));
    // The memory is overwritten soon, so /run is better than nothing.
    lasting.or_else(|error| {
        let name = save_below(root, state::PATH, panic, log, capture_log).map_err(|_| error)?;
        crate::messages::warn(format_args!(
            "the panic before this boot is saved in /{}/{PANICS}/{name} only until the \
             next reboot, because /{STATE} cannot be written",
            state::PATH
        ));
        Ok(name)
    })
}

fn save_below(
    root: &Path,
    state: &str,
    panic: &Panic,
    log: &str,
    capture_log: &str,
) -> Result<String, Error> {
    let state = root.join(state);
    state::directory(&state)?;
    let panics = state.join(PANICS);
    state::directory(&panics)?;
    remove_incomplete(&panics);
    let new = panics.join(format!("{INCOMPLETE}{}", std::process::id()));
    let written = (|| {
        record::write_whole(&new.join(RECORD), panic)?;
        for (name, text) in [(DMESG, log), (CAPTURE_DMESG, capture_log)] {
            if !text.is_empty() {
                state::replace(&new.join(name), text.as_bytes())?;
            }
        }
        let name = free_name(&panics, panic.harvested_at);
        let path = panics.join(&name);
        fs::rename(&new, &path).map_err(failed("create", &path))?;
        Ok(name)
    })();
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&new);
    }
    let name = written?;
    let folders: Vec<_> = folders(&panics);
    for folder in folders.iter().take(folders.len().saturating_sub(KEPT)) {
        // One more folder than ten does no harm.
        let _ = fs::remove_dir_all(folder);
    }
    Ok(name)
}

/// A killed process leaves one of these.
fn remove_incomplete(panics: &Path) {
    for path in state::entries(panics) {
        if name_of(&path).starts_with(INCOMPLETE) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// A name by time that no folder has.
fn free_name(panics: &Path, seconds: u64) -> String {
    let name = utc::for_names(seconds);
    let mut names = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}-{n}")));
    names.find(|name| !panics.join(name).exists()).expect("an endless iterator")
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The folders, the oldest first.
fn folders(panics: &Path) -> Vec<PathBuf> {
    let entries = state::entries(panics).into_iter();
    let by_name: BTreeMap<_, _> = entries
        .filter(|path| path.is_dir() && !name_of(path).starts_with(INCOMPLETE))
        .map(|path| (name_of(&path), path))
        .collect();
    by_name.into_values().collect()
}

/// A panic on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its folder.
    pub folder: PathBuf,
    /// What record.json says.
    pub panic: Panic,
    /// An operator has seen it.
    pub seen: bool,
}

impl Saved {
    /// Every panic that can be read, the oldest first.
    pub fn all(root: &Path) -> Vec<Self> {
        let below = [STATE, state::PATH].map(|state| folders(&root.join(state).join(PANICS)));
        let mut panics: Vec<_> = below.into_iter().flatten().filter_map(Self::read).collect();
        panics.sort_by_key(|saved| (saved.panic.harvested_at, saved.folder.clone()));
        panics
    }

    fn read(folder: PathBuf) -> Option<Self> {
        let text = state::read(&folder.join(RECORD)).ok()?;
        let panic = serde_json::from_slice(&text).ok()?;
        let seen = folder.join(SEEN).exists();
        Some(Self { folder, panic, seen })
    }

    /// Notes that an operator has seen it. Without privileges or on a read-only disk, it stays
    /// unseen.
    pub fn mark_seen(&self) {
        if !self.seen {
            let _ = state::replace(&self.folder.join(SEEN), b"");
        }
    }

    /// The last lines of a log.
    pub fn last_lines(&self, log: &str, count: usize) -> Vec<String> {
        let text = state::read(&self.folder.join(log)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }
}

/// Whether reading the state directory is forbidden, so that panics may exist unseen.
pub fn is_forbidden(root: &Path) -> bool {
    let outcome = state::read(&root.join(STATE).join(OUTCOME));
    outcome.is_err_and(|error| !is_absent(&error) && error.kind() == ErrorKind::PermissionDenied)
}
