//! Whether the armed image is up to date, and what its purgatory can do.

use std::path::{Path, PathBuf};

use loader::describe::elfcorehdr;
use loader::files::identity::FileIdentity;
use loader::image::Summary;
use loader::machine::Present;

use super::files::Files;
use super::room::possible_cpus;
use super::{Scene, cannot_look};
use crate::arm::record::origin::{Origin, PROGRAM};
use crate::arm::record::{Call, Record};
use crate::capture::{self, Place};
use crate::findings::{Code, Finding};
use crate::hotplug::outdated::{Armed, Reason, Unknown};
use crate::hotplug::queue::Queue;
use crate::messages::in_full;
use crate::options::Options;
use crate::options::config::{Config, FilePolicy};

/// At this percentage of the crash region, a slightly larger image may not fit.
const NEARLY_FULL: u64 = 90;

pub(super) fn look(
    scene: &Scene<'_>,
    record: &Record,
    program: &Path,
    findings: &mut Vec<Finding>,
) {
    let looked = Present::read(scene.root).and_then(|present| {
        Armed::find(scene.root, Box::new(record.clone()), &present).map(|armed| (armed, present))
    });
    match looked {
        Ok((armed, present)) => {
            let mut reasons = armed.machine_reasons(&present, &Queue::new(scene.root).waiting());
            let changed = match scene.config {
                Some(config) => {
                    let wished = Origin::of(scene.root, &config.options, program);
                    let mut changed = armed.wish_reasons(&wished, config.file);
                    findings.extend(without_target(scene, config, &wished, &mut changed));
                    if let Some(path) = missing(&config.options, &wished)
                        && changed.iter().any(is_of_an_option)
                    {
                        changed.retain(|reason| !is_of_an_option(reason));
                        findings.push(unusable(path));
                    }
                    changed
                }
                None => {
                    let wished = unchanged(scene.root, record, program);
                    let mut changed = armed.wish_reasons(&wished, FilePolicy::Auto);
                    // `dump_target` looks at the armed one.
                    changed.retain(|reason| wished.target.is_some() || !is_of_the_target(reason));
                    changed
                }
            };
            // Both checks report an old record; one finding is enough.
            reasons.extend(
                changed
                    .into_iter()
                    .filter(|reason| *reason != OLDER_RECORD || !reasons.contains(reason))
                    .collect::<Vec<_>>(),
            );
            findings.extend(reasons.iter().map(|reason| outdated(scene, reason)));
            findings.extend(
                record.image.as_ref().and_then(|image| header_full(scene, image, &present)),
            );
        }
        Err(error) => findings.push(cannot_look(&error)),
    }
    match &record.image {
        Some(image) => purgatory(image, findings),
        None if record.call == Call::KexecFileLoad => {
            let message = "the kernel's built-in purgatory verifies the image; if the image is \
                           corrupt, it hangs without a message";
            findings.push(Finding::new(Code::KernelsPurgatory, message));
        }
        None => {}
    }
    // `load` estimated the free memory; `room` measures it now.
    let estimated = Code::LittleRoom.word();
    findings.extend(
        record
            .advice
            .iter()
            .filter(|advice| advice.code != estimated)
            .map(|advice| advice.finding()),
    );
}

const OLDER_RECORD: Reason = Reason::Unknown { because: Unknown::OlderRecord };

/// The finding that says why the armed image is out of date.
pub(super) fn outdated(scene: &Scene<'_>, reason: &Reason) -> Finding {
    let code = match reason {
        Reason::NotArmed | Reason::Forced | Reason::WatchdogStarted { .. } => Code::Outdated,
        Reason::Unknown { because: Unknown::OlderRecord } => Code::OlderRecord,
        Reason::Unknown { .. } => Code::UnknownImage,
        Reason::MemoryAdded { .. } => Code::MemoryMissing,
        Reason::MemoryRemoved { .. } => Code::MemoryStale,
        Reason::BlockRemoved { .. } => Code::MemoryRemoved,
        Reason::CpuAdded { .. } => Code::CpuMissing,
        Reason::FileChanged { .. } => Code::FileChanged,
        Reason::FileGone { .. } => return file_gone(scene, reason),
        Reason::OptionChanged { .. } | Reason::CallChanged | Reason::TargetChanged { .. } => {
            Code::ConfigChanged
        }
    };
    Finding::new(code, reason.to_string()).remedy(scene.rearm())
}

/// A reload cannot help: it would read the file.
fn file_gone(scene: &Scene<'_>, reason: &Reason) -> Finding {
    let message =
        format!("{reason}; the armed image is a copy in memory, and works until the next boot");
    let remedy = match (scene.load_disabled, scene.config) {
        (true, _) => scene.rearm(),
        (false, Some(_)) => {
            "name an installed kernel and its initrd in the config, then run kdump-loader reload; \
             or reboot, if the config has {release} in their paths: it then names the files of the \
             kernel that was booted"
        }
        (false, None) => "run kdump-loader load with an installed kernel and its initrd",
    };
    Finding::new(Code::FileGone, message).remedy(remedy)
}

