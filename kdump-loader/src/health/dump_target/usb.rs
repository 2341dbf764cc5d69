//! A USB disk that the capture kernel does not see, because its command line switches USB off.

use loader::cmdline;

use super::super::capture::Capture;
use super::super::files::Files;
use super::device;
use crate::findings::{Code, Finding};

/// The parameter of the module.
const OF_MODULE: &str = "usbcore.nousb";
/// The parameter of a kernel that has it built in (`core_param`, drivers/usb/core/usb.c).
const OF_KERNEL: &str = "nousb";
/// Only a module that is loaded has this file.
const IS_MODULE: &str = "sys/module/usbcore/initstate";
/// Values that leave USB on (`kstrtobool`, lib/kstrtox.c).
const ON: [&str; 7] = ["0", "n", "N", "no", "off", "f", "F"];

/// Reports that `place` is on a USB disk, if the capture kernel does not look for any.
pub fn unseen(
    files: Files<'_>,
    capture: &Capture,
    block: &str,
    place: &str,
    findings: &mut Vec<Finding>,
) {
    let Some(name) = switch(files, &capture.command_line) else { return };
    // One finding is enough if the target and the program are on the same disk.
    let is_known = findings.iter().any(|finding| finding.code == Code::TargetMissing);
    if is_known || !device::is_on_usb(files, block) {
        return;
    }
    let message = format!(
        "{place} is on a USB disk, but {name} on the capture kernel's command line switches USB off"
    );
    let remedy = format!(
        "remove {name} from the capture kernel's command line (append in the config), and arm it \
         again"
    );
    findings.push(Finding::new(Code::TargetMissing, message).remedy(remedy));
}

/// The parameter that switches USB off, if there is one.
fn switch(files: Files<'_>, line: &str) -> Option<&'static str> {
    let names: &[&str] =
        if files.exists(IS_MODULE) { &[OF_MODULE] } else { &[OF_MODULE, OF_KERNEL] };
    let is_off = |name: &&&str| {
        let words = cmdline::written(line, name);
        let value = words.last().map(|word| word.split_once('=').map(|(_, value)| value));
        value.is_some_and(|value| value.is_none_or(|value| !ON.contains(&value)))
    };
    match *names.iter().find(is_off)? {
        OF_KERNEL => Some(OF_KERNEL),
        _ => Some(OF_MODULE),
    }
}
