//! `capture-raw`: the loader makes the initrd, and its /init saves the dump to a partition.

use crate::error::{Error, expect_words};
use crate::machine::disk::{Bus, PART_UUID};
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{First, RESET_DELAY_S, Setup, SetupDisk, Stage, guest};

/// The smallest crash memory in which kernels of this series were seen to capture.
pub(crate) const CRASHKERNEL: &str = "80M";
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
        disks: vec![SetupDisk::of(bus, DISK)],
        modules,
        ..Setup::default()
    };
    let mut first = stage.boot(&setup)?;
    first.load_drivers()?;
    arm(&mut first, &format!("PARTUUID={PART_UUID}"), "")?;
    let dimm = first.grow()?;
    let listed = first.free_pages(&dimm)?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    crashed.await_saved()?;
    crashed.orderly_reset()?;

    let saved = Saved::in_partition(&image)?;
    saved.expect_complete(&crashed.victim)?;
    saved.expect_without_freed(listed)?;
    saved.note(&mut crashed);
    if crashed.stage.context.keeps_dump() {
        crashed.keep_saved(&image)?;
    }
    Ok(())
}

/// Arms with an initrd that the loader makes.
pub(crate) fn arm(first: &mut First<'_, '_>, target: &str, options: &str) -> Result<(), Error> {
    let command = format!(
        "{} load --kernel {} --capture {target} --reset-delay {RESET_DELAY_S} --json {options}",
        guest::LOADER,
        guest::KERNEL
    );
    let (_, words) = first.load(&command)?;
    first.note(&words);
    expect_words("`load`", &words, &[&format!("the dump goes to {target}"), "its initrd has"])
}
