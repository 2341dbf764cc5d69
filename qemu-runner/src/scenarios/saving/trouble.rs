//! `capture-*` in trouble: whatever goes wrong after the panic, /init says what and what comes
//! next, and resets the machine.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use capture_init::{Format, RawHeader, State};

use super::small_machine::{
    DISK, RESET, SMALL_DISK, arm_partition, armed, expect_end, fill_memory, setup,
};
use crate::error::{Error, check, check_eq};
use crate::machine::disk::{Bus, PARTITION_AT, part_uuid};
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{First, PANIC, SetupDisk, Stage};

/// The disk's nodes in the first kernel.
const NODE: &str = "/dev/nvme0n1";
const PARTITION_NODE: &str = "/dev/nvme0n1p1";
/// Where the magic number of ext4 is, and its bytes (fs/ext4/ext4.h, `s_magic`).
const EXT4_AT: u64 = 1080;
const EXT4: [u8; 2] = [0x53, 0xef];
/// A line of VMCOREINFO without which free pages cannot be found.
const LINE: &[u8] = b"OFFSET(page.private)=";
/// And one without which its log cannot be found.
const LOG_LINE: &[u8] = b"SYMBOL(prb)=";
/// Lets the kernel's log keys work in the capture kernel, whatever Debian's default is.
const KEYS_WORK: &str = "--append sysrq_always_enabled";
/// Kills the process with the most memory, as if memory had run out
/// (Documentation/admin-guide/sysrq.rst).
const KILL: &str = "alt-sysrq-f";

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
    "capture-module", [], module,
        "the first of two modules cannot be loaded: /init says why, loads the next, and ends \
         without a target",
        lab: Like("capture-full");
    "capture-no-console", [], no_console,
        "no console of the capture kernel works: the dump is complete, and the machine is reset",
        lab: Like("capture-full");
    "capture-log-unreadable", [], log_unreadable,
        "VMCOREINFO does not lead to the log: /init says so, and saves the dump",
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
        "its process was killed: memory ran out, or the kernel had an oops; trying the unfiltered copy next",
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
    rename_line(&mut first, LINE)?;
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
    fill_memory(&mut first)?;
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

/// Debian's kernel has no driver for hvc0 on this machine.
fn no_console(stage: &mut Stage<'_>) -> Result<(), Error> {
    let first = armed(stage, SetupDisk::of(Bus::Nvme, DISK), "--append console=hvc0")?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    crashed.orderly_reset()?;
    let saved = Saved::in_partition(&image)?;
    check_eq!(saved.record.state, State::Complete, "state in the record")?;
    check_eq!(saved.check()?.damaged, 0, "damaged pages")
}

fn module(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&setup(SetupDisk::of(Bus::VirtioScsi, DISK)))?;
    first.load_drivers()?;
    let words = arm_partition(&mut first, "--append module_blacklist=virtio_scsi")?;
    let listed = words.lines().find_map(|line| line.split_once("with the modules "));
    let modules = listed.map_or(0, |(_, names)| names.split(", ").count());
    check!(modules > 1, "modules in the initrd: expected several, found {words}")?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let loaded = format!("{} of {modules} modules are loaded", modules - 1);
    let said = [
        "virtio_scsi.ko.xz cannot be loaded: ",
        &loaded,
        "no disk or partition has partition UUID",
        "last messages follow",
        PANIC,
        RESET,
    ];
    expect_end(&mut crashed, &said)?;
    check!(!RawHeader::is_ours(&start(&image)?), "the partition: expected no header")
}

fn log_unreadable(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = armed(stage, SetupDisk::of(Bus::Nvme, DISK), "")?;
    rename_line(&mut first, LOG_LINE)?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let said =
        ["log cannot be saved: VMCOREINFO has no line SYMBOL(prb)", "the dump is saved in ", RESET];
    expect_end(&mut crashed, &said)?;
    let record = Saved::record_in_partition(&image)?;
    check_eq!(record.state, State::Complete, "state in the record")?;
    check_eq!((record.log_bytes, record.troubles.len()), (None, 1), "log and troubles")
}

/// Renames a line of VMCOREINFO, in memory.
fn rename_line(first: &mut First<'_, '_>, line: &[u8]) -> Result<(), Error> {
    let places = first.vm.ram.find(&first.vm.ram.low_memory(), line)?;
    check!(!places.is_empty(), "VMCOREINFO in memory: expected, found none")?;
    for place in &places {
        first.vm.ram.write(*place, b"X")?;
    }
    first.note(format!("a line of VMCOREINFO is renamed, in {} places", places.len()));
    Ok(())
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
