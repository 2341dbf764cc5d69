//! `kdump-loader reload`: arm what the config says, unless the armed image is up to date.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use loader::admit::preflight;
use loader::machine::{KexecPermission, KexecState, Machine, Present};
use loader::submit;
use serde::Serialize;

use super::{Error, LIVE, print_json};
use crate::arm::generation::next_generation;
use crate::arm::record::{self, failure, lock};
use crate::arm::request_for::{expect_files_of_one_release, fresh_seed, origin, request_for};
use crate::arm::{self, Aftermath, load, load_file};
use crate::black_box::armed::ArmedBox;
use crate::cli::Reload;
use crate::health::RELOAD_LOCK;
use crate::hotplug::burst::{self, World};
use crate::hotplug::outdated::{self, Armed, Reason};
use crate::hotplug::queue::{Queue, Taken};
use crate::hotplug::removal;
use crate::messages::{in_full, note, say, warn};
use crate::options::config::{Config, FilePolicy};

/// How long another reload may take: a burst, and the reload after it.
const PATIENCE: Duration = Duration::from_secs(burst::LONGEST.as_secs() + 60);

/// What `reload --json` prints.
#[derive(Serialize)]
pub(super) struct Output {
    /// How often an image was armed; 0 if the armed one was up to date.
    pub armed: u32,
    /// The reasons of all these loads.
    pub reasons: Vec<Reason>,
    /// The same reasons as text.
    pub words: Vec<String>,
}

/// Queues an event, or reloads and takes all queued events.
pub fn run(arguments: &Reload) -> Result<(), Error> {
    let root = Path::new(LIVE);
    let queue = Queue::new(root);
    if arguments.queue {
        match queue.note(arguments.removed) {
            Ok(()) => return Ok(()),
            // A reload here delays udev. A lost event would make the dump incomplete.
            Err(error) => {
                warn(format_args!("cannot queue the event, so reloading now: {}", in_full(&error)))
            }
        }
    }
    arm::begin(root)?;
    let _lock = hold_reload_lock(root)?;
    if let Err(error) = ArmedBox::note_shutdown(root, None) {
        warn(format_args!("{}", in_full(&error)));
    }
    let mut reload = Live {
        root,
        queue,
        config: &arguments.config,
        force: arguments.force,
        taken: Taken {
            fresh: false,
            removed: arguments.removed.iter().map(|block| block.number).collect(),
        },
        start: Instant::now(),
        output: Output { armed: 0, reasons: Vec::new(), words: Vec::new() },
    };
    burst::drain(&mut reload)?;
    let output = reload.output;
    if output.armed == 0 {
        say(format_args!("already up to date"));
    }
    if arguments.json { print_json(&output) } else { Ok(()) }
}

/// Takes the lock of reloads. A second reload waits for the first, and then finds most of its work
/// done. If the lock file cannot be created, both reload.
fn hold_reload_lock(root: &Path) -> Result<Option<lock::HeldLock>, Error> {
    let waiting =
        || note(format_args!("another reload is running; waiting up to {} s", PATIENCE.as_secs()));
    match lock::wait_for_lock(root.join(RELOAD_LOCK), PATIENCE, waiting) {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ record::Error::Busy { .. }) => Err(arm::Error::Lock(error).into()),
        Err(error) => {
            warn(format_args!("{}", in_full(&error)));
            Ok(None)
        }
    }
}

/// The live machine.
struct Live<'a> {
    root: &'a Path,
    queue: Queue<'a>,
    config: &'a Path,
    force: bool,
    taken: Taken,
    start: Instant,
    output: Output,
}

impl World for Live<'_> {
    type Error = Error;

    fn take(&mut self) -> bool {
        match self.queue.take() {
            Ok(Taken { fresh, removed }) => {
                self.taken.removed.extend(removed);
                self.taken.removed.sort_unstable();
                self.taken.removed.dedup();
                fresh
            }
            // With true, the caller would try again endlessly.
            Err(error) => {
                warn(format_args!("{}", in_full(&error)));
                false
            }
        }
    }

    fn reload_if_outdated(&mut self) -> Result<(), Error> {
        let result = self.reload_once();
        let noted = match &result {
            Ok(()) => {
                self.taken = Taken::default();
                self.queue.done().and_then(|()| failure::clear(self.root))
            }
            Err(error) => failure::note(self.root, in_full(error)),
        };
        if let Err(error) = noted {
            warn(format_args!("{}", in_full(&error)));
        }
        result.map_err(|error| match error {
            // Their messages already say what is armed.
            Error::Arm(
                arm::Error::Refused { .. }
                | arm::Error::FileRefused { .. }
                | arm::Error::NotRehearsed
                | arm::Error::Mismatch { .. },
            ) => error,
            error => Error::Reload { aftermath: armed_now(self.root), source: Box::new(error) },
        })
    }

    fn now(&mut self) -> Duration {
        self.start.elapsed()
    }

    fn pause(&mut self, length: Duration) {
        thread::sleep(length);
    }
}

