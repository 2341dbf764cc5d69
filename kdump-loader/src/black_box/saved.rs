//! `[2]` Panics below /var/lib/kdump-loader: one folder for each, the last ten.
//!
//! *On entry* what memory had. *On exit* `panics/TIME/` with record.json, dmesg.txt and
//! capture-dmesg.txt. A folder appears whole, by a rename. If /var/lib cannot be written, it is
//! below /run until the next reboot.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use handoff::black_box::{LogState, Record, Stage};
use handoff::report::Elfcorehdr;
use handoff::{EngineId, RegionKind, Verdict};
use loader::image::SpanSummary;
use printk_ring::Log;
use serde::{Deserialize, Serialize};

use super::armed::{ArmedBox, Boot, STATE, expect_var_lib, is_absent};
use super::utc;
use crate::arm::record::{self, Error, failed, state};

/// Version of the files' format.
pub const VERSION: u32 = 1;
/// Folders that are kept.
pub const KEPT: usize = 10;
/// Below [`STATE`]: the panics, and what came out of the last harvest.
const PANICS: &str = "panics";
const OUTCOME: &str = "harvest.json";
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

/// Which image was armed, and by which boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arming {
    /// The boot that armed it.
    #[serde(flatten)]
    pub boot: Boot,
    /// Seconds since 1970.
    pub armed_at: u64,
    /// The number of the load.
    pub generation: u64,
    /// The image's identity.
    pub image: String,
}

impl Arming {
    /// Of the image that was armed last.
    pub fn of(armed: &ArmedBox) -> Self {
        let ArmedBox { boot, armed_at, generation, image, .. } = armed.clone();
        Self { boot, armed_at, generation, image }
    }
}

/// A panic, as record.json has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// [`VERSION`].
    pub version: u32,
    /// When it was saved, in seconds since 1970.
    pub harvested_at: u64,
    /// The image that was armed.
    pub arming: Arming,
    /// When the crashed kernel wrote its last record, in seconds since 1970.
    pub panicked_at: Option<u64>,
    /// The last line that announces a crash.
    pub panic_line: Option<String>,
    /// The purgatory's record, if a copy survived.
    pub run: Option<Run>,
    /// The copies of that record.
    pub copies: Copies,
    /// The crashed kernel's log, in dmesg.txt.
    pub log: Option<LogSummary>,
    /// The capture kernel's log, in capture-dmesg.txt.
    pub capture_log: Option<LogSummary>,
    /// What else an operator must know.
    pub notes: Vec<String>,
}

/// A run of the purgatory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// A word of [`Stage`].
    pub stage: String,
    /// A word of [`Verdict`]; `None` before the segments were verified.
    pub verdict: Option<String>,
    /// A word of [`EngineId`].
    pub engine: Option<String>,
    /// Non-maskable interrupts.
    pub nmis: u32,
    /// A word of [`Elfcorehdr`]; `None` before it was checked.
    pub elfcorehdr: Option<String>,
    /// A word of [`LogState`].
    pub log: Option<String>,
    /// Microseconds from the purgatory's entry to each stage; `None` before it.
    pub entered_us: u64,
    /// The same for the copies of the kernel log.
    pub log_copied_us: Option<u64>,
    /// The same for the verification.
    pub verified_us: Option<u64>,
    /// The same for the jump or the refusal.
    pub ended_us: Option<u64>,
    /// How many places are corrupt.
    pub corrupt_places: u32,
    /// The first of them.
    pub places: Vec<Place>,
    /// The exception that ended it.
    pub exception: Option<Exception>,
}

/// A corrupt place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The segment, by the name of its [`RegionKind`].
    pub region: String,
    /// Physical memory.
    #[serde(flatten)]
    pub span: SpanSummary,
    /// It should be zero, instead of a part of a file.
    pub zero_tail: bool,
}

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Its vector.
    pub vector: u32,
    /// Its error code.
    pub error_code: u64,
    /// RIP.
    pub rip: u64,
    /// CR2; for a machine check the memory that was being read.
    pub address: u64,
}

