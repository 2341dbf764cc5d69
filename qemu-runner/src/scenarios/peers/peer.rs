//! `peer-*`: kexec-tools on the same machines.
//!
//! `peer-capture` checks the judge with an image that none of our code made. The others measure how
//! long each takes to arm the same files, and from panic to capture kernel. Figures are reported,
//! not judged.

use std::time::{Duration, Instant};

use handoff::EngineId;

use crate::error::{Error, check_eq};
use crate::machine;
use crate::machine::deadline::Deadline;
use crate::scenario::table;
use crate::stage::{CAPTURE_APPEND, First, Setup, Stage, kexec_command, load_command};
use crate::storm::calls::Call;
use crate::storm::witness::{read_probes, start_probes};

/// Makes the capture kernel speak as early as it can.
const EARLY: &str = "earlyprintk=ttyS0";
/// What it says first then (`linux_banner`, init/version-timestamp.c).
const ENTERED: &str = "Linux version ";
/// What kexec-tools' purgatory says first (`purgatory`, purgatory/purgatory.c).
const PEER_BEGINS: &str = "I'm in purgatory";
/// Each crashes so many machines, in turns; the shortest time counts.
const JUMP_ROUNDS: u32 = 4;
/// How long that may take on a busy host.
const JUMP_LIMIT: Duration = Duration::from_secs(900);
/// Each is run so many times, in turns; the shortest time counts.
const ROUNDS: u32 = 3;

table! {
    "peer-capture", [Makedumpfile, Kexec, CrashHotplug], capture,
        "an image by kexec-tools and the kernel passes the same checks of the vmcore",
        lab: NotOurs("the control of capture");
    "peer-load-time", [Makedumpfile, Kexec, KexecFile], load_time,
        "measures how long kdump-loader and kexec-tools take to arm the same files on the same \
         machine",
        lab: NotOurs("a measurement");
    "peer-jump-time", [Makedumpfile, Kexec],
        |stage| jump_time(stage, machine::CPU, EngineId::ShaNi),
        "measures how long both purgatories delay the capture kernel",
        lab: NotOurs("a measurement");
    "peer-jump-time-soft", [Makedumpfile, Kexec],
        |stage| jump_time(stage, machine::CPU_WITHOUT_SHA_NI, EngineId::Soft),
        "measures the same on a CPU without SHA-NI",
        lab: NotOurs("a measurement");
}

fn capture(stage: &mut Stage<'_>) -> Result<(), Error> {
    let kexec = stage.context.kexec()?.clone();
    let mut first =
        stage.boot(&Setup { peer: true, dimms: 1, spare_cpus: 1, ..Setup::default() })?;
    let load = format!("{} --hotplug", kexec_command(&kexec.program, CAPTURE_APPEND));
    first.vm.run_ok(&load)?;
    first.expect_armed(true, "after `kexec`")?;
    first.note(format!("armed by {}", kexec.version));
    // With its rewriting the kernel drops the mapping of low memory that kexec-tools makes.
    first.grow()?;
    let mut crashed = first.panic(None)?;
    crashed.await_capture_kernel()?;
    crashed.check_vmcore().map(drop)
}

fn load_time(stage: &mut Stage<'_>) -> Result<(), Error> {
    let kexec = stage.context.kexec()?.clone();
    let mut first = stage.boot(&Setup { peer: true, ..Setup::default() })?;
    let peer = kexec_command(&kexec.program, CAPTURE_APPEND);
    // As it comes: the kernel reads the files, makes the image and digests it.
    let by_kernel = peer.replace(" -p -c ", " -p -s ");
    let loaders = [
        (format!("{} by kexec_load (-c)", kexec.version), peer),
        (format!("{} by kexec_file_load (-s)", kexec.version), by_kernel),
        ("kdump-loader".into(), load_command(CAPTURE_APPEND, "")),
    ];
    let mut best = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        for ((_, load), best) in loaders.iter().zip(&mut best) {
            let began = Instant::now();
            first.vm.run_ok(load)?;
            *best = began.elapsed().min(*best);
        }
    }
    for ((who, load), best) in loaders.iter().zip(best) {
        let (s, kib) = (best.as_secs_f64(), first.peak_resident_kib(load)?);
        let figures = format!("{s:.3} s, the best of {ROUNDS}; peak resident set {kib} KiB");
        first.stage.outcome.fact(format!("load by {who}"), figures);
    }
    let [(_, theirs), _, (_, ours)] = &loaders;
    in_place(&mut first, [theirs, ours])?;
    first.switch_off();
    Ok(())
}

