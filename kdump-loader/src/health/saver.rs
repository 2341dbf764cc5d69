//! Finds the program that saves the dump: in the initrd, or started by a unit on the root file
//! system that the capture kernel boots.

mod root; // the root file system that has the program
mod started; // whether the command line lets it start
mod waits; // what it waits for
mod mount; // the mount that it saves to

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::capture::Capture;
use super::dump_target::{self, Target};
use super::files::Files;
use crate::findings::{Code, Finding};
use crate::service::{UnitState, unit_state};

/// With this file, a custom initrd declares that it saves the dump. The first line names the
/// program.
pub(super) const NOTE: &str = "etc/kdump-loader/saver";

/// The program in the initrd of `--capture`.
const CAPTURE_INIT: &str = "kdump-loader's /init";

/// Debian's unit that only saves dumps.
const KDUMP_TOOLS_DUMP: &str = "kdump-tools-dump.service";
/// Debian's unit that arms in the running kernel and saves in the capture kernel.
const KDUMP_TOOLS: &str = "kdump-tools.service";
/// Fedora's unit. It saves the dump if the capture kernel boots the whole system (`start` in
/// kdumpctl checks for /proc/vmcore). openSUSE's unit of this name only arms.
const KDUMP: &str = "kdump.service";
/// Settings that only Fedora's has.
const KDUMP_CONF: &str = "etc/kdump.conf";
/// Settings of kdump-tools. Its script does nothing if `USE_KDUMP` is not 1.
const KDUMP_TOOLS_SETTINGS: &str = "etc/default/kdump-tools";

/// The package of the program, which decides where its settings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// kdump-tools of Debian and Ubuntu.
    KdumpTools,
    /// kdump-utils of Fedora and RHEL.
    KdumpUtils,
    /// The same on the root file system, where it copies /proc/vmcore (`save_core`, kdumpctl).
    Kdumpctl,
    /// kdump of openSUSE and SLES.
    Suse,
    /// An initrd with a [`NOTE`].
    Own,
    /// The initrd of `--capture`.
    Capture,
}

/// The program that saves the dump.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Saver {
    /// A unit or a program.
    pub name: String,
    /// Whether it is in the initrd. If not, it is on the root file system.
    pub in_initrd: bool,
    /// Where it saves the dump, if its settings say so.
    pub target: Option<Target>,
    /// Its package.
    #[serde(skip)]
    pub(super) service: Service,
}

impl fmt::Display for Saver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.in_initrd { "in the initrd" } else { "on the root file system" };
        write!(out, "{} {place}", self.name)?;
        self.target.iter().try_for_each(|target| write!(out, ", to {target}"))
    }
}

/// Programs in initrds: package, name, and file names that identify it. They come from the dracut
/// modules 99kdumpbase (kdump-utils) and 99kdump (openSUSE).
const IN_INITRD: [(Service, &str, &[&str]); 2] = [
    (
        Service::KdumpUtils,
        "kdump-capture.service",
        &["kdump-capture.service", "kdump.sh", "9999-kdump.sh"],
    ),
    (
        Service::Suse,
        "kdump-save",
        &["kdump-save", "kdump-save.service", "90-kdump-save", "save_dump.sh", "90-save_dump.sh"],
    ),
];

/// dracut's list of the modules in the initrd, one per line. The module 99squash moves the modules'
/// files into a separate image, but leaves a copy of this list outside. dracut-ng writes it without
/// `usr`.
pub(super) const DRACUT_MODULES: [&str; 2] =
    ["usr/lib/dracut/modules.txt", "lib/dracut/modules.txt"];
/// Names of the two modules in the list.
const IN_DRACUT: [(Service, &str); 2] =
    [(Service::KdumpUtils, "kdumpbase"), (Service::Suse, "kdump")];

pub(super) fn look(root: &Path, capture: &Capture, findings: &mut Vec<Finding>) -> Option<Saver> {
    let files = Files::new(root);
    let (name, in_initrd, service) = find(Some(root), capture, findings)?;
    // A disk image has neither memory nor devices.
    let has_devices = files.exists("proc/meminfo");
    let target =
        has_devices.then(|| dump_target::look(files, capture, service, findings)).flatten();
    if in_initrd {
        findings.extend(dump_target::newer_than_copy(files, capture, service));
    }
    if has_devices && !in_initrd {
        root::look(files, capture, &name, findings);
        waits::look(files, &name, findings);
        findings.extend(mount::look(files, &name, target.as_ref(), findings));
    }
    Some(Saver { name, in_initrd, target, service })
}

