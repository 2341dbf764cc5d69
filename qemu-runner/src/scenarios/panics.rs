//! `panics-*`: the first panic of a recorded seed, while memory and CPUs come and go. The whole
//! series is `cargo lab panics`.

use crate::error::{Error, check};
use crate::panics::{self, Cause, Panicked, Request};
use crate::scenario::table;
use crate::stage::Stage;
use crate::storm::Contestant;

const SEED: u64 = 6;
const SERIES: &str = "6.12";
const COUNT: u32 = 1;

table! {
    "panics-in-kernel", [Kernel("6.12"), Kexec, Storm, CrashHotplug, Hotplug], in_kernel,
        "a panic at a drawn moment, while memory and CPUs come and go and the kernel keeps the \
         image true, never finds nothing armed";
    "panics-per-event", [Kernel("6.12"), Kexec, Storm, CrashHotplug, Hotplug],
        |stage| series(stage, Contestant::KexecPerEvent).map(drop),
        "a panic at the same moment while kexec-tools unloads and loads for each event ends as \
         can be explained",
        lab: Like("panics-in-kernel");
}

fn in_kernel(stage: &mut Stage<'_>) -> Result<(), Error> {
    for panicked in series(stage, Contestant::InKernel)? {
        // It never unloads: there is no time without an image but that within one system call.
        let (number, end) = (panicked.draw.number, panicked.sentence());
        check!(panicked.cause != Cause::Unarmed, "panic {number}: expected an image, found {end}")?;
    }
    Ok(())
}

/// Whoever it is, every miss has a name.
fn series(stage: &mut Stage<'_>, contestant: Contestant) -> Result<Vec<Panicked>, Error> {
    let mut all = Vec::new();
    for draw in panics::draws(SEED, COUNT) {
        let request = Request { contestant, series: SERIES, virtio_mem: false, draw };
        let panicked = panics::panic_once(stage, &request)?;
        let (number, end) = (draw.number, panicked.sentence());
        check!(panicked.cause != Cause::Unexplained, "panic {number}: {end}")?;
        stage.outcome.fact(format!("panics: {} us after the first block", draw.delay_us), end);
        all.push(panicked);
    }
    Ok(all)
}
