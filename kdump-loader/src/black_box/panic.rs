//! `[2]` What is known about a panic, as record.json has it, and the result of a harvest.
//!
//! *On entry* a record, a log, or what was armed. *On exit* words and numbers, which need no block
//! and no memory to be understood.

use handoff::black_box::{LogState, Record as RunRecord, Stage};
use handoff::report::Elfcorehdr;
use handoff::{EngineId, RegionKind, Verdict};
use loader::image::SpanSummary;
use printk_ring::{Log, Record};
use serde::{Deserialize, Serialize};

use super::armed::{ArmedBox, Boot};

/// Version of the files' format.
pub const VERSION: u32 = 1;
/// `KERN_ERR` (include/linux/kern_levels.h); worse levels are lower.
const LEVEL_ERROR: u8 = 3;
/// Error messages that are kept.
const MOST_ERRORS: usize = 4;

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
    /// Intact records of later loads. Such a load was killed before it noted its image, its note
    /// could not be written, or another system on this machine made it.
    #[serde(default)]
    pub later: usize,
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
    /// The last messages of level error and worse, each up to its first line feed.
    #[serde(default)]
    pub errors: Vec<String>,
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
    /// The same after an orderly shutdown or reboot had begun.
    Shutdown {
        /// When it began, in seconds since 1970.
        began_at: u64,
        /// What was there instead.
        copies: Copies,
    },
}

impl Run {
    /// The run that a record describes.
    pub fn of(record: &RunRecord) -> Self {
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
            errors: errors(log),
        }
    }
}

fn errors(log: &Log) -> Vec<String> {
    let is_error = |record: &&Record| record.level.is_some_and(|level| level <= LEVEL_ERROR);
    let last = log.records().rev().filter(is_error).take(MOST_ERRORS);
    let first_line = |record: &Record| record.to_string().lines().next().map(str::to_owned);
    let mut errors: Vec<_> = last.filter_map(first_line).collect();
    errors.reverse();
    errors
}