/// Copies of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// Pages that the loader reserved.
    pub reserved: usize,
    /// Copies of this run.
    pub intact: usize,
    /// Intact records of other images.
    pub foreign: usize,
    /// Pages without an intact record.
    pub lost: usize,
    /// Pages that the kernel does not show.
    pub unreadable: usize,
}

/// A decoded log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSummary {
    /// The release of the kernel that wrote it.
    pub release: String,
    /// Intact records, or texts without times.
    pub records: usize,
    /// Records that are not shown.
    pub damaged: usize,
    /// Times and lengths were lost.
    pub text_only: bool,
}

/// What came out of the last harvest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`VERSION`].
    pub version: u32,
    /// Seconds since 1970.
    pub harvested_at: u64,
    /// The image that was armed.
    pub arming: Arming,
    /// The folder of the panic, if there was one.
    pub found: Option<String>,
    /// Why there was none.
    pub nothing: Option<Nothing>,
    /// MemoryOverwriteRequestControl asks firmware to clear memory; `None` without that variable.
    pub memory_overwrite_request: Option<bool>,
}

/// Why there was no panic to save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Nothing {
    /// The image was unloaded before the reset.
    Disarmed,
    /// Another machine armed it.
    OtherMachine,
    /// The image had no black box.
    NoBlackBox,
    /// Memory cannot be read.
    Unreadable {
        /// Why.
        why: String,
    },
    /// No copy of a record is intact.
    NoRecord {
        /// What was there instead.
        copies: Copies,
    },
}

impl Run {
    /// The run that a record describes.
    pub fn of(record: &Record) -> Self {
        let stage = Stage::from_wire(record.stage.get());
        let later = |us: u64| (us > 0).then_some(us);
        let places = record.places.iter().take(record.corrupt_places.get() as usize);
        let elfcorehdr = match record.elfcorehdr.get() {
            1 => Some(Elfcorehdr::Ok),
            2 => Some(Elfcorehdr::Restored),
            3 => Some(Elfcorehdr::Broken),
            _ => None,
        };
        let exception = record.exception;
        Self {
            stage: stage.map_or("unknown", Stage::word).to_owned(),
            verdict: Verdict::from_wire(record.verdict.get())
                .filter(|_| stage != Some(Stage::Entered))
                .map(|verdict| verdict.word().to_owned()),
            engine: EngineId::from_wire(record.engine.get()).map(|engine| engine.word().to_owned()),
            nmis: record.nmis.get(),
            elfcorehdr: elfcorehdr.map(|outcome| outcome.word().to_owned()),
            log: LogState::from_wire(record.log.get()).map(|log| log.word().to_owned()),
            entered_us: record.entered_us.get(),
            log_copied_us: later(record.log_copied_us.get()),
            verified_us: later(record.verified_us.get()),
            ended_us: later(record.ended_us.get()),
            corrupt_places: record.corrupt_places.get(),
            places: places
                .map(|place| Place {
                    region: RegionKind::from_wire(place.region.get())
                        .map_or("unknown", RegionKind::name)
                        .to_owned(),
                    span: SpanSummary { start: place.span.start.get(), len: place.span.len.get() },
                    zero_tail: place.zero_tail.get() != 0,
                })
                .collect(),
            exception: (exception.raised.get() != 0).then(|| Exception {
                vector: exception.vector.get(),
                error_code: exception.error_code.get(),
                rip: exception.rip.get(),
                address: exception.address.get(),
            }),
        }
    }

    /// How far the purgatory came; `None` if another version of this program wrote the word.
    pub fn stage(&self) -> Option<Stage> {
        Stage::ALL.iter().copied().find(|stage| stage.word() == self.stage)
    }

    /// The verdict.
    pub fn verdict(&self) -> Option<Verdict> {
        let word = self.verdict.as_deref()?;
        Verdict::ALL.iter().copied().find(|verdict| verdict.word() == word)
    }

    /// Whether the purgatory came this far, and no farther.
    pub fn is_at(&self, stage: Stage) -> bool {
        self.stage == stage.word()
    }
}

impl LogSummary {
    /// Of a log.
    pub fn of(log: &Log, release: &str) -> Self {
        Self {
            release: release.to_owned(),
            records: log.texts().count(),
            damaged: log.damaged(),
            text_only: log.text_only,
        }
    }
}

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
