//! A storm: memory comes block after block, as fast as the guest takes it, while somebody keeps the crash image true. What is measured is
//! what the guest's kernel says: which kexec_load(2)s it has done and how much each copied, when kexec_crash_loaded was 0, and what the
//! elfcorehdr in the guest's memory describes. What a contestant says of itself is not asked.
//!
//! ```text
//! storm/contestant.rs   who keeps the image true, and how
//! storm/witness.rs      the guest's own record: udev, kprobes, poller, cgroup
//! storm/calls.rs        what the kprobes have seen, as types
//! storm/truth.rs        whether the image describes the memory that is there
//! storm/size.rs         blocks, and the DIMMs that bring them
//! storm.rs              one storm from boot to quiet
//! ```

pub mod calls;
pub mod contestant;
pub mod size;
pub mod truth;
pub mod witness;

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::first::{First, number};
use crate::stage::{Setup, Stage};

pub use contestant::Contestant;
pub use size::Size;

use truth::Truth;
use witness::Witness;

/// CPUs of the guest: two for the storm, and one that nothing but the poller runs on.
const CPUS: u32 = 3;
/// The poller's, as a mask for taskset ...
const POLLER_CPU: &str = "4";
/// ... and for the kernel, which keeps everything else away from it.
const APPEND: &str = "isolcpus=2";
/// Events that are queued within so many seconds of each other are of one burst; where nothing is queued, blocks that come. Half of what
/// kdump-loader waits for quiet.
pub const SAME_BURST_S: f64 = 0.5;
/// How often the guest's memory is looked at for the truth.
const TRUTH_POLL: Duration = Duration::from_millis(20);
/// How many of those looks go by before the guest is asked whether somebody still works.
const LOOKS_PER_QUESTION: u32 = 25;
/// How often the guest is asked whether somebody still works when there is nothing else to look for.
const QUIET_POLL: Duration = Duration::from_millis(500);
/// How long a storm may take for each block, on a busy host, besides what it takes anyhow.
const PER_BLOCK: Duration = Duration::from_secs(30);

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Who keeps the image true.
    pub contestant: Contestant,
    /// The guest's kernel.
    pub series: &'static str,
    /// How much memory comes.
    pub size: Size,
    /// Size of the file that makes the initial RAM disk bigger, in MiB.
    pub ballast_mib: usize,
}

/// What one storm came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Who kept the image true.
    pub contestant: Contestant,
    /// The guest's kernel, as `uname -r` names it.
    pub release: String,
    /// Its series.
    pub series: String,
    /// How much memory came.
    pub size: Size,
    /// Bytes that arming copied into the crash region.
    pub image_bytes: u64,
    /// Seconds that the kexec_load(2) took that armed, in a guest where nothing else went on.
    pub arming_s: f64,
    /// Seconds from the first DIMM to the guest's answer to the last.
    pub storm_s: f64,
    /// Seconds of the guest's clock from the last block's being online until the image was true and armed: to the end of the kexec_load(2)
    /// that made it so, 0 when none had to. None when it never was.
    pub true_after_s: Option<f64>,
    /// Seconds from the last DIMM until nobody worked on it any more.
    pub quiet_after_s: f64,
    /// kexec_load(2)s with segments that the kernel has done, arming left out.
    pub reloads: u64,
    /// Those without, by which an image is unloaded.
    pub unloads: u64,
    /// Those that it has refused.
    pub refused: u64,
    /// Bytes that they copied into the crash region.
    pub copied_bytes: u64,
    /// Seconds that they took. The kernel drops the old image at their beginning, so nothing is armed meanwhile.
    pub reloading_s: f64,
    /// Elfcorehdrs that the kernel has rewritten by itself, or has looked at and left.
    pub kernel_updates: u64,
    /// Seconds that this took it: no dump comes of a panic that falls into them, for the kernel holds its lock.
    pub kernel_updates_s: f64,
    /// Times at which nothing was armed.
    pub gaps: u64,
    /// Seconds of them.
    pub unprotected_s: f64,
    /// The least and the most that it can have been, by the readings around each gap.
    pub unprotected_bounds_s: (f64, f64),
    /// Readings per second.
    pub poll_hz: f64,
    /// The longest time between two readings, in seconds: shorter gaps may have gone unseen.
    pub longest_pause_s: f64,
    /// Pauses of more than 0.1 ms, of all.
    pub long_pauses: f64,
    /// CPU seconds of udev and everything that it has started.
    pub cpu_s: f64,
    /// Those of them in user mode.
    pub cpu_user_s: f64,
    /// The host's load average, over a minute, when the storm began: above its number of CPUs, seconds are longer than they need be.
    pub host_load: f64,
    /// Bursts that the events, or where nothing is queued the blocks, came in; 0 where they were not counted.
    #[serde(default)]
    pub bursts: u64,
}