/// How long each has nothing armed when it loads over what is armed: for the system call, at whose
/// beginning the kernel drops the old image.
fn in_place(first: &mut First<'_, '_>, loads: [&str; 2]) -> Result<(), Error> {
    start_probes(first)?;
    for _ in 0..ROUNDS {
        for load in loads {
            first.vm.run_ok(load)?;
        }
    }
    let calls: Vec<Call> = read_probes(first)?.calls.into_iter().filter(Call::is_load).collect();
    check_eq!(calls.len(), loads.len() * ROUNDS as usize, "kexec_load(2)s with an image")?;
    let best = |who: usize| {
        let calls = calls.iter().skip(who).step_by(loads.len());
        let best = calls.min_by(|one, other| one.took_s().total_cmp(&other.took_s()));
        best.map_or(String::new(), |call| {
            let mib = call.copied_bytes() as f64 / f64::from(1 << 20);
            format!("{:.0} ms for {mib:.1} MiB", call.took_s() * 1e3)
        })
    };
    let figures = format!("{} / {}, the best of {ROUNDS}", best(0), best(1));
    first.stage.outcome.fact("nothing armed during a load in place: theirs / ours", figures);
    Ok(())
}

/// Crashes machine after machine, armed by the peer, by the peer without its digest, and by us, in
/// turns. What passes between the purgatory's first words and the capture kernel's is mostly the
/// same for all: the kernel unpacks itself. The peer without its digest shows how much.
fn jump_time(stage: &mut Stage<'_>, cpu: &'static str, engine: EngineId) -> Result<(), Error> {
    stage.deadline = Deadline::after(JUMP_LIMIT);
    let kexec = stage.context.kexec()?.clone();
    let append = format!("{CAPTURE_APPEND} {EARLY}");
    let peer =
        format!("{} --serial=ttyS0 --console-serial", kexec_command(&kexec.program, &append));
    let begins = format!(" segments with {}, image ", engine.word());
    let contestants = [
        (peer.clone(), PEER_BEGINS),
        (format!("{peer} --no-checks"), PEER_BEGINS),
        (load_command(&append, ""), &*begins),
    ];
    let mut best = [Duration::MAX; 3];
    for _ in 0..JUMP_ROUNDS {
        for ((load, begins), best) in contestants.iter().zip(&mut best) {
            *best = waited(stage, cpu, load, begins)?.min(*best);
        }
    }
    let [theirs, unchecked, ours] = best;
    let seconds =
        |time: Duration| format!("{:.3} s, the best of {JUMP_ROUNDS}", time.as_secs_f64());
    let outcome = &mut stage.outcome;
    let what = format!("purgatory's to capture kernel's first words, {}", kexec.version);
    outcome.fact(what, seconds(theirs));
    outcome.fact("the same without its digest", seconds(unchecked));
    outcome.fact(format!("the same by ours, {}", engine.word()), seconds(ours));
    let [ours, theirs] = [ours, theirs].map(|time| time.saturating_sub(unchecked).as_secs_f64());
    outcome.fact("verification: ours / theirs", format!("{ours:.3} s / {theirs:.3} s"));
    Ok(())
}

/// From the purgatory's first words, which contain `begins`, to the capture kernel's.
fn waited(
    stage: &mut Stage<'_>,
    cpu: &'static str,
    load: &str,
    begins: &str,
) -> Result<Duration, Error> {
    let mut first = stage.boot(&Setup { cpu, peer: true, ..Setup::default() })?;
    first.vm.run_ok(load)?;
    let mut crashed = first.panic(None)?;
    let mut said = |what: &str, words: &str| Ok(crashed.vm.await_words(what, words)?.at);
    let began = said("the purgatory", begins)?;
    let entered = said("the capture kernel", ENTERED)?;
    if begins != PEER_BEGINS {
        said("a report of ours that all was well", "purgatory.report=ok,")?;
    }
    Ok(entered.saturating_duration_since(began))
}
