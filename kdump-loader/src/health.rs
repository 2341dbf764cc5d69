//! Checks everything that decides whether a panic now would leave a dump. It changes nothing.
//!
//! *On entry* a machine.
//!
//! *On exit*
//! - the state that the kernel reports
//! - the record of the armed image
//! - the findings
//!
//! A file that cannot be read is a finding, never an error: `status` answers in every state.

use std::io::ErrorKind;
use std::path::Path;

use loader::machine::{KexecPermission, KexecState, no_reservation};

use crate::arm::record::{self, Record};
use crate::findings::{Code, Finding};
use crate::hotplug::outdated::{self, Unknown};
use crate::messages::in_full;
use crate::options::config::{self, Config};
use crate::service;
use capture::Capture;
pub use dump_target::Target;
use files::Files;
pub use room::{estimate, possible_cpus};
pub use saver::Saver;
pub use wished::{files_of_config, files_to_arm, mismatch};

pub(crate) mod files; // [0] reads files below a root
mod armed; // whether the armed image is up to date, and what its purgatory can do
mod reloads; // whether reloads have failed or wait
mod settings; // whether a crash reaches the capture kernel
mod cpus; // whether an unused CPU may reset the machine
mod capture; // the capture kernel and its files
mod command_line; // problems of its command line
mod room; // whether it has enough memory
mod saver; // the program that saves the dump
pub(crate) mod dump_target; // the place where it saves the dump
pub mod last_dump; // the dump of an earlier panic
mod last_panic; // whether an operator has seen that it left none
mod wished; // the same checks for files before they are armed

/// Held by a reload while it runs, below the root.
pub const RELOAD_LOCK: &str = "run/kdump-loader/reload.lock";

/// The results.
#[derive(Debug)]
pub struct Survey {
    /// The state that the kernel reports, if it can be read.
    pub state: Option<KexecState>,
    /// The record of the armed image, or why there is none; `None` if nothing is armed.
    pub record: Option<Result<Box<Record>, Unknown>>,
    /// The findings, in the order of the checks.
    pub findings: Vec<Finding>,
    /// The program that saves the dump, if one is known.
    pub saver: Option<Saver>,
}

/// The input of every check.
#[derive(Clone, Copy)]
struct Scene<'a> {
    /// The machine's root.
    root: &'a Path,
    /// The loader's config, if it is usable.
    config: Option<&'a Config>,
    /// The record of the armed image.
    record: Option<&'a Record>,
    /// No image can be armed until the next boot.
    load_disabled: bool,
}

impl Scene<'_> {
    /// The remedy that arms a new image on this machine.
    fn rearm(&self) -> &'static str {
        match (self.load_disabled, self.config, self.record) {
            (true, ..) => {
                "reboot; kernel.kexec_load_disabled is 1, so nothing else can replace the image"
            }
            (false, Some(_), _) => "run kdump-loader reload",
            (false, None, Some(_)) => "run kdump-loader load again with the same options",
            (false, None, None) => {
                "write /etc/kdump-loader.toml and run kdump-loader reload, or run kdump-loader load"
            }
        }
    }
}

/// Surveys the machine below `root`. `config` is an explicitly named config; `program` is this
/// program's file.
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
            findings
                .push(armed::outdated(&scene, &outdated::Reason::Unknown { because: *because }));
        }
        (Some(_), Some(Ok(record))) => armed::look(&scene, record, program, &mut findings),
    }
    reloads::look(&scene, &mut findings);
    if is_armed && scene.load_disabled {
        let message = "kernel.kexec_load_disabled is 1: the armed image cannot be replaced until \
                       the next boot";
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
    let target = saver.as_ref().and_then(|saver| saver.target.as_ref());
    last_panic::look(root, target, &mut findings);
    Survey { state, record, findings, saver }
}

fn cannot_look(error: &dyn std::error::Error) -> Finding {
    Finding::new(Code::CannotLook, in_full(error))
}

/// The config, if it exists and has no error.
fn read_config(root: &Path, named: Option<&Path>, findings: &mut Vec<Finding>) -> Option<Config> {
    match Config::read(root, named) {
        Ok(config) => Some(config),
        // A machine that only uses `load` has no config.
        Err(config::Error::Read { source, .. })
            if source.kind() == ErrorKind::NotFound && named.is_none() =>
        {
            None
        }
        Err(error) => {
            let message = format!("the next reload will fail: {error}");
            findings.push(
                Finding::new(Code::ConfigUnusable, message)
                    .remedy("correct the config, then run kdump-loader reload"),
            );
            None
        }
    }
}

fn not_armed(scene: &Scene<'_>, state: &KexecState, findings: &mut Vec<Finding>) {
    let not_armed = Finding::new(Code::NotArmed, "no capture kernel is armed");
    if state.crash_size > 0 {
        findings.push(if scene.load_disabled {
            not_armed
        } else {
            not_armed.remedy(scene.rearm())
        });
    } else {
        findings.extend([not_armed, no_crash_region(scene.root)]);
    }
    if scene.load_disabled {
        let message = "kernel.kexec_load_disabled is 1, so no capture kernel can be armed";
        let remedy = "reboot, and arm the capture kernel before kernel.kexec_load_disabled is set";
        findings.push(Finding::new(Code::LoadDisabled, message).remedy(remedy));
    }
}

/// The message of the cause includes its remedy.
fn no_crash_region(root: &Path) -> Finding {
    match no_reservation::find(root) {
        Ok(cause) => Finding::new(Code::NoCrashRegion, cause.to_string()),
        Err(error) => Finding::new(
            Code::NoCrashRegion,
            format!("no memory is reserved for a capture kernel; the cause is unknown: {error}"),
        ),
    }
}

/// Other services and udev rules that arm.
fn others_who_arm(root: &Path, findings: &mut Vec<Finding>) {
    match service::conflicts(root) {
        Ok(others) => findings.extend(others.iter().map(|other| {
            let message = format!(
                "{} also arms capture kernels, and the last image to be armed wins",
                other.name()
            );
            Finding::new(Code::OtherService, message).remedy(
                "run kdump-loader service install --mask-conflicts, or remove this loader's config",
            )
        })),
        Err(error) => findings.push(cannot_look(&error)),
    }
}

#[cfg(test)]
mod tests;