/// Runs a storm on a machine of its own.
pub fn run(context: &Context, request: &Request) -> Result<Measured, Error> {
    let deadline = Deadline::after(crate::scenario::LIMIT + PER_BLOCK * request.size.blocks);
    Stage::play(context, "storm", deadline, &[], |stage| measure(stage, request)).map(|(measured, _)| measured)
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
    witness.start(&mut first, POLLER_CPU)?;

    let host_load = host_load()?;
    let began = Instant::now();
    for number in 0..size.dimms() {
        first.vm.monitor.add_dimm(number)?;
    }
    let storm_s = began.elapsed().as_secs_f64();
    let ended = Instant::now();
    first.note(format!("{} blocks have come", size.blocks));
    let true_at_s = until_true_and_quiet(&mut first, &witness)?;
    let quiet_after_s = ended.elapsed().as_secs_f64();
    first.note("nobody works on the image any more");

    let seen = witness.finish(&mut first)?;
    let iomem = first.iomem()?;
    first.switch_off();
    let added: u64 = iomem.system_ram.iter().filter(|range| range.start >= 1 << 32).map(|range| range.end - range.start).sum();
    crate::error::check_eq("bytes of memory that have come", &added, &size.bytes())?;

    let loads = seen.calls.iter().filter(|call| call.is_load());
    let (arming, reloads): (Vec<_>, Vec<_>) = loads.partition(|call| call.ended_s < seen.started_s);
    let after = || seen.calls.iter().filter(|call| call.began_s >= seen.started_s);
    // What was seen to be true was made so by the last load before, or by the kernel as the memory came.
    let made_true =
        |seen_s: f64| reloads.iter().map(|call| call.ended_s).filter(|ended_s| *ended_s <= seen_s).fold(0.0, f64::max);
    let online_s = seen.online_s.last().copied().unwrap_or(0.0);
    let true_after_s = true_at_s.map(|seen_s| (made_true(seen_s) - online_s).max(0.0));
    // A busy host delays events on their way into the queue, and the rule for bursts can go by nothing but their arrival.
    let arrivals = if contestant == Contestant::ReloadInPlace { &seen.queued_s } else { &seen.online_s };
    let pauses = arrivals.windows(2).filter(|pair| pair[1] - pair[0] > SAME_BURST_S).count();
    let image_bytes = arming.last().map_or(0, |call| call.copied_bytes());
    let seconds = |ns: u64| ns as f64 / 1e9;
    let (least, most) = seen.record.bounds_ns();
    Ok(Measured {
        contestant,
        release,
        series: series.to_owned(),
        size,
        image_bytes,
        arming_s: arming.last().map_or(0.0, |call| call.took_s()),
        storm_s,
        true_after_s,
        quiet_after_s,
        reloads: reloads.len() as u64,
        unloads: after().filter(|call| call.is_unload()).count() as u64,
        refused: after().filter(|call| call.result < 0).count() as u64,
        copied_bytes: reloads.iter().map(|call| call.copied_bytes()).sum(),
        reloading_s: reloads.iter().fold(0.0, |sum, call| sum + call.took_s()),
        kernel_updates: seen.updates.len() as u64,
        kernel_updates_s: seen.updates.iter().fold(0.0, |sum, took| sum + took),
        gaps: seen.record.gaps.len() as u64,
        unprotected_s: seconds(seen.record.unprotected_ns()),
        unprotected_bounds_s: (seconds(least), seconds(most)),
        poll_hz: seen.record.rate_hz(),
        longest_pause_s: seconds(seen.record.longest_pause_ns),
        long_pauses: seen.record.long_pauses as f64 / seen.record.readings.max(1) as f64,
        cpu_s: seen.cpu_s,
        cpu_user_s: seen.cpu_user_s,
        host_load,
        bursts: 1 + pauses as u64,
    })
}

/// The first number in /proc/loadavg of the host.
fn host_load() -> Result<f64, Error> {
    let path = Path::new("/proc/loadavg");
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    number(text.split(' ').next().unwrap_or_default())
}

/// Waits until nobody works on the image any more; when it was seen to be true and armed, in seconds of the guest's clock.
fn until_true_and_quiet(first: &mut First<'_, '_>, witness: &Witness) -> Result<Option<f64>, Error> {
    let iomem = first.iomem()?;
    let mut truth = Truth::of(&iomem, first.crash_region()?);
    loop {
        for _ in 0..LOOKS_PER_QUESTION {
            if let Some(at_s) = true_and_armed(first, witness, &mut truth)? {
                first.note("the image is true again");
                while !witness.is_quiet(first)? {
                    first.vm.next_within(QUIET_POLL, "nobody to work on the image")?;
                }
                return Ok(Some(at_s));
            }
            first.vm.next_within(TRUTH_POLL, "the image to be true")?;
        }
        if witness.is_quiet(first)? {
            // A last look: the work may have ended after the one before.
            return true_and_armed(first, witness, &mut truth);
        }
    }
}

/// Between the two looks at the memory the kernel is asked.
fn true_and_armed(first: &mut First<'_, '_>, witness: &Witness, truth: &mut Truth) -> Result<Option<f64>, Error> {
    if !truth.holds(&first.vm.ram)? {
        return Ok(None);
    }
    let (armed, at_s) = witness.armed(first)?;
    Ok((armed && truth.holds(&first.vm.ram)?).then_some(at_s))
}
