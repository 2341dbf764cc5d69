//! `capture-*` in trouble: whatever goes wrong after the panic, /init says what and what comes
//! next, and resets the machine.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use capture_init::{Format, RawHeader, State};

use super::case::arm;
use crate::error::{Error, check, check_eq};
use crate::machine::disk::{Bus, PARTITION_AT, part_uuid};
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{Crashed, First, PANIC, Setup, SetupDisk, Stage};

/// Crash memory in which every such capture was seen to work.
const CRASHKERNEL: &str = "80M";
/// MiB of memory, and of a disk that is large enough for an unfiltered copy of it.
const MEMORY: u64 = 512;
const DISK: u64 = 640;
/// MiB of a disk that is too small for the dump.
pub(super) const SMALL_DISK: u64 = 24;
/// The disk's nodes in the first kernel.
const NODE: &str = "/dev/nvme0n1";
const PARTITION_NODE: &str = "/dev/nvme0n1p1";
/// Where the magic number of ext4 is, and its bytes (fs/ext4/ext4.h, `s_magic`).
const EXT4_AT: u64 = 1080;
const EXT4: [u8; 2] = [0x53, 0xef];
/// A line of VMCOREINFO without which free pages cannot be found.
const LINE: &[u8] = b"OFFSET(page.private)=";
/// Lets the kernel's log keys work in the capture kernel, whatever Debian's default is.
const KEYS_WORK: &str = "--append sysrq_always_enabled";
/// Kills the process with the most memory, as if memory had run out
/// (Documentation/admin-guide/sysrq.rst).
const KILL: &str = "alt-sysrq-f";
/// The last message.
pub(super) const RESET: &str = "kdump-capture: resetting the machine";

table! {
    "capture-full", [], full,
        "a partition that is too small: /init says so with the numbers, and the dump is readable \
         as far as it got";
    "capture-target-missing", [], missing,
        "the partition is gone: /init lists the disks that it sees, and prints the last messages \
         of the crashed kernel",
        lab: Like("capture-full");
    "capture-target-in-use", [], in_use,
        "a filesystem was made on the partition after arming: /init leaves it alone",
        lab: Like("capture-full");
    "capture-io-error", [], io_error,
        "the disk has a bad sector: /init says so, and most of the dump is readable",
        lab: Like("capture-full");
    "capture-killed", [], killed,
        "the filter is killed for lack of memory: /init makes an unfiltered copy",
        lab: Like("capture-full");
    "capture-vmcoreinfo", [], vmcoreinfo,
        "VMCOREINFO lacks a line: the dump has all pages, and says why",
        lab: Like("capture-full");
    "capture-timeout", [], timeout,
        "time is over during the dump: the machine is reset, and the dump is readable as far as it \
         got",
        lab: Like("capture-full");
}

fn full(stage: &mut Stage<'_>) -> Result<(), Error> {
    let first = armed(stage, SetupDisk::of(Bus::Nvme, SMALL_DISK), "")?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let said = ["the target is full after ", "there is no complete dump in ", RESET];
    expect_end(&mut crashed, &said)?;
    let saved = Saved::in_partition(&image)?;
    saved.expect_incomplete(State::Incomplete)?;
    check_eq!(saved.check()?.damaged, 0, "damaged pages of a dump that ends early")
}

fn missing(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = armed(stage, SetupDisk::of(Bus::Nvme, DISK), "")?;
    first.vm.run_ok(&format!("dd if=/dev/zero of={NODE} bs=512 count=34 conv=fsync"))?;
    first.note("the partition table is gone");
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let id = part_uuid(0);
    let id = format!("no disk or partition has partition UUID {id}; this kernel sees nvme0");
    expect_end(&mut crashed, &[&id, "last messages follow", PANIC, RESET])?;
    check!(!RawHeader::is_ours(&start(&image)?), "the partition: expected no header")
}

fn in_use(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = armed(stage, SetupDisk::of(Bus::Nvme, DISK), "")?;
    let bytes: String = EXT4.iter().map(|byte| format!("\\{byte:03o}")).collect();
    first.vm.run_ok(&format!(
        "printf '{bytes}' | dd of={PARTITION_NODE} bs=1 seek={EXT4_AT} conv=fsync,notrunc"
    ))?;
    first.note("the partition has the magic number of ext4");
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let holds = "holds an ext2, ext3 or ext4 filesystem, which a dump would destroy";
    expect_end(&mut crashed, &[holds, "last messages follow", PANIC, RESET])?;
    let mut expected = [0; START];
    expected[EXT4_AT as usize..EXT4_AT as usize + EXT4.len()].copy_from_slice(&EXT4);
    check!(start(&image)? == expected, "the partition: expected to be as it was")
}

