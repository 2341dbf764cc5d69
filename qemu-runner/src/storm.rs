//! A storm: memory comes block after block, as fast as the guest takes it, while a contestant keeps
//! the crash image up to date.
//!
//! Every figure is from the guest's kernel: its kexec_load(2)s and what each copied, when
//! kexec_crash_loaded was 0, and what the elfcorehdr in the guest's memory describes. Output of the
//! contestant counts for nothing.
//!
//! ```text
//! storm/contestant.rs   the ways to keep the image up to date
//! storm/witness.rs      the guest's own record: udev, kprobes, poller, cgroup
//! storm/calls.rs        what the kprobes recorded, as types
//! storm/truth.rs        whether the image describes the memory that is there
//! storm/pace.rs         what a block costs, and whose share that is, as the machine grows
//! storm/size.rs         blocks, and the DIMMs that bring them
//! storm.rs              one storm from boot to quiet
//! ```

pub(crate) mod calls;
pub(crate) mod contestant;
mod pace;
pub(crate) mod size;
mod truth;
pub(crate) mod witness;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::Error;
use crate::evidence::iomem::Iomem;
use crate::machine::deadline::Deadline;
use crate::stage::{First, Setup, Stage};

pub use contestant::Contestant;
pub use pace::Pace;
pub use size::Size;

use truth::Truth;
use witness::Witness;

/// CPUs of the guest: two for the storm, and one on which only the poller runs.
const CPUS: u32 = 3;
/// The poller's, as a mask for taskset.
const POLLER_CPU: &str = "4";
/// Keeps everything else away from it (Documentation/admin-guide/kernel-parameters.txt).
const APPEND: &str = "isolcpus=2";
/// A longer pause between two events, in seconds, ends a burst. Where no events are queued, blocks
/// count. Half of the quiet that kdump-loader waits for.
pub const SAME_BURST_S: f64 = 0.5;
/// Time between two looks at the guest's memory.
const TRUTH_POLL: Duration = Duration::from_millis(20);
/// Looks at the memory before the guest is asked whether any work is left.
const LOOKS_PER_QUESTION: u32 = 25;
/// Time between two questions whether any work is left.
const QUIET_POLL: Duration = Duration::from_millis(500);
/// Time that a busy host may take for each block.
const PER_BLOCK: Duration = Duration::from_secs(30);

/// One storm to run.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What keeps the image up to date.
    pub contestant: Contestant,
    /// The guest's kernel.
    pub series: &'static str,
    /// How much memory comes.
    pub size: Size,
    /// MiB that are added to the capture kernel's initrd.
    pub ballast_mib: usize,
}

impl Request {
    /// Whether this storm is what was measured. The initrd is not compared.
    pub fn is_of(&self, measured: &Measured) -> bool {
        let Self { contestant, series, size, .. } = *self;
        (contestant, series, size) == (measured.contestant, measured.series.as_str(), measured.size)
    }
}

/// What was measured of one storm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What kept the image up to date.
    pub contestant: Contestant,
    /// The guest's kernel, as `uname -r` names it.
    pub release: String,
    /// Its series.
    pub series: String,
    /// How much memory came.
    pub size: Size,
    /// Bytes that arming copied into the crash region.
    pub image_bytes: u64,
    /// Seconds from the first DIMM to the guest's answer to the last.
    pub storm_s: f64,
    /// Seconds from the last block online until the image was armed and up to date: to the end of
    /// the kexec_load(2) that made it so, or 0 if none was needed. `None` if it never was.
    pub true_after_s: Option<f64>,
    /// Seconds from the last DIMM until no work was left.
    pub quiet_after_s: f64,
    /// Successful kexec_load(2)s with segments, after arming.
    pub reloads: u64,
    /// Successful ones without segments, which unload the image.
    pub unloads: u64,
    /// Failed ones.
    pub refused: u64,
    /// Bytes that the reloads copied into the crash region.
    pub copied_bytes: u64,
    /// Elfcorehdrs that the kernel rewrote, or looked at and left.
    pub kernel_updates: u64,
    /// Seconds of these updates. The kernel holds its lock, so a panic then leaves no dump.
    pub kernel_updates_s: f64,
    /// Times at which nothing was armed.
    pub gaps: u64,
    /// Seconds of them.
    pub unprotected_s: f64,
    /// The least and the most that these seconds can be, by the readings around each gap.
    pub unprotected_bounds_s: (f64, f64),
    /// Readings of kexec_crash_loaded per second.
    pub poll_hz: f64,
    /// Longest time between two readings, in seconds. Shorter gaps may be unseen.
    pub longest_pause_s: f64,
    /// CPU seconds of udev and everything that it started.
    pub cpu_s: f64,
    /// Bursts of events, or of blocks where no events are queued; 0 if not counted.
    #[serde(default)]
    pub bursts: u64,
    /// What a block cost as the machine grew.
    #[serde(default)]
    pub paces: Vec<Pace>,
    /// Seconds of one `kdump-loader reload` that finds the image up to date; `None` for a peer.
    #[serde(default)]
    pub look_s: Option<f64>,
}

/// Runs a storm on a machine of its own.
pub fn run(context: &Context, request: &Request) -> Result<Measured, Error> {
    let deadline = Deadline::after(crate::scenario::LIMIT + PER_BLOCK * request.size.blocks);
    let play = |stage: &mut Stage<'_>| measure(stage, request);
    Stage::play(context, "storm", deadline, &[], play).map(|(measured, _)| measured)
}

