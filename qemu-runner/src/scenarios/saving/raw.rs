//! `capture-raw`: the loader makes the initrd, and its /init saves the dump to a partition.

use crate::error::{Error, check, expect_words};
use crate::machine::disk::{Bus, PART_UUID};
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{First, RESET_DELAY_S, Setup, SetupDisk, Stage, guest};

/// The smallest crash memory in which kernels of this series were seen to capture.
const CRASHKERNEL: &str = "80M";
/// MiB of the disk.
const DISK: u64 = 512;

table! {
    "capture-raw", [CrashHotplug], |stage| raw(stage, Bus::VirtioBlk, &["virtio_blk"]),
        "in 80 MiB of crash memory, the initrd that the loader makes saves a dump with hot-added \
         memory and CPU to a raw partition";
}

fn raw(stage: &mut Stage<'_>, bus: Bus, modules: &'static [&'static str]) -> Result<(), Error> {
    let setup = Setup {
        crashkernel: Some(CRASHKERNEL),
        dimms: 1,
        spare_cpus: 1,
        makedumpfile: false,
        disks: vec![SetupDisk { bus, mib: DISK }],
        modules,
        ..Setup::default()
    };
    let mut first = stage.boot(&setup)?;
    first.load_drivers()?;
    arm(&mut first, &format!("PARTUUID={PART_UUID}"))?;
    first.grow()?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    crashed.await_saved()?;
    crashed.orderly_reset()?;
    let saved = Saved::in_partition(&image)?;
    saved.expect_complete(&crashed.victim)?;
    let (all, free) = saved
        .record
        .dump
        .and_then(|dump| dump.pages)
        .map_or((0, 0), |pages| (pages.all, pages.free));
    check!(free > 0, "free pages left out: expected some of {all}, found none")?;
    crashed.stage.outcome.fact("dump", format!("{:?}", saved.record.dump));
    crashed.stage.outcome.fact("memory", format!("{:?}", saved.record.memory));
    crashed.stage.outcome.fact("times", format!("{:?}", saved.record.times));
    crashed.stage.outcome.now("the dump holds the crashed kernel's memory, without free pages");
    Ok(())
}

/// Arms with an initrd that the loader makes.
fn arm(first: &mut First<'_, '_>, target: &str) -> Result<(), Error> {
    let command = format!(
        "{} load --kernel {} --capture {target} --reset-delay {RESET_DELAY_S} --json",
        guest::LOADER,
        guest::KERNEL
    );
    let (_, words) = first.load(&command)?;
    first.note(&words);
    expect_words("`load`", &words, &[&format!("the dump goes to {target}"), "its initrd has"])
}
