//! `storm-*`: memory comes block after block. How fast anybody is is not judged; what must be true
//! of each contestant's way is.

use std::fmt::Display;

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
         and nothing is unprotected except during these updates";
    "storm-in-place", [Kernel("6.1"), Kexec, Storm, NoCrashHotplug, Hotplug], in_place,
        "64 memory blocks are added on a kernel without hotplug support; kdump-loader reloads at \
         most twice a burst and never unloads";
    "storm-per-event", [Kernel("6.1"), Kexec, Storm, NoCrashHotplug, Hotplug], per_event,
        "eight memory blocks are added on a kernel without hotplug support; kexec-tools reloads \
         for each",
        by name only: "the control of the other storms: it shows nothing of ours";
}

fn in_kernel(stage: &mut Stage<'_>) -> Result<(), Error> {
    let measured = storm(stage, Contestant::InKernel, "6.12", BLOCKS)?;
    loads_are(&measured, 0, 0)?;
    // The kernel itself takes the image away while it writes, which a reading may catch.
    let (unprotected, least) = (measured.unprotected_s, measured.unprotected_bounds_s.0);
    let own = format!("at most the {:.6} s of the kernel's own updates", measured.kernel_updates_s);
    check!(
        least <= measured.kernel_updates_s,
        "seconds without an armed image: expected {own}, found {unprotected:.6}"
    )?;
    check_eq!(measured.copied_bytes, 0, "bytes copied into the crash region")?;
    at_least("updates by the kernel", measured.kernel_updates, u64::from(BLOCKS))
}

fn in_place(stage: &mut Stage<'_>) -> Result<(), Error> {
    let measured = storm(stage, Contestant::ReloadInPlace, "6.1", BLOCKS_OF_A_LONG_BURST)?;
    check_eq!(measured.unloads, 0, "unloads")?;
    check_eq!(measured.refused, 0, "refused kexec_load(2)s")?;
    at_least("reloads", measured.reloads, 1)?;
    let most = MOST_RELOADS * measured.bursts;
    check!(
        measured.reloads <= most,
        "reloads in {} bursts: expected at most {most}, found {}",
        measured.bursts,
        measured.reloads
    )
}

fn per_event(stage: &mut Stage<'_>) -> Result<(), Error> {
    let measured = storm(stage, Contestant::KexecPerEvent, "6.1", BLOCKS)?;
    let blocks = u64::from(BLOCKS);
    loads_are(&measured, blocks, blocks)?;
    check_eq!(measured.gaps, blocks, "times at which nothing was armed")?;
    check_eq!(measured.kernel_updates, 0, "updates by the kernel")?;
    at_least(
        "bytes copied into the crash region",
        measured.copied_bytes,
        blocks * measured.image_bytes * 9 / 10,
    )
}

/// Whoever it is, the image is true in the end.
fn storm(
    stage: &mut Stage<'_>,
    contestant: Contestant,
    series: &'static str,
    blocks: u32,
) -> Result<Measured, Error> {
    let size = Size::of(blocks).map_err(|error| Error::Missing(error.to_string()))?;
    let measured =
        storm::measure(stage, &Request { contestant, series, size, ballast_mib: BALLAST_MIB })?;
    let mut fact = |name: &str, value: &dyn Display| stage.outcome.fact(name, value);
    fact(
        "storm",
        &format!("{size}, {:.1} s, quiet {:.1} s later", measured.storm_s, measured.quiet_after_s),
    );
    fact("storm: reloads", &measured.reloads);
    fact(
        "storm: nothing armed",
        &format!("{:.3} s in {} gaps", measured.unprotected_s, measured.gaps),
    );
    let pauses = format!(
        "{:.0} readings per second, longest pause {:.1} ms",
        measured.poll_hz,
        measured.longest_pause_s * 1e3
    );
    fact("storm: poller", &pauses);
    fact("storm: CPU of user space", &format!("{:.2} s", measured.cpu_s));
    check!(
        measured.true_after_s.is_some(),
        "the image when all is quiet: expected a description of all memory, found something else"
    )?;
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
