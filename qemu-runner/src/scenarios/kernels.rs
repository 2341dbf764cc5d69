//! `old-kernel`, `new-kernel-*`: the same story on other kernels.

use handoff::Verdict;

use crate::error::{Error, check, check_eq};
use crate::first::Armed;
use crate::scenario::{Need, Scenario};
use crate::scenarios::complete::{capture, hotplug};
use crate::stage::{Setup, Stage};

/// A series without CRASH_HOTPLUG, which came with Linux 6.6.
const OLD: &str = "6.1";
/// The newest series. It comes from a repository that keeps no old versions, so it may be gone.
const NEW: &str = "7";

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "old-kernel",
            summary: "Linux 6.1 knows no hotplug flag: the image is armed without, said so, and the capture works",
            needs: &[Need::Kernel(OLD), Need::Makedumpfile],
            may_be_skipped: false,
            story: old,
        },
        Scenario {
            name: "new-kernel-capture",
            summary: "`capture` on Debian's newest kernel",
            needs: &[Need::Kernel(NEW), Need::Makedumpfile],
            may_be_skipped: true,
            story: |stage| capture(stage, &on(NEW)),
        },
        Scenario {
            name: "new-kernel-hotplug",
            summary: "`hotplug` on Debian's newest kernel",
            needs: &[Need::Kernel(NEW), Need::Makedumpfile],
            may_be_skipped: true,
            story: |stage| hotplug(stage, &on(NEW)),
        },
    ]
}

fn on(series: &'static str) -> Setup {
    Setup { series: Some(series), ..Setup::default() }
}

fn old(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&on(OLD))?;
    let absent = first.vm.run_ok("[ -e /sys/devices/system/memory/crash_hotplug ] && echo yes || echo no")?;
    check_eq("crash_hotplug on an old kernel", &absent.as_str(), &"no")?;
    let Armed { loaded, words, .. } = first.arm("")?;
    check_eq("hotplug support that `load` printed", &loaded.hotplug, &false)?;
    check(words.contains("load again"), "what the loader says", "that hotplug needs reloads", &words)?;
    first.place_sentinel(1, &(0..u64::MAX))?;
    let mut capture = first.panic(None)?.capture()?;
    capture.expect_verdict(Verdict::Ok)?;
    capture.check_vmcore()?;
    Ok(())
}
