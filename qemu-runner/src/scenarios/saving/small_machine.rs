//! A small machine that is armed to save to the partition of its one disk, and the words with which
//! its /init ends.

use super::case::arm;
use crate::error::Error;
use crate::machine::disk::part_uuid;
use crate::stage::{Crashed, First, Setup, SetupDisk, Stage};

/// Crash memory in which every such capture was seen to work.
const CRASHKERNEL: &str = "80M";
/// MiB of memory.
const MEMORY: u64 = 512;
/// MiB of a disk that is large enough for an unfiltered copy of that memory.
pub const DISK: u64 = 640;
/// MiB of a disk that is too small for the dump.
pub const SMALL_DISK: u64 = 24;
/// The last message.
pub const RESET: &str = "kdump-capture: resetting the machine";

/// A small machine with this disk.
pub fn setup(disk: SetupDisk) -> Setup {
    Setup {
        crashkernel: Some(CRASHKERNEL),
        memory_mib: MEMORY,
        makedumpfile: false,
        modules: disk.bus.modules().to_vec(),
        disks: vec![disk],
        ..Setup::default()
    }
}

/// Boots a machine with this disk, and arms it to save to the disk's partition.
pub fn armed<'s, 'c>(
    stage: &'s mut Stage<'c>,
    disk: SetupDisk,
    options: &str,
) -> Result<First<'s, 'c>, Error> {
    let mut first = stage.boot(&setup(disk))?;
    first.load_drivers()?;
    arm_partition(&mut first, options)?;
    Ok(first)
}

/// Arms a machine to save to the partition of its disk. Returns what the loader said.
pub fn arm_partition(first: &mut First<'_, '_>, options: &str) -> Result<String, Error> {
    let target = format!("PARTUUID={}", part_uuid(0));
    arm(first, &format!("{target} {options}"), &format!("the dump goes to {target}"))
}

/// Fills memory with what takes its time to be compressed and written.
pub fn fill_memory(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok("dd if=/dev/urandom of=/tmp/random bs=1M count=150").map(drop)
}

/// Waits for each of these messages of /init in turn.
pub fn await_messages(crashed: &mut Crashed<'_, '_>, messages: &[&str]) -> Result<(), Error> {
    for message in messages {
        crashed.await_words(&format!("/init says: {message}"), message)?;
    }
    Ok(())
}

/// The same, and for the reset after them.
pub fn expect_end(crashed: &mut Crashed<'_, '_>, messages: &[&str]) -> Result<(), Error> {
    await_messages(crashed, messages)?;
    crashed.orderly_reset().map(drop)
}
