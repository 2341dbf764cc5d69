//! A look at everything that decides whether a panic now would leave a dump. It changes nothing.
//!
//! *On entry* a machine. *On exit* what the kernel says, what the record says, and what is wrong.

use std::io::ErrorKind;
use std::path::Path;

use crate::config::{self, Config, FilePolicy};
use crate::elfcorehdr;
use crate::findings::{Finding, NEARLY_FULL};
use crate::image::Summary;
use crate::machine::{Error, KexecPermission, KexecState, Present};
use crate::outdated::{self, Armed, Unknown};
use crate::queue::Queue;
use crate::record::origin::{FileIdentity, Origin};
use crate::record::{self, Call, Record, failure};
use crate::service;

/// Held by a reload while it runs, below the root.
pub const RELOAD_LOCK: &str = "run/kdump-loader/reload.lock";

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// What the kernel says.
    pub state: KexecState,
    /// What was written down about the armed image, or why that is not known; nothing if none is armed.
    pub record: Option<Result<Box<Record>, Unknown>>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Looks at the machine below `root`. `config` is the one that was named; `program` is this one.
pub fn survey(root: &Path, config: Option<&Path>, program: &Path) -> Result<Survey, Error> {
    let state = KexecState::read(root)?;
    let mut findings = Vec::new();
    let wished = wished(root, config, &mut findings);
    let record = state.crash_loaded.then(|| outdated::known(record::read(root)));
    match &record {
        None => not_armed(root, &state, &mut findings),
        Some(Err(because)) => findings.push(Finding::Outdated(outdated::Reason::Unknown { because: *because })),
        Some(Ok(record)) => armed(root, record, wished.as_ref(), program, &mut findings),
    }
    reloads(root, &mut findings);
    if wished.is_some() {
        others_who_arm(root, &mut findings);
    }
    Ok(Survey { state, record, findings })
}

/// The config, if there is one that can be used.
fn wished(root: &Path, named: Option<&Path>, findings: &mut Vec<Finding>) -> Option<Config> {
    match Config::read(root, named) {
        Ok(config) => Some(config),
        // Whoever calls `load` by hand has none.
        Err(config::Error::Read { source, .. }) if source.kind() == ErrorKind::NotFound && named.is_none() => None,
        Err(error) => {
            findings.push(Finding::ConfigUnusable { message: error.to_string() });
            None
        }
    }
}

fn not_armed(root: &Path, state: &KexecState, findings: &mut Vec<Finding>) {
    findings.push(Finding::NotArmed);
    if state.crash_size == 0 {
        findings.push(Finding::NoCrashRegion);
    }
    if KexecPermission::read(root).is_ok_and(|permission| permission.load_disabled) {
        findings.push(Finding::LoadDisabled);
    }
}

fn armed(root: &Path, record: &Record, wished: Option<&Config>, program: &Path, findings: &mut Vec<Finding>) {
    let looked = Present::read(root)
        .and_then(|present| Armed::find(root, Box::new(record.clone()), &present).map(|armed| (armed, present)));
    match looked {
        Ok((armed, present)) => {
            let removed = Queue::new(root).waiting();
            findings.extend(armed.machine_reasons(&present, &removed).into_iter().map(Finding::Outdated));
            let changed = match wished {
                Some(config) => armed.wish_reasons(&Origin::of(&config.options, program), config.file),
                None => armed.wish_reasons(&unchanged(record, program), FilePolicy::Auto),
            };
            // What an older record does not tell has been said above.
            let known = changed.into_iter().map(Finding::Outdated).filter(|finding| !findings.contains(finding));
            findings.extend(known.collect::<Vec<_>>());
            findings.extend(record.image.as_ref().and_then(|image| header_full(image, &present)));
        }
        Err(error) => findings.push(Finding::CannotLook { message: error.to_string() }),
    }
    match &record.image {
        Some(image) => {
            let percent = image.used() * 100 / image.crash_region.len.max(1);
            if percent >= NEARLY_FULL {
                findings.push(Finding::NearlyFull { percent });
            }
            if image.console_port.is_none() {
                findings.push(Finding::NoConsole);
            }
        }
        None if record.call == Call::KexecFileLoad => findings.push(Finding::KernelsPurgatory),
        None => {}
    }
    findings.extend(record.advice.iter().map(|sentence| Finding::Advice { sentence: sentence.clone() }));
}

/// What was wished for when it was armed, and the files as they are now.
fn unchanged(record: &Record, program: &Path) -> Origin {
    let origin = record.origin.clone().unwrap_or_default();
    let now = |key: &String, path: &str| FileIdentity::of(if key == record::origin::PROGRAM { program } else { Path::new(path) });
    let files = origin.files.iter().filter_map(|(key, file)| Some((key.clone(), now(key, &file.path).ok()?)));
    Origin { files: files.collect(), ..origin }
}

/// Whether the kernel's next rewrite fits: one program header for each CPU that there is at least, and each range of memory.
fn header_full(image: &Summary, present: &Present) -> Option<Finding> {
    let segment = image.segments.iter().find(|segment| segment.name == "elfcorehdr")?;
    let fit = elfcorehdr::capacity(segment.len);
    let needed = present.cpus.len() as u64 + elfcorehdr::FIXED_PHDRS + present.memory.len() as u64;
    (needed > fit).then_some(Finding::HeaderFull { fit, needed })
}

fn reloads(root: &Path, findings: &mut Vec<Finding>) {
    let queue = Queue::new(root);
    let running = record::is_locked(&root.join(RELOAD_LOCK));
    let failed = failure::read(root);
    if queue.taken() && !running && failed.is_none() {
        findings.push(Finding::ReloadInterrupted);
    }
    if queue.pending() && !running {
        findings.push(Finding::EventWaits);
    }
    findings.extend(failed.map(|failure| Finding::ReloadFailed { message: failure.message }));
}

/// Services that are enabled and udev rules, unless they are held back.
fn others_who_arm(root: &Path, findings: &mut Vec<Finding>) {
    match service::conflicts(root) {
        Ok(others) => findings.extend(others.iter().map(|other| Finding::OtherService { unit: other.name().to_owned() })),
        Err(error) => findings.push(Finding::CannotLook { message: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
