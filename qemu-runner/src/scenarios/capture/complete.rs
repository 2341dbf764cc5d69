//! `capture`, `hotplug`: the whole story, from arming to a complete vmcore.

use crate::error::{Error, check_eq};
use crate::machine::DIMM_SIZE;
use crate::scenario::table;
use crate::stage::{Armed, First, MEMORY_BLOCK, Setup, Stage, number};

table! {
    "capture", [Makedumpfile], |stage| capture(stage, &Setup::default()),
        "a panic reaches the capture kernel with a complete vmcore";
    "hotplug", [Makedumpfile, CrashHotplug], |stage| hotplug(stage, &Setup::default()),
        "two DIMMs and a CPU added after arming are in the vmcore, and the image is never \
         reloaded";
}

/// Arms, writes a sentinel, panics, and checks everything.
pub(in crate::scenarios) fn capture(stage: &mut Stage<'_>, setup: &Setup) -> Result<(), Error> {
    capture_with(stage, setup, "", |_| Ok(()))
}

/// [`capture`] with options for the loader, and something to do between arming and panic.
pub(in crate::scenarios) fn capture_with(
    stage: &mut Stage<'_>,
    setup: &Setup,
    options: &str,
    meanwhile: impl FnOnce(&mut First<'_, '_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut first = stage.boot(setup)?;
    first.arm(options)?;
    first.place_sentinel(1)?;
    meanwhile(&mut first)?;
    first.panic(None)?.capture()?.expect_dump().map(drop)
}

/// Adds two DIMMs and a CPU after arming, takes a CPU and a memory block offline and back, and
/// panics.
pub(in crate::scenarios) fn hotplug(stage: &mut Stage<'_>, setup: &Setup) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { dimms: 2, spare_cpus: 2, ..setup.clone() })?;
    let Armed { image, loaded, .. } = first.arm("")?;
    check_eq!(loaded.hotplug, true, "hotplug support that `load` printed")?;
    let at_load = first.elfcorehdr(&image)?;
    first.expect_crash_hotplug()?;

    first.place_sentinel(2)?;
    let dimm = first.add_dimm(0)?;
    let second_dimm = first.add_dimm(1)?;
    first.add_cpu()?;
    first.toggle("CPU 1 online", "/sys/devices/system/cpu/cpu1/online", ["0", "1"])?;
    // The last block: user space fills the first DIMM from below.
    let block = second_dimm.end / MEMORY_BLOCK - 1;
    let state = format!("/sys/devices/system/memory/memory{block}/state");
    first.toggle(&format!("memory block {block}"), &state, ["offline", "online_movable"])?;
    first.place_sentinel_in(1, &dimm)?;

    first.expect_crash_hotplug()?;
    first.expect_armed(true, "after hotplug")?;
    check_eq!(first.image()?.identity, image.identity, "identity of the image after hotplug")?;
    let possible = possible_cpus(&mut first)?;
    let rewritten = first.elfcorehdr(&image)?;
    check_eq!(
        rewritten.note_headers,
        possible + 1,
        "PT_NOTEs in the rewritten elfcorehdr: every possible CPU and VMCOREINFO"
    )?;

    let mut capture = first.panic(None)?.capture()?;
    let core = capture.expect_dump()?;
    let (before, after) = (at_load.load_bytes(), core.load_bytes());
    check_eq!(
        after,
        before + 2 * DIMM_SIZE,
        "bytes of memory in the vmcore: those at load, and two DIMMs"
    )?;
    capture
        .crashed
        .stage
        .outcome
        .fact("vmcore: growth by hotplug", format!("{} bytes", after - before));
    Ok(())
}

/// How many CPUs the kernel can ever have: /sys/devices/system/cpu/possible is `0` or `0-LAST`.
fn possible_cpus(first: &mut First<'_, '_>) -> Result<usize, Error> {
    let list = first.vm.run_ok("cat /sys/devices/system/cpu/possible")?;
    let last: usize = number(list.rsplit('-').next().unwrap_or(&list))?;
    Ok(last + 1)
}