/// Runs a storm on this stage.
pub fn measure(stage: &mut Stage<'_>, request: &Request) -> Result<Measured, Error> {
    let Request { contestant, series, size, ballast_mib } = *request;
    let setup = Setup {
        series: Some(series),
        cpus: CPUS,
        dimms: size.dimms(),
        dimm_size: size.dimm_bytes(),
        memory_mib: size.boot_memory_mib(),
        online: "online",
        append: APPEND,
        makedumpfile: false,
        peer: true,
        ballast_mib,
        storm: true,
        files: contestant.files(stage.context)?,
        ..Setup::default()
    };
    let release = stage.context.kernel(series)?.release.clone();
    let mut first = stage.boot(&setup)?;
    let mut witness = Witness::install(&mut first)?;
    contestant.arm(&mut first)?;
    let before = system_ram(&first.iomem()?);
    witness.start(&mut first, POLLER_CPU)?;

    let began = Instant::now();
    for number in 0..size.dimms() {
        first.vm.monitor.add_dimm(number)?;
    }
    let storm_s = began.elapsed().as_secs_f64();
    let ended = Instant::now();
    first.note(format!("{} blocks have come", size.blocks));
    let true_at_s = until_true_and_quiet(&mut first, &witness)?;
    let quiet_after_s = ended.elapsed().as_secs_f64();
    first.note("no work on the image is left");

    let seen = witness.finish(&mut first)?;
    let look_s = contestant.look(&mut first)?;
    let iomem = first.iomem()?;
    first.switch_off();
    let added = system_ram(&iomem) - before;
    crate::error::check_eq!(added, size.bytes(), "bytes of memory that have come")?;

    let loads = seen.trace.calls.iter().filter(|call| call.is_load());
    let (arming, reloads): (Vec<_>, Vec<_>) = loads.partition(|call| call.ended_s < seen.started_s);
    let after = || seen.trace.calls.iter().filter(|call| call.began_s >= seen.started_s);
    // The last load before the image was seen up to date made it so, or else the kernel did.
    let made_true = |seen_s: f64| {
        let ends = reloads.iter().map(|call| call.ended_s);
        ends.filter(|ended_s| *ended_s <= seen_s).fold(0.0, f64::max)
    };
    let online = seen.trace.online_s();
    let online_s = online.last().copied().unwrap_or(0.0);
    let true_after_s = true_at_s.map(|seen_s| (made_true(seen_s) - online_s).max(0.0));
    // A busy host delays events on their way to the queue, and the loader sees only their arrival.
    let arrivals = if contestant == Contestant::ReloadInPlace { &seen.queued_s } else { &online };
    let pauses = arrivals.windows(2).filter(|pair| pair[1] - pair[0] > SAME_BURST_S).count();
    let seconds = |ns: u64| ns as f64 / 1e9;
    let (least, most) = seen.record.bounds_ns();
    Ok(Measured {
        contestant,
        release,
        series: series.to_owned(),
        size,
        image_bytes: arming.last().map_or(0, |call| call.copied_bytes()),
        storm_s,
        true_after_s,
        quiet_after_s,
        reloads: reloads.len() as u64,
        unloads: after().filter(|call| call.is_unload()).count() as u64,
        refused: after().filter(|call| call.result < 0).count() as u64,
        copied_bytes: reloads.iter().map(|call| call.copied_bytes()).sum(),
        kernel_updates: seen.trace.updated.len() as u64,
        kernel_updates_s: seen.trace.updated.iter().fold(0.0, |sum, one| sum + one.end - one.start),
        gaps: seen.record.gaps.len() as u64,
        unprotected_s: seconds(seen.record.unprotected_ns()),
        unprotected_bounds_s: (seconds(least), seconds(most)),
        poll_hz: seen.record.rate_hz(),
        longest_pause_s: seconds(seen.record.longest_pause_ns),
        cpu_s: seen.cpu_s,
        bursts: 1 + pauses as u64,
        paces: pace::of(&seen.trace),
        look_s,
    })
}

fn system_ram(iomem: &Iomem) -> u64 {
    iomem.system_ram.iter().map(|range| range.end - range.start).sum()
}

/// Waits until no work on the image is left. Returns when the image was seen armed and up to date,
/// in seconds of the guest's clock.
fn until_true_and_quiet(
    first: &mut First<'_, '_>,
    witness: &Witness,
) -> Result<Option<f64>, Error> {
    let iomem = first.iomem()?;
    let mut truth = Truth::of(&iomem, first.crash_region()?);
    loop {
        for _ in 0..LOOKS_PER_QUESTION {
            if let Some(at_s) = true_and_armed(first, witness, &mut truth)? {
                first.note("the image is up to date again");
                while !witness.is_quiet(first)? {
                    first.vm.next_within(QUIET_POLL, "the end of work on the image")?;
                }
                return Ok(Some(at_s));
            }
            first.vm.next_within(TRUTH_POLL, "an image that is up to date")?;
        }
        if witness.is_quiet(first)? {
            // A last look: the work may have ended after the previous one.
            return true_and_armed(first, witness, &mut truth);
        }
    }
}

/// Looks at the memory, asks the kernel whether an image is armed, and looks again.
fn true_and_armed(
    first: &mut First<'_, '_>,
    witness: &Witness,
    truth: &mut Truth,
) -> Result<Option<f64>, Error> {
    if !truth.holds(&first.vm.ram)? {
        return Ok(None);
    }
    let (armed, at_s) = witness.armed(first)?;
    Ok((armed && truth.holds(&first.vm.ram)?).then_some(at_s))
}
