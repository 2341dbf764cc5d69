//! A USB disk that the capture kernel does not see, because its command line switches USB off.

use loader::cmdline;

use super::super::capture::Capture;
use super::super::files::Files;
use super::device;
use crate::findings::{Code, Finding};

/// The parameter (`module_param`, drivers/usb/core/usb.c). `nousb` alone does nothing since 4.4.
const SWITCH: &str = "usbcore.nousb";
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
    if !is_off(&capture.command_line) {
        return;
    }
    // One finding is enough if the target and the program are on the same disk.
    let is_known = findings.iter().any(|finding| finding.code == Code::TargetMissing);
    if is_known || !device::is_on_usb(files, block) {
        return;
    }
    let message = format!(
        "{place} is on a USB disk, but {SWITCH} on the capture kernel's command line switches USB off"
    );
    let remedy = format!(
        "remove {SWITCH} from the capture kernel's command line (append in the config), and arm it \
         again"
    );
    findings.push(Finding::new(Code::TargetMissing, message).remedy(remedy));
}

/// Whether the capture kernel leaves USB off.
fn is_off(line: &str) -> bool {
    let words = cmdline::written(line, SWITCH);
    let value = words.last().map(|word| word.split_once('=').map(|(_, value)| value));
    value.is_some_and(|value| value.is_none_or(|value| !ON.contains(&value)))
}
