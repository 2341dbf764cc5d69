//! Settings of the running kernel that decide whether a crash reaches the capture kernel.

use super::Scene;
use super::files::Files;
use crate::findings::{Code, Finding};

/// /proc/sys/kernel/panic_on_oops.
const PANIC_ON_OOPS: &str = "proc/sys/kernel/panic_on_oops";
/// Whether panic notifiers run before the capture kernel starts (`crash_kexec_post_notifiers`,
/// kernel/panic.c).
const POST_NOTIFIERS: &str = "sys/module/kernel/parameters/crash_kexec_post_notifiers";

pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let files = Files::new(scene.root);
    match files.line(PANIC_ON_OOPS).as_deref() {
        Some("0") => {
            let message = "kernel.panic_on_oops is 0: after an oops the kernel continues without a \
                           panic and without a dump";
            let remedy = "run sysctl -w kernel.panic_on_oops=1, and add the setting to \
                          /etc/sysctl.d for the next boot";
            findings.push(Finding::new(Code::OopsWithoutDump, message).remedy(remedy));
        }
        Some(_) => {}
        None => {
            let message = format!(
                "whether an oops leaves a dump is unknown: /{PANIC_ON_OOPS} cannot be read"
            );
            findings.push(Finding::new(Code::OopsWithoutDump, message));
        }
    }
    if files.line(POST_NOTIFIERS).as_deref() == Some("Y") {
        let message = "crash_kexec_post_notifiers is set: panic notifiers run before the capture \
                       kernel, and one that hangs prevents the dump";
        let remedy = "boot without it, unless this machine needs a notifier (Hyper-V guests set it \
                      themselves)";
        findings.push(Finding::new(Code::PostNotifiers, message).remedy(remedy));
    }
}