impl Live<'_> {
    /// Waits until removed memory is gone, and arms if the armed image is out of date.
    fn reload_once(&mut self) -> Result<(), Error> {
        let still_there = removal::wait(self.root, &self.taken.removed, removal::PATIENCE)?;
        let config = Config::read(self.root, Some(self.config))?;
        let reasons = self.reasons(&config)?;
        if !reasons.is_empty() {
            let words: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            words.iter().for_each(|word| note(format_args!("reloading: {word}")));
            arm(self.root, &config, self.queue)?;
            self.force = false;
            self.output.armed += 1;
            self.output.words.extend(words);
            self.output.reasons.extend(reasons);
        }
        match still_there.first() {
            Some(&range) => Err(Error::NotReleased { range }),
            None => Ok(()),
        }
    }

    /// Why the armed image is out of date.
    fn reasons(&self, config: &Config) -> Result<Vec<Reason>, Error> {
        let mut reasons = Vec::new();
        if self.force {
            reasons.push(Reason::Forced);
        }
        if !KexecState::crash_loaded(self.root).map_err(arm::Error::Armed)? {
            reasons.push(Reason::NotArmed);
            return Ok(reasons);
        }
        let record = match outdated::known(record::read(self.root)) {
            Ok(record) => record,
            Err(because) => {
                reasons.push(Reason::Unknown { because });
                return Ok(reasons);
            }
        };
        let present = Present::read(self.root)?;
        let armed = Armed::find(self.root, record, &present)?;
        reasons.extend(armed.machine_reasons(&present, &self.taken.removed));
        reasons.extend(armed.wish_reasons(&origin(self.root, &config.options), config.file));
        Ok(reasons)
    }
}

/// Arms what the config says, with the system call that it names. If the machine changes meanwhile,
/// that is queued like an event, and this process takes it when the burst is over. Arming again
/// during the burst would be redundant.
fn arm(root: &Path, config: &Config, queue: Queue<'_>) -> Result<(), arm::Error> {
    expect_files_of_one_release(root, &config.options)?;
    match config.file {
        FilePolicy::Always => arm_kernels(root, config),
        FilePolicy::Never => arm_ours(root, config, queue),
        FilePolicy::Auto => match arm_ours(root, config, queue) {
            Err(error) if load_file::file_load_may_work(&error) => {
                warn(format_args!("{}", in_full(&error)));
                note(format_args!(
                    "trying kexec_file_load, with the kernel's built-in purgatory (file = \"auto\" \
                     in the config)"
                ));
                arm_kernels(root, config)
            }
            other => other,
        },
    }
}

fn arm_ours(root: &Path, config: &Config, queue: Queue<'_>) -> Result<(), arm::Error> {
    // Comes first: a locked-down kernel hides part of the machine, which would look like another
    // error.
    preflight::permitted(root, &KexecPermission::read(root)?)?;
    let machine = Machine::read(root, Some(submit::measure()))?;
    let (request, origin) =
        request_for(root, &config.options, &machine, fresh_seed(), || next_generation(root))?;
    load::arm(root, machine, &request, origin, || queue.note(None).is_ok()).map(drop)
}

fn arm_kernels(root: &Path, config: &Config) -> Result<(), arm::Error> {
    load_file::arm(root, &config.options, None).map(drop)
}

/// What is armed after a failure before the system call.
fn armed_now(root: &Path) -> Aftermath {
    match KexecState::crash_loaded(root) {
        Ok(true) => Aftermath::StillArmed,
        Ok(false) => Aftermath::Disarmed,
        Err(_) => Aftermath::Unknown,
    }
}
