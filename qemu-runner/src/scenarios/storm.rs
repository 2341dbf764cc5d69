//! `storm-*`: memory comes block after block. How fast anybody is is not judged; what must be true
//! of each contestant's way is.

use crate::error::{Error, check, check_eq};
use crate::scenario::table;
use crate::stage::Stage;
use crate::storm::{self, Contestant, Measured, Request, Size};

/// Enough that events overtake reloads.
const BLOCKS: u32 = 8;
/// Enough that blocks go on coming while several reloads could be done.
const BLOCKS_OF_A_LONG_BURST: u32 = 64;
/// Reloads that a burst may cost.
const MOST_RELOADS: u64 = 2;
/// Padding that makes the initrd larger.
const BALLAST_MIB: usize = 1;

table! {
    "storm-in-kernel", [Kernel("6.12"), Kexec, Storm, CrashHotplug], in_kernel,
        "eight memory blocks are added; the kernel updates the armed image, with no reload, \
         and nothing is unprotected except during these updates",
        lab: Like("storm-in-place");
    "storm-in-place", [Kernel("6.1"), Kexec, Storm, NoCrashHotplug, Hotplug], in_place,
        "64 memory blocks are added on a kernel without hotplug support; kdump-loader reloads at \
         most twice a burst and never unloads";
    "storm-per-event", [Kernel("6.1"), Kexec, Storm, NoCrashHotplug, Hotplug], per_event,
        "eight memory blocks are added on a kernel without hotplug support; kexec-tools reloads \
         for each",
        lab: NotOurs("the control of the other storms");
}

fn in_kernel(stage: &mut Stage<'_>) -> Result<(), Error> {
    let measured = storm(stage, Contestant::InKernel, "6.12", BLOCKS)?;
    loads_are(&measured, 0, 0)?;
    // The kernel itself takes the image away while it writes, which a reading may catch.
    let (least, own) = (measured.unprotected_bounds_s.0, measured.kernel_updates_s);
    check!(
        least <= own,
        "seconds without an armed image: expected at most {own:.6}, those of the kernel's own \
         updates, found {least:.6}"
    )?;
    check_eq!(measured.copied_bytes, 0, "bytes copied into the crash region")?;
    at_least("updates by the kernel", measured.kernel_updates, u64::from(BLOCKS))
}

fn in_place(stage: &mut Stage<'_>) -> Result<(), Error> {
    let measured = storm(stage, Contestant::ReloadInPlace, "6.1", BLOCKS_OF_A_LONG_BURST)?;
    check_eq!(measured.unloads, 0, "unloads")?;
    check_eq!(measured.refused, 0, "refused kexec_load(2)s")?;
    at_least("reloads", measured.reloads, 1)?;
    let Measured { reloads, bursts, .. } = measured;
    let most = MOST_RELOADS * bursts;
    check!(reloads <= most, "reloads in {bursts} bursts: expected at most {most}, found {reloads}")
}

fn per_event(stage: &mut Stage<'_>) -> Result<(), Error> {
    let measured = storm(stage, Contestant::KexecPerEvent, "6.1", BLOCKS)?;
    let blocks = u64::from(BLOCKS);
    loads_are(&measured, blocks, blocks)?;
    check_eq!(measured.gaps, blocks, "times at which nothing was armed")?;
    check_eq!(measured.kernel_updates, 0, "updates by the kernel")?;
    let least = blocks * measured.image_bytes * 9 / 10;
    at_least("bytes copied into the crash region", measured.copied_bytes, least)
}

/// Whoever it is, the image is true in the end.
fn storm(
    stage: &mut Stage<'_>,
    contestant: Contestant,
    series: &'static str,
    blocks: u32,
) -> Result<Measured, Error> {
    let size = Size::of(blocks).map_err(|error| Error::Missing(error.to_string()))?;
    let request = Request { contestant, series, size, ballast_mib: BALLAST_MIB };
    let measured = storm::measure(stage, &request)?;
    let Measured { storm_s, quiet_after_s, unprotected_s, gaps, poll_hz, .. } = measured;
    let outcome = &mut stage.outcome;
    outcome.fact("storm", format!("{size}, {storm_s:.1} s, quiet {quiet_after_s:.1} s later"));
    outcome.fact("storm: reloads", measured.reloads);
    outcome.fact("storm: nothing armed", format!("{unprotected_s:.3} s in {gaps} gaps"));
    let pause_ms = measured.longest_pause_s * 1e3;
    let poller = format!("{poll_hz:.0} readings per second, longest pause {pause_ms:.1} ms");
    outcome.fact("storm: poller", poller);
    outcome.fact("storm: CPU of user space", format!("{:.2} s", measured.cpu_s));
    let described = measured.true_after_s.is_some();
    check!(described, "the image when all is quiet: expected a description of all memory")?;
    Ok(measured)
}

/// So many reloads and unloads, and none refused.
fn loads_are(measured: &Measured, reloads: u64, unloads: u64) -> Result<(), Error> {
    check_eq!(measured.reloads, reloads, "reloads")?;
    check_eq!(measured.unloads, unloads, "unloads")?;
    check_eq!(measured.refused, 0, "refused kexec_load(2)s")
}

fn at_least(what: &str, found: u64, least: u64) -> Result<(), Error> {
    check!(found >= least, "{what}: expected at least {least}, found {found}")
}
