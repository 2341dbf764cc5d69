//! `kdump-loader status`: if it panics now, is there a dump? And what is armed.

use std::cmp::Reverse;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::arm::record::{Call, Record};
use crate::findings::{Answer, Finding};
use crate::health::{Saver, Survey, survey};
use loader::describe::elfcorehdr;
use loader::image::{SpanSummary, mib};
use loader::machine::{Machine, Measured};
use loader::submit;
use serde::Serialize;

use super::{Error, OURSELVES, print, print_json};
use crate::cli::Status;

mod prometheus;

/// Stands in for the time-stamp counter's frequency, which `status` does not tell and need not wait for.
const NO_TSC_KHZ: u32 = 1;
/// "No", "cannot tell", or with --strict "yes, but".
const NOT_YES: u8 = 1;

/// What `status` prints. What the kernel or the record does not say is null.
#[derive(Serialize)]
pub(super) struct Report {
    /// Whether a panic now would leave a dump.
    pub answer: Answer,
    /// What was found.
    pub findings: Vec<Finding>,
    /// The program that saves the dump, if one is known.
    pub saver: Option<Saver>,
    /// An image is armed.
    pub loaded: Option<bool>,
    /// Bytes in all crash regions.
    pub crash_size: Option<u64>,
    /// Where the image is, or would go.
    pub crash_region: Option<SpanSummary>,
    /// Bytes of it that the image takes.
    pub used: Option<u64>,
    /// The kernel keeps the image up to date when CPUs come and go.
    pub crash_hotplug_cpu: Option<bool>,
    /// The same when memory comes. When memory goes, the kernel leaves its range in the elfcorehdr.
    pub crash_hotplug_memory: Option<bool>,
    /// What fits the elfcorehdr.
    pub elfcorehdr: Option<Capacity>,
    /// The seal of the armed image.
    pub identity: Option<String>,
    /// Why it is unknown.
    pub unknown_because: Option<String>,
    /// What was recorded when it was armed.
    pub record: Option<Box<Record>>,
}

/// What fits an elfcorehdr.
#[derive(Serialize)]
pub(super) struct Capacity {
    /// Bytes.
    pub len: u64,
    /// Program headers.
    pub headers: u64,
    /// Of them for CPUs: as many as this machine can ever have.
    pub cpus: u64,
    /// Of them left for ranges of memory.
    pub memory_ranges: u64,
}

/// Looks at everything, answers, and says what is armed.
pub fn run(arguments: &Status) -> Result<ExitCode, Error> {
    let root = &arguments.root;
    let Survey { state, record, findings, saver } = survey(root, arguments.config.as_deref(), Path::new(OURSELVES));
    // Without privilege /proc/iomem has no addresses, and a locked-down kernel hides more. The findings say so where it matters.
    let measured = Measured { tsc_khz: NO_TSC_KHZ, cpuid: submit::cpuid() };
    let machine = Machine::read(root, Some(measured)).ok();
    let (record, unknown_because) = match record {
        Some(Ok(record)) if record.call == Call::KexecFileLoad => (Some(record), Some("the kernel made the image".to_owned())),
        Some(Ok(record)) => (Some(record), None),
        Some(Err(because)) => (None, Some(because.to_string())),
        None => (None, None),
    };
    let image = record.as_ref().and_then(|record| record.image.as_ref());
    let report = Report {
        answer: Answer::of(&findings),
        findings,
        saver,
        loaded: state.as_ref().map(|state| state.crash_loaded),
        crash_size: state.as_ref().map(|state| state.crash_size),
        crash_region: machine.as_ref().and_then(|machine| machine.crash_region().ok()).map(SpanSummary::from),
        used: image.map(|image| image.used()),
        crash_hotplug_cpu: state.as_ref().and_then(|state| state.crash_hotplug.cpu),
        crash_hotplug_memory: state.as_ref().and_then(|state| state.crash_hotplug.memory),
        elfcorehdr: machine.as_ref().and_then(|machine| capacity(machine, record.as_deref())),
        identity: image.map(|image| image.identity.clone()),
        unknown_because,
        record,
    };
    let written = arguments.prometheus.as_ref().map_or(Ok(()), |path| prometheus::write(path, &report));
    // A file that cannot be written is no reason to withhold the answer.
    if arguments.json {
        print_json(&report)?
    } else {
        print(&report.to_string())?
    }
    written?;
    Ok(match report.answer {
        Answer::Yes => ExitCode::SUCCESS,
        Answer::YesBut if !arguments.strict => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_YES),
    })
}

