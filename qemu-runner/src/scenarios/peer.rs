//! `peer-*`: kexec-tools on the same stage. `peer-capture` holds the judge against an image that none of our code made;
//! `peer-load-time` says how long each takes to arm the same files in the same machine: reported, not judged.

use std::time::{Duration, Instant};

use crate::assets::GuestProgram;
use crate::error::Error;
use crate::first::{CAPTURE_APPEND, First, load_command};
use crate::scenario::{Need, Scenario};
use crate::stage::{Setup, Stage, guest};

/// Each is run so many times, in turns; the shortest time counts.
const ROUNDS: u32 = 3;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "peer-capture",
            summary: "what is demanded of a vmcore is fulfilled by one that kexec-tools and the kernel have prepared",
            needs: &[Need::Makedumpfile, Need::Kexec],
            may_be_skipped: false,
            story: capture,
        },
        Scenario {
            name: "peer-load-time",
            summary: "how long kdump-loader and kexec-tools take to arm the same files in the same machine",
            needs: &[Need::Makedumpfile, Need::Kexec],
            may_be_skipped: false,
            story: load_time,
        },
    ]
}

fn capture(stage: &mut Stage<'_>) -> Result<(), Error> {
    let kexec = stage.context.kexec()?.clone();
    let mut first = stage.boot(&Setup { peer: true, dimms: 1, spare_cpus: 1, ..Setup::default() })?;
    let load = format!("{} --hotplug", peer_command(&kexec));
    first.vm.run_ok(&load)?;
    first.note(format!("armed by {}", kexec.version));
    first.place_sentinel(2, &(0..u64::MAX))?;
    // The kernel rewrites the elfcorehdr on each, and with it drops the mapping of low memory that kexec-tools makes.
    let dimm = first.add_dimm(0)?;
    first.add_cpu()?;
    first.place_sentinel(1, &dimm)?;
    let mut crashed = first.panic(None)?;
    crashed.await_capture_kernel()?;
    crashed.check_vmcore()?;
    Ok(())
}

fn peer_command(kexec: &GuestProgram) -> String {
    format!("{} -p {} --initrd={} --append='{CAPTURE_APPEND}'", kexec.program, guest::KERNEL, guest::INITRD)
}

fn load_time(stage: &mut Stage<'_>) -> Result<(), Error> {
    let kexec = stage.context.kexec()?.clone();
    let mut first = stage.boot(&Setup { peer: true, ..Setup::default() })?;
    let peer = peer_command(&kexec);
    let ours = load_command(CAPTURE_APPEND, "");
    let (mut best_peer, mut best_ours) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        best_peer = best_peer.min(timed(&mut first, &peer)?);
        best_ours = best_ours.min(timed(&mut first, &ours)?);
    }
    let seconds = |time: Duration| format!("{:.3} s, the best of {ROUNDS}", time.as_secs_f64());
    first.stage.outcome.fact(format!("load by {}", kexec.version), seconds(best_peer));
    first.stage.outcome.fact("load by kdump-loader", seconds(best_ours));
    first.switch_off();
    Ok(())
}

fn timed(first: &mut First<'_, '_>, command: &str) -> Result<Duration, Error> {
    let began = Instant::now();
    first.vm.run_ok(command)?;
    Ok(began.elapsed())
}
