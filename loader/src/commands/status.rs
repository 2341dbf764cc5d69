//! `kdump-loader status`: is a capture kernel armed, which, and does it stay current.

use std::fmt;
use std::path::Path;

use loader::image::SpanSummary;
use loader::machine::{KexecState, Machine};
use loader::record::{self, Known, Record};
use serde::Serialize;

use super::{Error, LIVE, in_full, mib, print, print_json, say};
use crate::cli::Status;

/// Bytes of the ELF header and of one program header (ELF-64 object file format).
const EHDR_LEN: u64 = 64;
const PHDR_LEN: u64 = 56;
/// Program headers besides those of CPUs and memory: VMCOREINFO and the kernel's text.
const FIXED_PHDRS: u64 = 2;

/// Stands in for the time-stamp counter's frequency, which `status` does not tell and need not wait for.
const NO_TSC_KHZ: u32 = 1;

/// What `status` prints. What the kernel or the record does not say is null.
#[derive(Serialize)]
struct Report {
    /// An image is armed.
    loaded: bool,
    /// Bytes in all crash regions.
    crash_size: u64,
    /// Where the image is, or would go.
    crash_region: Option<SpanSummary>,
    /// Bytes of it that the image takes.
    used: Option<u64>,
    /// The kernel keeps the image current when CPUs come and go.
    crash_hotplug_cpu: Option<bool>,
    /// The same for memory.
    crash_hotplug_memory: Option<bool>,
    /// What fits the elfcorehdr.
    elfcorehdr: Option<Capacity>,
    /// The seal of the armed image.
    identity: Option<String>,
    /// Why it is not known.
    unknown_because: Option<&'static str>,
    /// What was written down when it was armed.
    record: Option<Box<Record>>,
}

/// What fits an elfcorehdr.
#[derive(Serialize)]
struct Capacity {
    /// Bytes.
    len: u64,
    /// Program headers.
    headers: u64,
    /// Of them for CPUs: as many as this machine can ever have.
    cpus: u64,
    /// Of them left for ranges of memory.
    memory_ranges: u64,
}

/// Asks the kernel, then the record.
pub fn run(arguments: &Status) -> Result<(), Error> {
    let root = Path::new(LIVE);
    let state = KexecState::read(root)?;
    // Without privilege /proc/iomem has no addresses; the rest can be said nevertheless.
    let machine = Machine::read(root, Some(NO_TSC_KHZ)).map_err(|error| say(format_args!("{}", in_full(&error)))).ok();
    let known =
        if state.crash_loaded { record::read(root).map_err(|error| say(format_args!("{}", in_full(&error)))).ok() } else { None };
    let (record, unknown_because) = match known {
        Some(Known::Image(record)) => (Some(record), None),
        Some(Known::Nothing) => (None, Some("another loader armed it")),
        Some(Known::Stale) => (None, Some("the record is from an earlier boot")),
        None => (None, state.crash_loaded.then_some("the record cannot be read")),
    };
    let image = record.as_ref().map(|record| &record.image);
    let report = Report {
        loaded: state.crash_loaded,
        crash_size: state.crash_size,
        crash_region: machine.as_ref().and_then(|machine| machine.crash_region().ok()).map(SpanSummary::from),
        used: image.map(|image| image.used()),
        crash_hotplug_cpu: state.crash_hotplug_cpu,
        crash_hotplug_memory: state.crash_hotplug_memory,
        elfcorehdr: machine.as_ref().and_then(|machine| capacity(machine, record.as_deref())),
        identity: image.map(|image| image.identity.clone()),
        unknown_because,
        record,
    };
    if arguments.json { print_json(&report) } else { print(&report.to_string()) }
}

/// Of the armed image's elfcorehdr if it is known, else of one that the kernel asks for.
fn capacity(machine: &Machine, record: Option<&Record>) -> Option<Capacity> {
    let armed = record.and_then(|record| record.image.segments.iter().find(|segment| segment.name == "elfcorehdr"));
    let len = armed.map(|segment| segment.len).or(machine.elfcorehdr_size.map(|size| size + EHDR_LEN))?;
    let headers = len.saturating_sub(EHDR_LEN) / PHDR_LEN;
    let cpus = u64::from(machine.possible_cpus);
    Some(Capacity { len, headers, cpus, memory_ranges: headers.saturating_sub(cpus + FIXED_PHDRS) })
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "armed          {}", yes(Some(self.loaded)))?;
        match &self.crash_region {
            Some(SpanSummary { start, len }) => writeln!(out, "crash region   {start:#x}-{:#x}, {}", start + len - 1, mib(*len))?,
            None => writeln!(out, "crash region   {} in all", mib(self.crash_size))?,
        }
        if let Some(used) = self.used {
            writeln!(out, "used           {}", mib(used))?;
        }
        let (cpu, memory) = (yes(self.crash_hotplug_cpu), yes(self.crash_hotplug_memory));
        writeln!(out, "stays current  cpu {cpu}, memory {memory}")?;
        if let Some(Capacity { headers, cpus, memory_ranges, .. }) = &self.elfcorehdr {
            writeln!(out, "elfcorehdr     {headers} program headers: {cpus} CPUs and {memory_ranges} ranges of memory fit")?;
        }
        if let Some(identity) = &self.identity {
            writeln!(out, "identity       {identity}")?;
        }
        if let Some(because) = self.unknown_because {
            writeln!(out, "identity       unknown: {because}")?;
        }
        if let Some(record) = &self.record {
            writeln!(out, "kernel         {}", record.kernel.display())?;
            if let Some(initrd) = &record.initrd {
                writeln!(out, "initrd         {}", initrd.display())?;
            }
        }
        Ok(())
    }
}

fn yes(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known to this kernel",
    }
}
