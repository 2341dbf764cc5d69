//! `[1]` Before the first load after a boot: reads what the boot before left in memory, and saves
//! it.
//!
//! *On entry* /var/lib/kdump-loader/armed.json of an earlier boot, and memory that the next load
//! will overwrite.
//!
//! *On exit*
//! - a panic is saved, or the reason why there is nothing to save
//! - one line in the journal
//! - the load continues, whatever happened here

use std::io;
use std::path::Path;

use capture_init::utc;
use handoff::black_box::Stage;
use printk_ring::Log;

use super::armed::{self, ArmedBox, Boot};
use super::panic::{self, Arming, Copies, LogSummary, Nothing, Outcome, Panic, Run};
use super::saved;
use super::story;
use crate::arm::record::{self, lock};
use crate::messages::{in_full, note, warn};

mod memory; // [a] physical memory of the boot before
mod records; // [b] the purgatory's records
mod kernel_log; // [c] the copies of the crashed kernel's log
mod capture_log; // [d] the capture kernel's own log
mod page_tables; // addresses in the capture kernel
#[cfg(test)]
mod tests;

pub use kernel_log::panic_line_of_text;
use memory::OldMemory;

/// What firmware was asked to do with memory at a reset (TCG PC Client Platform Reset Attack
/// Mitigation Specification): four bytes of attributes, then a byte whose bit 0 asks to clear it.
const MEMORY_OVERWRITE_REQUEST: &str = "sys/firmware/efi/efivars/\
     MemoryOverwriteRequestControl-e20939be-32d4-41be-a150-897f85d49829";
const ATTRIBUTES_LEN: usize = 4;

/// Harvests once after a boot. A failure is a message, because arming matters more.
pub fn before_load(root: &Path) {
    // Two loads at once must not save a panic twice.
    let _lock = lock::wait_for_arming_lock(root, lock::PATIENCE, || ()).ok();
    let armed = match of_earlier_boot(root) {
        Ok(Some(armed)) => armed,
        Ok(None) => return,
        Err(error) => {
            warn(format_args!(
                "whether the machine panicked before this boot is unknown: {}",
                in_full(&error)
            ));
            return;
        }
    };
    let harvest = harvest(root, &armed, armed::now());
    let name = harvest.panic.as_ref().and_then(|(panic, logs)| {
        match saved::save(root, panic, &logs.kernel, &logs.capture) {
            Ok(name) => Some(name),
            Err(error) => {
                warn(format_args!("cannot save the panic before this boot: {}", in_full(&error)));
                // The load overwrites the memory, so this is the only place where it remains.
                story::tell(panic, None, None)
                    .lines()
                    .for_each(|line| note(format_args!("{line}")));
                None
            }
        }
    });
    if let Some((panic, _)) = &harvest.panic {
        let line = story::headline(panic);
        warn(format_args!("{line}; run kdump-loader last"));
    }
    if let Some(Nothing::NoRecord { copies }) = &harvest.outcome.nothing
        && copies.later > 0
    {
        warn(format_args!(
            "the machine panicked before this boot, with an image that was not noted; run \
             kdump-loader last"
        ));
    }
    let outcome = Outcome { found: name, ..harvest.outcome };
    if let Err(error) = outcome.write(root) {
        warn(format_args!("{}", in_full(&error)));
    }
}

/// What an earlier boot armed, unless this boot has already looked for its records.
fn of_earlier_boot(root: &Path) -> Result<Option<ArmedBox>, record::Error> {
    let Some(armed) = ArmedBox::read(root)? else { return Ok(None) };
    if armed.boot.boot_id == record::boot_id(root)? {
        return Ok(None);
    }
    let done = Outcome::read(root).is_some_and(|outcome| outcome.arming == Arming::of(&armed));
    Ok((!done).then_some(armed))
}

/// The result.
struct Harvest {
    outcome: Outcome,
    panic: Option<(Panic, Logs)>,
}

/// Texts of logs; empty if there is none.
#[derive(Debug, Default)]
struct Logs {
    kernel: String,
    capture: String,
}

