//! A look at everything that decides whether a panic now would leave a dump. It changes nothing.
//!
//! *On entry* a machine. *On exit* what the kernel says, what the record says, and what was found. A file that cannot be read is a finding,
//! never an error: the question is answered in every state.

use std::io::ErrorKind;
use std::path::Path;

use capture::Capture;
pub use dump_target::Target;
use files::Files;
pub use saver::Saver;
pub use wished::files_of_config;

use crate::arm::record::{self, Record};
use crate::findings::{Code, Finding};
use crate::hotplug::outdated::{self, Unknown};
use crate::options::config::{self, Config};
use crate::service;
use loader::machine::{KexecPermission, KexecState, no_reservation};

mod files; // [0] where everything is read
mod armed; // whether the armed image is up to date, and what the purgatory can do
mod reloads; // what became of the events that call for a reload
mod settings; // whether a crash gets as far as the capture kernel
mod cpus; // whether a CPU that is not used resets the machine
mod capture; // what starts after a panic
mod command_line; // what is wrong with its command line
mod room; // whether it has memory enough
mod saver; // the program that saves the dump
mod dump_target; // and where to
mod wished; // the same of what the config names, before it is armed

/// Held by a reload while it runs, below the root.
pub const RELOAD_LOCK: &str = "run/kdump-loader/reload.lock";

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// What the kernel says, if it can be asked.
    pub state: Option<KexecState>,
    /// What was recorded about the armed image, or why that is unknown; nothing if none is armed.
    pub record: Option<Result<Box<Record>, Unknown>>,
    /// What was found, in the order of the looks.
    pub findings: Vec<Finding>,
    /// The program that saves the dump, if one is known.
    pub saver: Option<Saver>,
}

/// What every look is about.
#[derive(Clone, Copy)]
struct Scene<'a> {
    /// The machine's root.
    root: &'a Path,
    /// The loader's config, if there is a usable one.
    config: Option<&'a Config>,
    /// The record of the armed image.
    record: Option<&'a Record>,
    /// No image can be armed until the next boot.
    load_disabled: bool,
}

impl Scene<'_> {
    /// How another image gets armed on this machine.
    fn rearm(&self) -> &'static str {
        match (self.load_disabled, self.config, self.record) {
            (true, ..) => "reboot; kernel.kexec_load_disabled is 1, so nothing else can replace the image",
            (false, Some(_), _) => "run kdump-loader reload",
            (false, None, Some(_)) => "run kdump-loader load again with the same options",
            (false, None, None) => "write /etc/kdump-loader.toml and run kdump-loader reload, or run kdump-loader load",
        }
    }
}

/// Looks at the machine below `root`. `config` is the one that was named; `program` is this one.
pub fn survey(root: &Path, config: Option<&Path>, program: &Path) -> Survey {
    let mut findings = Vec::new();
    let config = read_config(root, config, &mut findings);
    let state = KexecState::read(root).map_err(|error| findings.push(cannot_look(&error))).ok();
    let is_armed = state.as_ref().is_some_and(|state| state.crash_loaded);
    let record = is_armed.then(|| outdated::known(record::read(root)));
    let scene = Scene {
        root,
        config: config.as_ref(),
        record: record.as_ref().and_then(|record| record.as_deref().ok()),
        load_disabled: KexecPermission::read(root).is_ok_and(|permission| permission.load_disabled),
    };
    match (&state, &record) {
        (None, _) => {}
        (Some(state), None) => not_armed(&scene, state, &mut findings),
        (Some(_), Some(Err(because))) => {
            findings.push(armed::outdated(&scene, &outdated::Reason::Unknown { because: *because }));
        }
        (Some(_), Some(Ok(record))) => armed::look(&scene, record, program, &mut findings),
    }
    reloads::look(&scene, &mut findings);
    if is_armed && scene.load_disabled {
        let message = "kernel.kexec_load_disabled is 1: the armed image stays as it is until the next boot";
        findings.push(Finding::new(Code::ReloadDisabled, message));
    }
    if is_armed {
        settings::look(&scene, &mut findings);
        cpus::look(&scene, &mut findings);
    }
    let saver = scene.record.and_then(|record| {
        let capture = Capture::armed(Files::new(root), record);
        command_line::look(root, &capture, &record.advice, &mut findings);
        let crash_size = state.as_ref().map_or(0, |state| state.crash_size);
        room::look(Files::new(root), &capture, record.image.as_ref(), crash_size, &mut findings);
        capture.look(&mut findings);
        saver::look(root, &capture, &mut findings)
    });
    if config.is_some() {
        others_who_arm(root, &mut findings);
    }
    Survey { state, record, findings, saver }
}

fn cannot_look(error: &dyn std::error::Error) -> Finding {
    Finding::new(Code::CannotLook, capture::in_full(error))
}

/// The config, if there is one that can be used.
fn read_config(root: &Path, named: Option<&Path>, findings: &mut Vec<Finding>) -> Option<Config> {
    match Config::read(root, named) {
        Ok(config) => Some(config),
        // A machine on which `load` is called directly has none.
        Err(config::Error::Read { source, .. }) if source.kind() == ErrorKind::NotFound && named.is_none() => None,
        Err(error) => {
            let message = format!("the next reload will fail: {error}");
            findings.push(Finding::new(Code::ConfigUnusable, message).remedy("correct the config, then run kdump-loader reload"));
            None
        }
    }
}

fn not_armed(scene: &Scene<'_>, state: &KexecState, findings: &mut Vec<Finding>) {
    let not_armed = Finding::new(Code::NotArmed, "no capture kernel is armed");
    if state.crash_size > 0 {
        findings.push(if scene.load_disabled { not_armed } else { not_armed.remedy(scene.rearm()) });
    } else {
        findings.extend([not_armed, no_crash_region(scene.root)]);
    }
    if scene.load_disabled {
        let message = "kernel.kexec_load_disabled is 1, so no capture kernel can be armed";
        let remedy = "reboot, and arm the capture kernel before the sysctl is set";
        findings.push(Finding::new(Code::LoadDisabled, message).remedy(remedy));
    }
}

/// The cause names its own remedy.
fn no_crash_region(root: &Path) -> Finding {
    match no_reservation::find(root) {
        Ok(cause) => Finding::new(Code::NoCrashRegion, cause.to_string()),
        Err(error) => Finding::new(
            Code::NoCrashRegion,
            format!("no memory is reserved for a capture kernel; the cause is unknown: {error}"),
        ),
    }
}

/// Services that are enabled and udev rules, unless they are held back.
fn others_who_arm(root: &Path, findings: &mut Vec<Finding>) {
    match service::conflicts(root) {
        Ok(others) => findings.extend(others.iter().map(|other| {
            let message = format!("{} also arms capture kernels, and the last one to arm wins", other.name());
            Finding::new(Code::OtherService, message)
                .remedy("run kdump-loader service install --mask-conflicts, or remove this loader's config")
        })),
        Err(error) => findings.push(cannot_look(&error)),
    }
}

#[cfg(test)]
mod tests;