/// The program's name, whether it is in the initrd, and its package. `root` is `None` if the
/// machine is elsewhere; then nothing is said about its root file system.
pub(super) fn find(
    root: Option<&Path>,
    capture: &Capture,
    findings: &mut Vec<Finding>,
) -> Option<(String, bool, Service)> {
    let (name, in_initrd, service) = match in_initrd(capture) {
        Some((Service::Own, name)) if name.is_empty() => {
            findings.push(unknown(format!("the file /{NOTE} in the initrd names no program")));
            return None;
        }
        Some((service, name)) => (name, true, service),
        None if root.is_none() && capture.boots_root() => return None,
        None => {
            let root = root.unwrap_or(Path::new("/"));
            let (service, name) = on_root(root, Files::new(root), capture, findings)?;
            (name, false, service)
        }
    };
    if let Some(finding) = started::hindrance(capture, service, &name, in_initrd) {
        findings.push(finding);
        return None;
    }
    if service == Service::Suse
        && let Some(root) = root
        && let Some(place) = dump_target::suse_saves_only_a_log(Files::new(root), capture)
    {
        let message =
            format!("{name} saves only a log, because KDUMP_DUMPFORMAT is none in {place}");
        let remedy = "set KDUMP_DUMPFORMAT=compressed in /etc/sysconfig/kdump, and rebuild the \
                      initrd with mkdumprd";
        findings.push(Finding::new(Code::SaverMissing, message).remedy(remedy));
        return None;
    }
    Some((name, in_initrd, service))
}

fn in_initrd(capture: &Capture) -> Option<(Service, String)> {
    if capture.made.is_some() {
        return Some((Service::Capture, CAPTURE_INIT.to_owned()));
    }
    let initrd = capture.contents()?;
    if let Some(note) = initrd.kept.get(NOTE) {
        let note = String::from_utf8_lossy(note);
        return Some((Service::Own, note.lines().next().unwrap_or_default().trim().to_owned()));
    }
    let file_names: Vec<&str> =
        initrd.names.iter().filter_map(|path| path.rsplit('/').next()).collect();
    let lists = DRACUT_MODULES.iter().filter_map(|path| initrd.kept.get(*path));
    let modules: String = lists.map(|list| String::from_utf8_lossy(list)).collect();
    let listed = |service| {
        IN_DRACUT
            .iter()
            .any(|(of, name)| *of == service && modules.lines().any(|line| line.trim() == *name))
    };
    let known = IN_INITRD.into_iter().find(|(service, _, names)| {
        names.iter().any(|name| file_names.contains(name)) || listed(*service)
    })?;
    Some((known.0, known.1.to_owned()))
}

/// A unit on the root file system, if the capture kernel boots it.
fn on_root(
    root: &Path,
    files: Files<'_>,
    capture: &Capture,
    findings: &mut Vec<Finding>,
) -> Option<(Service, String)> {
    let booted = started::unit(&capture.command_line);
    // Without root=, only the initrd boots. An image with neither has its own finding.
    if !capture.boots_root() {
        if let Some(Ok(_)) = capture.initrd {
            findings.push(unknown(
                "the initrd has no program that is known to save dumps, and there is no root= to \
                 boot",
            ));
        }
        return None;
    }
    let state = |unit: &str| unit_state(root, unit).unwrap_or(UnitState::Absent);
    let (service, unit) = match booted.as_deref() {
        Some(KDUMP_TOOLS_DUMP) => (Service::KdumpTools, KDUMP_TOOLS_DUMP),
        Some(other) => {
            let there = if state(other) == UnitState::Absent {
                ", which is not on this machine"
            } else {
                ""
            };
            let message = format!(
                "the capture kernel boots {other}{there}; whether that saves a dump is unknown"
            );
            let remedy = format!(
                "end the capture kernel's command line with systemd.unit= and a unit that saves \
                 dumps, such as {KDUMP_TOOLS_DUMP}; if the initrd saves the dump, add a file \
                 /{NOTE} to it whose first line names the program"
            );
            findings.push(Finding::new(Code::SaverUnknown, message).remedy(remedy));
            return None;
        }
        None if state(KDUMP_TOOLS) == UnitState::Enabled => (Service::KdumpTools, KDUMP_TOOLS),
        None if state(KDUMP) == UnitState::Enabled && files.exists(KDUMP_CONF) => {
            (Service::Kdumpctl, KDUMP)
        }
        None => {
            let initrd = if capture.initrd.is_none() {
                "there is no initrd"
            } else {
                "the initrd has no program that is known to save dumps"
            };
            findings.push(unknown(format!(
                "{initrd}, and no enabled unit on the root file system is known to save dumps"
            )));
            return None;
        }
    };
    let missing = match state(unit) {
        UnitState::Absent => Some("is not installed"),
        UnitState::Masked => Some("is masked"),
        UnitState::Disabled | UnitState::Enabled => None,
    };
    if let Some(missing) = missing {
        let message =
            format!("the capture kernel boots {unit} to save the dump, but the unit {missing}");
        let remedy =
            "install or unmask the service, or arm an image that saves the dump in another way";
        findings.push(Finding::new(Code::SaverMissing, message).remedy(remedy));
        return None;
    }
    if service == Service::KdumpTools && dump_target::kdump_tools_is_off(files) {
        let message =
            format!("{unit} saves nothing: USE_KDUMP is not 1 in /{KDUMP_TOOLS_SETTINGS}");
        findings.push(
            Finding::new(Code::SaverMissing, message)
                .remedy(format!("set USE_KDUMP=1 in /{KDUMP_TOOLS_SETTINGS}")),
        );
        return None;
    }
    Some((service, unit.to_owned()))
}

fn unknown(message: impl Into<String>) -> Finding {
    Finding::new(Code::SaverUnknown, message).remedy(format!(
        "if your initrd saves the dump, add a file /{NOTE} to it whose first line names the \
         program; otherwise install a service that saves dumps"
    ))
}
