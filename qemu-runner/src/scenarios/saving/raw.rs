//! `capture-raw`: the loader makes the initrd, and its /init saves the dump to a partition.

use super::case::{Case, FULL, NEW, arm};
use crate::error::Error;
use crate::guest::setup::Content;
use crate::machine::disk::{Bus, part_uuid};
use crate::scenario::table;
use crate::stage::Stage;
use crate::stage::saved::Saved;

table! {
    "capture-raw", [CrashHotplug], |stage| raw(stage, on(Bus::VirtioBlk)),
        "in 80 MiB of crash memory, the initrd that the loader makes saves a dump with hot-added \
         memory and CPU to a raw partition, and leaves free pages out";
    "capture-raw-nvme", [CrashHotplug], |stage| raw(stage, on(Bus::Nvme)),
        "`capture-raw` on an NVMe drive", lab: Like("capture-raw");
    "capture-raw-ahci", [CrashHotplug], |stage| raw(stage, on(Bus::Ahci)),
        "`capture-raw` on a SATA disk", lab: Like("capture-raw");
    "capture-raw-virtio-scsi", [CrashHotplug], |stage| raw(stage, on(Bus::VirtioScsi)),
        "`capture-raw` on a SCSI disk", lab: Like("capture-raw");
    "new-kernel-capture-raw", [Kernel(NEW), CrashHotplug],
        |stage| raw(stage, on(Bus::VirtioBlk).on_new_kernel()),
        "`capture-raw` in 96 MiB with Debian's newest kernel", lab: Like("capture-raw");
    "full-kernel-capture-raw", [Kernel(FULL), CrashHotplug],
        |stage| raw(stage, on(Bus::VirtioBlk).on_full_kernel()),
        "`capture-raw` with Debian's kernel for every machine", lab: Like("capture-raw");
    "full-kernel-capture-raw-virtio-scsi", [Kernel(FULL), CrashHotplug],
        |stage| raw(stage, on(Bus::VirtioScsi).on_full_kernel()),
        "`full-kernel-capture-raw` on a SCSI disk", lab: Like("capture-raw");
    "capture-raw-makedumpfile", [CrashHotplug, NewMakedumpfile],
        |stage| raw(stage, on(Bus::VirtioBlk).by_makedumpfile()),
        "`capture-raw` with a makedumpfile that the loader puts into the initrd with its libraries",
        lab: Like("capture-raw");
    "capture-raw-4g", [CrashHotplug],
        |stage| raw(stage, Case { memory_mib: 4 << 10, cpus: 1, ..on(Bus::VirtioBlk) }),
        "`capture-raw` on a machine of 4 GiB with one CPU", lab: Like("capture-raw");
    "capture-raw-64g", [CrashHotplug],
        |stage| raw(stage, Case { memory_mib: 64 << 10, cpus: 8, ..on(Bus::VirtioBlk) }),
        "`capture-raw` on a machine of 64 GiB with eight CPUs", lab: Like("capture-raw");
    "new-kernel-capture-raw-64g", [Kernel(NEW), CrashHotplug],
        |stage| raw(stage, Case { memory_mib: 64 << 10, cpus: 8, ..on(Bus::VirtioBlk) }
            .on_new_kernel()),
        "`capture-raw-64g` in 96 MiB with Debian's newest kernel", lab: Like("capture-raw");
}

const fn on(bus: Bus) -> Case {
    Case::of(bus, Content::Nothing)
}

fn raw(stage: &mut Stage<'_>, case: Case) -> Result<(), Error> {
    let mut first = stage.boot(&case.setup())?;
    first.load_drivers()?;
    let target = format!("PARTUUID={}", part_uuid(0));
    arm(&mut first, &case.target(&target), &format!("the dump goes to {target}"))?;
    let dimm = first.grow()?;
    let listed = first.free_pages(&dimm)?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let after = crashed.await_saved()?;
    crashed.orderly_reset()?;

    let saved = Saved::in_partition(&image)?;
    case.judge(&saved, &crashed.victim, listed)?;
    saved.note(&mut crashed.stage.outcome, after);
    case.note(&mut crashed.stage.outcome, &crashed.victim, after, saved.record);
    if crashed.stage.context.keeps_dump() {
        crashed.keep_saved(&image)?;
    }
    Ok(())
}