fn io_error(stage: &mut Stage<'_>) -> Result<(), Error> {
    let disk = SetupDisk { broken_at: Some(8 << 20), ..SetupDisk::of(Bus::Nvme, DISK) };
    let first = armed(stage, disk, "")?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let said = ["the disk cannot be written: ", "there is no complete dump in ", RESET];
    expect_end(&mut crashed, &said)?;
    let saved = Saved::in_partition(&image)?;
    saved.expect_incomplete(State::Incomplete)?;
    // Pages that do not compress are stored as they are. If they are lost, they read as zeroes.
    let checked = saved.check()?;
    check!(checked.saved > 10 * checked.damaged, "pages around one bad sector: {checked:?}")
}

fn killed(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = armed(stage, SetupDisk::of(Bus::Nvme, DISK), KEYS_WORK)?;
    first.place_sentinel(1)?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    crashed.await_words("the dump has begun", " MiB written, ")?;
    crashed.vm.monitor.press(KILL)?;
    let said = [
        "its process was killed, probably because memory ran out; trying the unfiltered copy next",
        "the dump is saved in ",
        RESET,
    ];
    expect_end(&mut crashed, &said)?;
    let record = Saved::record_in_partition(&image)?;
    check_eq!(record.state, State::Complete, "state in the record")?;
    check_eq!(record.dump.map(|dump| dump.format), Some(Format::Elf), "format of the dump")?;
    check_eq!(record.troubles.len(), 1, "troubles in the record")?;
    Saved::expect_copy_in_partition(&image, &crashed.victim)
}

fn vmcoreinfo(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = armed(stage, SetupDisk::of(Bus::Nvme, DISK), "")?;
    let places = first.vm.ram.find(&first.vm.ram.low_memory(), LINE)?;
    check!(!places.is_empty(), "VMCOREINFO in memory: expected, found none")?;
    for place in &places {
        first.vm.ram.write(*place, b"X")?;
    }
    first.note(format!("a line of VMCOREINFO is renamed, in {} places", places.len()));
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let said = [
        "free pages are in the dump, because VMCOREINFO has no line OFFSET(page.private)",
        "the dump is saved in ",
        RESET,
    ];
    expect_end(&mut crashed, &said)?;
    let saved = Saved::in_partition(&image)?;
    check_eq!(saved.record.state, State::Complete, "state in the record")?;
    check_eq!(saved.record.troubles.len(), 1, "troubles in the record")?;
    let pages = saved.record.dump.and_then(|dump| dump.pages).unwrap_or_default();
    check_eq!((pages.free, pages.all), (0, saved.dump.pages()), "free pages left out, all pages")?;
    check_eq!(saved.check()?.saved, pages.all, "pages that can be read")
}

fn timeout(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = armed(stage, SetupDisk::of(Bus::Nvme, DISK), "--capture-timeout 2")?;
    // What takes its time to be compressed and written.
    first.vm.run_ok("dd if=/dev/urandom of=/tmp/random bs=1M count=150")?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let said = [
        "the machine is reset after 2 s at the latest",
        "the capture's time is over; what was written so far stays",
        RESET,
    ];
    expect_end(&mut crashed, &said)?;
    let saved = Saved::in_partition(&image)?;
    saved.expect_incomplete(State::Writing)?;
    check_eq!(saved.check()?.damaged, 0, "damaged pages of a dump that ends early")
}

/// Boots a machine with this disk, and arms it to save to the disk's partition.
fn armed<'s, 'c>(
    stage: &'s mut Stage<'c>,
    disk: SetupDisk,
    options: &str,
) -> Result<First<'s, 'c>, Error> {
    let setup = Setup {
        crashkernel: Some(CRASHKERNEL),
        memory_mib: MEMORY,
        makedumpfile: false,
        disks: vec![disk],
        modules: vec!["nvme"],
        ..Setup::default()
    };
    let mut first = stage.boot(&setup)?;
    first.load_drivers()?;
    let target = format!("PARTUUID={}", part_uuid(0));
    arm(&mut first, &format!("{target} {options}"), &format!("the dump goes to {target}"))?;
    Ok(first)
}

/// Waits for each of these messages in turn, and for the reset after them.
pub(super) fn expect_end(crashed: &mut Crashed<'_, '_>, messages: &[&str]) -> Result<(), Error> {
    for message in messages {
        crashed.await_words(&format!("/init says: {message}"), message)?;
    }
    crashed.orderly_reset().map(drop)
}

/// The bytes at the beginning of the partition.
fn start(image: &Path) -> Result<[u8; START], Error> {
    let mut bytes = [0; START];
    let file = File::open(image).map_err(Error::file("open", image))?;
    file.read_exact_at(&mut bytes, PARTITION_AT).map_err(Error::file("read", image))?;
    Ok(bytes)
}

/// As many as a header has.
const START: usize = capture_init::RAW_HEADER_LEN;
