//! `virtio-mem`: the hypervisor grows and shrinks the machine's memory block by block, without a
//! DIMM.

use std::time::Duration;

use crate::error::{Error, check_eq};
use crate::evidence::iomem::Iomem;
use crate::scenario::table;
use crate::scenarios::program::reload::{configure, expect_reload, expect_yes};
use crate::stage::{First, MEMORY_BLOCK, Setup, Stage, guest};

/// How large the device can get, in blocks of memory ...
const BLOCKS: u64 = 6;
/// ... and how large it is when most of it is there, and after it has shrunk.
const GROWN: u64 = 4;
const SHRUNK: u64 = 2;
/// Whether each block is online.
const STATES: &str = "/sys/devices/system/memory/memory*/state";
/// How often the guest is asked for that.
const POLL: Duration = Duration::from_millis(50);

table! {
    "virtio-mem", [Makedumpfile, VirtioMem, CrashHotplug], story,
        "memory added by virtio-mem is in the dump without a reload; removed memory needs one \
         reload in place";
}

fn story(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { virtio_mem: BLOCKS * MEMORY_BLOCK, ..Setup::default() })?;
    first.load_drivers()?;
    let at_boot = first.iomem()?;
    resize(&mut first, &at_boot, 1)?;

    configure(&mut first, guest::INITRD)?;
    expect_reload(&mut first, &["not_armed"])?;
    first.expect_all_memory_listed("when it was armed")?;
    let identity = first.image()?.identity;

    resize(&mut first, &at_boot, GROWN)?;
    expect_reload(&mut first, &[])?;
    check_eq!(first.image()?.identity, identity, "identity after virtio-mem has grown")?;
    first.expect_all_memory_listed("after virtio-mem has grown")?;
    expect_yes(&mut first)?;

    resize(&mut first, &at_boot, SHRUNK)?;
    expect_reload(&mut first, &["memory_left"])?;
    first.expect_all_memory_listed("after virtio-mem has shrunk")?;
    expect_yes(&mut first)?;

    let came = first.iomem()?.added_since(&at_boot);
    first.place_sentinel_in(1, &came[0].clone())?;
    first.panic(None)?.capture()?.expect_dump().map(drop)
}

/// Makes it as large as so many blocks, and waits for the kernel's map of memory to say so.
fn resize(first: &mut First<'_, '_>, at_boot: &Iomem, blocks: u64) -> Result<(), Error> {
    let bytes = blocks * MEMORY_BLOCK;
    first.vm.monitor.resize_virtio_mem(bytes)?;
    // The device has what it wanted before the kernel has brought the last block online, or has
    // forgotten it.
    while gained(first, at_boot)? != bytes
        || first.vm.run(&format!("grep -L online {STATES} | grep -q ."))?.status == 0
    {
        first.vm.next_within(POLL, "the kernel to have made of it what it makes of it")?;
    }
    first.note(format!("virtio-mem: {blocks} blocks of memory"));
    Ok(())
}

/// Bytes of memory that have come since it was booted.
fn gained(first: &mut First<'_, '_>, at_boot: &Iomem) -> Result<u64, Error> {
    Ok(first.iomem()?.added_since(at_boot).iter().map(|range| range.end - range.start).sum())
}