fn harvest(root: &Path, armed: &ArmedBox, now: u64) -> Harvest {
    let found = look(root, armed);
    let mut outcome = Outcome {
        version: panic::VERSION,
        harvested_at: now,
        arming: Arming::of(armed),
        found: None,
        nothing: None,
        memory_overwrite_request: memory_overwrite_request(root),
    };
    match found {
        Ok(found) => {
            let panic = Panic {
                version: panic::VERSION,
                harvested_at: now,
                arming: Arming::of(armed),
                panicked_at: found.panicked_at,
                panic_line: found.panic_line,
                run: found.run,
                copies: found.copies,
                log: found.log,
                capture_log: found.capture_log,
                notes: found.notes,
            };
            Harvest { outcome, panic: Some((panic, found.logs)) }
        }
        Err(nothing) => {
            outcome.nothing = Some(nothing);
            Harvest { outcome, panic: None }
        }
    }
}

/// What memory had.
struct Found {
    run: Option<Run>,
    copies: Copies,
    log: Option<LogSummary>,
    capture_log: Option<LogSummary>,
    panic_line: Option<String>,
    panicked_at: Option<u64>,
    notes: Vec<String>,
    logs: Logs,
}

fn look(root: &Path, armed: &ArmedBox) -> Result<Found, Nothing> {
    let current = Boot::current(root).map_err(unreadable)?;
    if current.machine_id != armed.boot.machine_id {
        return Err(Nothing::OtherMachine);
    }
    if armed.records.is_empty() && armed.log_copies.is_empty() {
        return Err(if armed.disarmed { Nothing::Disarmed } else { Nothing::NoBlackBox });
    }
    let memory = OldMemory::open(root).map_err(|error| match error.kind() {
        _ if armed.disarmed => Nothing::Disarmed,
        io::ErrorKind::PermissionDenied => Nothing::Unreadable {
            why: "the kernel hides its memory (lockdown=confidentiality does)".into(),
        },
        _ => unreadable(error),
    })?;
    let mut notes = Vec::new();
    let (record, copies) = records::find(&memory, armed);
    if armed.disarmed && copies.later == 0 {
        return Err(Nothing::Disarmed);
    }
    let log = kernel_log::find(&memory, armed, &mut notes);
    if record.is_none() && log.is_none() {
        return Err(match armed.shutdown_at {
            Some(began_at) if copies.later == 0 => Nothing::Shutdown { began_at, copies },
            _ => Nothing::NoRecord { copies },
        });
    }
    if let Some(began_at) = armed.shutdown_at {
        notes.push(format!(
            "the machine panicked after an orderly shutdown or reboot had begun ({})",
            utc::for_people(began_at)
        ));
    }
    let jumped = record.as_ref().is_some_and(|record| record.stage.get() == Stage::Jumped as u32);
    let capture = jumped.then(|| capture_log::find(&memory, armed, &mut notes)).flatten();
    let text = |log: &Option<Log>| log.as_ref().map(ToString::to_string).unwrap_or_default();
    let (release, capture) = capture.unzip();
    Ok(Found {
        run: record.as_ref().map(Run::of),
        copies,
        panic_line: log.as_ref().and_then(kernel_log::panic_line),
        panicked_at: log.as_ref().and_then(|log| kernel_log::last_time(log, armed)),
        log: log.as_ref().map(|log| LogSummary::of(log, &armed.boot.kernel_release)),
        capture_log: capture
            .as_ref()
            .zip(release)
            .map(|(log, release)| LogSummary::of(log, &release)),
        logs: Logs { kernel: text(&log), capture: text(&capture) },
        notes,
    })
}

fn unreadable(error: impl std::error::Error + 'static) -> Nothing {
    Nothing::Unreadable { why: in_full(&error) }
}

/// Whether firmware was asked to clear memory; `None` without that variable.
fn memory_overwrite_request(root: &Path) -> Option<bool> {
    let bytes = std::fs::read(root.join(MEMORY_OVERWRITE_REQUEST)).ok()?;
    bytes.get(ATTRIBUTES_LEN).map(|byte| byte & 1 == 1)
}
