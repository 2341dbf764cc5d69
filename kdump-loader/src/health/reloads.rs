//! Whether hotplug events wait for a reload, and whether reloads have failed.

use super::{RELOAD_LOCK, Scene};
use crate::arm::record::{failure, lock};
use crate::findings::{Code, Finding};
use crate::hotplug::queue::Queue;

pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let queue = Queue::new(scene.root);
    let running = lock::is_locked(&scene.root.join(RELOAD_LOCK));
    let failed = failure::read(scene.root);
    if queue.taken() && !running && failed.is_none() {
        findings.push(
            Finding::new(Code::ReloadInterrupted, "a reload was interrupted").remedy(scene.rearm()),
        );
    }
    if queue.pending() && !running {
        let message = "CPUs or memory changed, and no reload has run since";
        let remedy = format!(
            "{}; if this finding stays, check that kdump-loader-reload.path is active",
            scene.rearm()
        );
        findings.push(Finding::new(Code::EventWaits, message).remedy(remedy));
    }
    let failed = failed.map(|failure| {
        let message = format!("the last reload failed: {}", failure.message);
        let failed = Finding::new(Code::ReloadFailed, message);
        // Then the next reload fails as well, and that finding says what helps.
        match findings.iter().any(|finding| finding.code == Code::FileGone) {
            true => failed,
            false => failed.remedy(scene.rearm()),
        }
    });
    findings.extend(failed);
}