fn is_of_an_option(reason: &Reason) -> bool {
    matches!(reason, Reason::OptionChanged { .. })
}

fn is_of_the_target(reason: &Reason) -> bool {
    matches!(reason, Reason::TargetChanged { .. })
}

/// The config's `capture` cannot be a target now, so the armed one has not changed to another, and
/// a reload would fail. The finding says so, unless `dump_target` reports the same device.
fn without_target(
    scene: &Scene<'_>,
    config: &Config,
    wished: &Origin,
    changed: &mut Vec<Reason>,
) -> Option<Finding> {
    let place = config.options.capture.as_ref().filter(|_| wished.target.is_none())?;
    changed.retain(|reason| !is_of_the_target(reason));
    let error = capture::target_now(scene.root, place).err()?;
    let armed = scene.record?.origin.as_ref()?.target.as_ref();
    let is_usable = |target| capture::expect(Files::new(scene.root), target).is_ok();
    if !armed.is_none_or(is_usable) {
        return None;
    }
    if error.is_silence() {
        return Some(cannot_look(&error));
    }
    let message =
        format!("a reload would fail, because of the config's `capture`: {}", in_full(&error));
    Some(Finding::new(Code::ConfigUnusable, message))
}

/// The kernel or initrd that the options name and that no identity could be taken of.
fn missing<'o>(options: &'o Options, wished: &Origin) -> Option<&'o Path> {
    let named = [("kernel", Some(&options.kernel)), ("initrd", options.initrd.as_ref())];
    named.into_iter().find_map(|(key, path)| {
        path.filter(|_| !wished.files.contains_key(key)).map(PathBuf::as_path)
    })
}

/// The image was armed with other options, as by `load --capture` beside the package's config,
/// which names an initrd that only kdump-tools makes. A reload would fail.
fn unusable(path: &Path) -> Finding {
    let message = format!(
        "the config names {}, which is missing or cannot be read, so a reload would fail; the \
         image was armed with other options and does not need it",
        path.display()
    );
    let remedy = "write the options of the armed image into the config, whose keys are the long \
                  options of kdump-loader load";
    Finding::new(Code::ConfigUnusable, message).remedy(remedy)
}

fn purgatory(image: &Summary, findings: &mut Vec<Finding>) {
    let percent = image.used() * 100 / image.crash_region.len.max(1);
    if percent >= NEARLY_FULL {
        let message = format!(
            "the image uses {percent} % of the crash region: a slightly larger image will not fit"
        );
        findings.push(
            Finding::new(Code::RegionNearlyFull, message).remedy("boot with a larger crashkernel="),
        );
    }
    if image.console_port.is_none() {
        let message = "the purgatory has no console: if it rejects the image, it prints nothing";
        let remedy = "set a console with --console, or with console=ttyS0 on the capture kernel's \
                      command line";
        findings.push(Finding::new(Code::NoConsole, message).remedy(remedy));
    }
}

/// The options that armed the image, and its files as they are now.
fn unchanged(root: &Path, record: &Record, program: &Path) -> Origin {
    let origin = record.origin.clone().unwrap_or_default();
    let now = |key: &String, path: &str| {
        FileIdentity::of(if key == PROGRAM { program } else { Path::new(path) })
    };
    let files = origin
        .files
        .iter()
        .filter_map(|(key, file)| Some((key.clone(), now(key, &file.path).ok()?)));
    let place = origin.options.get("capture").and_then(|text| Place::parse(text).ok());
    let target = place.map(|place| capture::target_now(root, &place));
    let captures = origin.options.contains_key("capture");
    let watchdogs = if captures { capture::watchdogs_now(root) } else { Vec::new() };
    Origin { files: files.collect(), watchdogs, ..origin.clone() }.with_target(target)
}

/// Checks that the kernel's next update of the elfcorehdr fits: one program header for each memory
/// range and each possible CPU, present or not (`crash_prepare_elf64_headers`,
/// kernel/crash_core.c).
fn header_full(scene: &Scene<'_>, image: &Summary, present: &Present) -> Option<Finding> {
    let segment = image.segments.iter().find(|segment| segment.name == "elfcorehdr")?;
    let fit = elfcorehdr::capacity(segment.len);
    let cpus = u64::from(possible_cpus(Files::new(scene.root))).max(present.cpus.len() as u64);
    let needed = cpus + elfcorehdr::FIXED_PHDRS + present.memory.len() as u64;
    let message = format!(
        "the elfcorehdr has room for {fit} program headers, but the machine needs {needed}: the \
         kernel cannot keep it up to date"
    );
    let remedy = if scene.config.is_some() && !scene.load_disabled {
        "run kdump-loader reload --force"
    } else {
        scene.rearm()
    };
    (needed > fit).then(|| Finding::new(Code::HeaderFull, message).remedy(remedy))
}