/// Of the armed image's elfcorehdr if it is known, else of one that the kernel asks for.
fn capacity(machine: &Machine, record: Option<&Record>) -> Option<Capacity> {
    let image = record.and_then(|record| record.image.as_ref());
    let armed = image.and_then(|image| image.segments.iter().find(|segment| segment.name == "elfcorehdr"));
    let len = armed.map(|segment| segment.len).or(elfcorehdr::kernels_len(machine))?;
    let headers = elfcorehdr::capacity(len);
    let cpus = u64::from(machine.possible_cpus);
    Some(Capacity { len, headers, cpus, memory_ranges: headers.saturating_sub(cpus + elfcorehdr::FIXED_PHDRS) })
}

impl Report {
    /// The answer in one line, and every finding, the heaviest first.
    fn write_answer(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.answer, &self.saver) {
            (Answer::Yes, Some(saver)) => writeln!(out, "yes: a panic now would leave a dump, saved by {saver}")?,
            (Answer::Yes, None) => writeln!(out, "yes: a panic now would leave a dump")?,
            (Answer::YesBut, _) => writeln!(out, "yes, but: a panic now would leave a dump, with these limits")?,
            (Answer::CannotTell, _) => writeln!(out, "cannot tell whether a panic now would leave a dump")?,
            (Answer::No, _) => writeln!(out, "no: a panic now would leave no dump")?,
        }
        let mut findings: Vec<&Finding> = self.findings.iter().collect();
        findings.sort_by_key(|finding| Reverse(finding.level));
        findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_answer(out)?;
        writeln!(out, "\narmed          {}", self.loaded.map_or("unknown", |loaded| yes(Some(loaded))))?;
        match (&self.crash_region, self.crash_size) {
            (Some(SpanSummary { start, len }), _) => {
                writeln!(out, "crash region   {start:#x}-{:#x}, {} MiB", start + len - 1, mib(*len))?
            }
            (None, Some(size)) => writeln!(out, "crash region   {} MiB in all", mib(size))?,
            (None, None) => writeln!(out, "crash region   unknown")?,
        }
        if let Some(saver) = &self.saver {
            writeln!(out, "saved by       {saver}")?;
        }
        if let Some(used) = self.used {
            writeln!(out, "used           {} MiB", mib(used))?;
        }
        let (cpu, memory) = (yes(self.crash_hotplug_cpu), yes(self.crash_hotplug_memory));
        writeln!(out, "stays current  when a CPU comes or goes: {cpu}; when memory comes: {memory}")?;
        if self.loaded == Some(true) && self.crash_hotplug_memory == Some(true) {
            writeln!(out, "               after memory is removed, reload")?;
        }
        if let Some(Capacity { headers, cpus, memory_ranges, .. }) = &self.elfcorehdr {
            writeln!(out, "elfcorehdr     {headers} program headers: {cpus} CPUs and {memory_ranges} ranges of memory fit")?;
        }
        if let Some(identity) = &self.identity {
            writeln!(out, "identity       {identity}")?;
        }
        if let Some(because) = &self.unknown_because {
            writeln!(out, "identity       unknown: {because}")?;
        }
        if let Some(record) = &self.record {
            if let Some(image) = &record.image {
                writeln!(out, "purgatory      {}", image.purgatory)?;
            }
            writeln!(out, "kernel         {}", record.kernel)?;
            if let Some(initrd) = &record.initrd {
                writeln!(out, "initrd         {}", initrd)?;
            }
            if let Some(command_line) = &record.command_line {
                writeln!(out, "armed by       kexec_file_load, with the kernel's own purgatory")?;
                writeln!(out, "command line   {command_line}")?;
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
