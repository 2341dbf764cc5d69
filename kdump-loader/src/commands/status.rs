//! `kdump-loader status`: would a panic now leave a dump, and what is armed?

use std::cmp::Reverse;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use loader::describe::elfcorehdr;
use loader::image::{SpanSummary, mib};
use loader::machine::{Machine, Measured};
use loader::submit;
use serde::Serialize;

use super::{Error, print, print_json};
use crate::arm::record::{Call, Record};
use crate::arm::request_for::OURSELVES;
use crate::black_box::saved::Saved;
use crate::cli::Status;
use crate::findings::{Answer, Code, Finding};
use crate::health::{Saver, Survey, survey};

mod prometheus;

/// Stands in for the TSC frequency. `status` does not print it, and measuring it takes time.
const NO_TSC_KHZ: u32 = 1;
/// Exit status of "no" and "cannot tell", and with --strict of "yes, but".
const NOT_YES: u8 = 1;

/// What `status` prints. Unknown values are null in JSON.
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
    /// The region that the image is in, or would go into.
    pub crash_region: Option<SpanSummary>,
    /// Bytes of the region that the image uses.
    pub used: Option<u64>,
    /// The kernel updates the image when CPUs are added or removed.
    pub crash_hotplug_cpu: Option<bool>,
    /// The kernel updates the image when memory is added. Removed ranges stay in the elfcorehdr.
    pub crash_hotplug_memory: Option<bool>,
    /// Room in the elfcorehdr.
    pub elfcorehdr: Option<Capacity>,
    /// The seal of the armed image.
    pub identity: Option<String>,
    /// Why the identity is unknown.
    pub unknown_because: Option<String>,
    /// The record of the armed image.
    pub record: Option<Box<Record>>,
    /// When the last recorded panic happened, or was found, in seconds since 1970.
    pub last_panic: Option<u64>,
}

/// Room in an elfcorehdr.
#[derive(Serialize)]
pub(super) struct Capacity {
    /// Bytes.
    pub len: u64,
    /// Program headers that fit.
    pub headers: u64,
    /// Headers for CPUs: one for each CPU that this machine can ever have.
    pub cpus: u64,
    /// Headers left for memory ranges.
    pub memory_ranges: u64,
}

/// Surveys the machine, answers, and says what is armed.
pub fn run(arguments: &Status) -> Result<ExitCode, Error> {
    let root = &arguments.root;
    let Survey { state, record, findings, saver } =
        survey(root, arguments.config.as_deref(), Path::new(OURSELVES));
    // Without privilege /proc/iomem has no addresses, and a locked-down kernel hides more. Findings
    // report that.
    let measured = Measured { tsc_khz: NO_TSC_KHZ, cpuid: submit::cpuid() };
    let machine = Machine::read(root, Some(measured)).ok();
    let (record, unknown_because) = match record {
        Some(Ok(record)) if record.call == Call::KexecFileLoad => {
            (Some(record), Some("the kernel built the image".to_owned()))
        }
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
        crash_region: machine
            .as_ref()
            .and_then(|machine| machine.crash_region().ok())
            .map(SpanSummary::from),
        used: image.map(|image| image.used()),
        crash_hotplug_cpu: state.as_ref().and_then(|state| state.crash_hotplug.cpu),
        crash_hotplug_memory: state.as_ref().and_then(|state| state.crash_hotplug.memory),
        elfcorehdr: machine.as_ref().and_then(|machine| capacity(machine, record.as_deref())),
        identity: image.map(|image| image.identity.clone()),
        unknown_because,
        record,
        last_panic: last_panic(root),
    };
    let written =
        arguments.prometheus.as_ref().map_or(Ok(()), |path| prometheus::write(path, &report));
    // If the file cannot be written, the answer still comes first.
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

/// When the last recorded panic happened, or was found.
fn last_panic(root: &Path) -> Option<u64> {
    let Saved { panic, .. } = Saved::all(root).pop()?;
    Some(panic.panicked_at.unwrap_or(panic.harvested_at))
}

/// Room in the armed image's elfcorehdr if that is known, otherwise in one of the size that the
/// kernel requests.
fn capacity(machine: &Machine, record: Option<&Record>) -> Option<Capacity> {
    let image = record.and_then(|record| record.image.as_ref());
    let armed =
        image.and_then(|image| image.segments.iter().find(|segment| segment.name == "elfcorehdr"));
    let len = armed.map(|segment| segment.len).or(elfcorehdr::kernels_len(machine))?;
    let headers = elfcorehdr::capacity(len);
    let cpus = u64::from(machine.possible_cpus);
    Some(Capacity {
        len,
        headers,
        cpus,
        memory_ranges: headers.saturating_sub(cpus + elfcorehdr::FIXED_PHDRS),
    })
}

impl Report {
    /// The answer in one line, then every finding, most severe first.
    fn write_answer(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.answer, &self.saver) {
            (Answer::Yes, Some(saver)) => {
                writeln!(out, "yes: a panic now would leave a dump, saved by {saver}")?
            }
            (Answer::Yes, None) => writeln!(out, "yes: a panic now would leave a dump")?,
            (Answer::YesBut, _) => {
                writeln!(out, "yes, but: a panic now would leave a dump, with these limits")?
            }
            (Answer::CannotTell, _) => {
                writeln!(out, "cannot tell whether a panic now would leave a dump")?
            }
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
        writeln!(
            out,
            "\narmed          {}",
            self.loaded.map_or("unknown", |loaded| yes(Some(loaded)))
        )?;
        match (&self.crash_region, self.crash_size) {
            (Some(SpanSummary { start, len }), _) => writeln!(
                out,
                "crash region   {start:#x}-{:#x}, {} MiB",
                start + len - 1,
                mib(*len)
            )?,
            (None, Some(size)) => writeln!(out, "crash region   {} MiB in total", mib(size))?,
            (None, None) => writeln!(out, "crash region   unknown")?,
        }
        if let Some(saver) = &self.saver {
            writeln!(out, "saved by       {saver}")?;
        }
        if let Some(used) = self.used {
            writeln!(out, "used           {} MiB", mib(used))?;
        }
        let (cpu, memory) = (yes(self.crash_hotplug_cpu), yes(self.crash_hotplug_memory));
        writeln!(out, "kernel updates when CPUs change: {cpu}; when memory is added: {memory}")?;
        if self.loaded == Some(true) && self.crash_hotplug_memory == Some(true) {
            let origin = self.record.as_ref().and_then(|record| record.origin.as_ref());
            let is_unknown = self.findings.iter().any(|it| it.code == Code::UnknownImage);
            let is_left_out =
                !is_unknown && origin.is_some_and(|origin| origin.skips_removed_memory);
            let after = if is_left_out {
                "memory that is removed is left out of the dump"
            } else {
                "reload after memory is removed"
            };
            writeln!(out, "               {after}")?;
        }
        if let Some(Capacity { headers, cpus, memory_ranges, .. }) = &self.elfcorehdr {
            writeln!(
                out,
                "elfcorehdr     {headers} program headers: room for {cpus} CPUs and \
                 {memory_ranges} memory ranges"
            )?;
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
                writeln!(
                    out,
                    "armed by       kexec_file_load, with the kernel's built-in purgatory"
                )?;
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
        None => "not supported by this kernel",
    }
}
