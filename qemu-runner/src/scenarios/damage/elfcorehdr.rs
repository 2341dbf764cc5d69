//! `elfcorehdr-*`: damage to the one segment that has no digest, because the kernel rewrites it.

use std::mem::offset_of;

use handoff::Verdict;
use handoff::report::Elfcorehdr;
use object::elf::{FileHeader64, PT_LOAD, ProgramHeader64};
use object::endian::LittleEndian;

use crate::error::{Error, check, check_eq};
use crate::evidence::console::Said;
use crate::machine::ram::Ram;
use crate::scenario::table;
use crate::stage::{Capture, Setup, Stage};

type Header = FileHeader64<LittleEndian>;
type ProgramHeader = ProgramHeader64<LittleEndian>;

table! {
    "elfcorehdr-rewritten", [Makedumpfile, CrashHotplug], rewritten,
        "an elfcorehdr that the kernel has rewritten raises no false alarm",
        lab: Like("hotplug");
    "elfcorehdr-broken-magic", [Makedumpfile],
        |stage| broken(stage, "a broken magic number", |ram, start| {
            ram.flip_bit(start + offset_of!(Header, e_ident) as u64, 0)
        }),
        "an elfcorehdr with a broken magic number is restored, and the dump is complete",
        lab: Like("elfcorehdr-broken-phdr");
    "elfcorehdr-broken-phnum", [Makedumpfile],
        |stage| broken(stage, "an impossible number of program headers", |ram, start| {
            ram.write(start + offset_of!(Header, e_phnum) as u64, &0xfffe_u16.to_le_bytes())
        }),
        "an elfcorehdr with an impossible number of program headers is restored, and the dump is \
         complete",
        lab: Like("elfcorehdr-broken-phdr");
    "elfcorehdr-broken-phnum-bit", [Makedumpfile],
        |stage| broken(stage, "one bit of the number of program headers flipped", |ram, start| {
            ram.flip_bit(start + offset_of!(Header, e_phnum) as u64, 0)
        }),
        "an elfcorehdr with one bit of the number of program headers flipped is restored, and the \
         dump is complete",
        lab: Like("elfcorehdr-broken-phdr");
    "elfcorehdr-broken-phdr", [Makedumpfile],
        |stage| broken(stage, "one bit of the last PT_LOAD's address flipped", |ram, start| {
            // Bit 12: the address of the next page, or of the one before.
            ram.flip_bit(last_load(ram, start)? + offset_of!(ProgramHeader, p_paddr) as u64 + 1, 4)
        }),
        "an elfcorehdr with one bit of the last PT_LOAD's address flipped is restored, and the \
         dump is complete";
}

/// The physical address of the last program header of the elfcorehdr at `start`, which must be a
/// PT_LOAD.
fn last_load(ram: &Ram, start: u64) -> Result<u64, Error> {
    let count = ram.read(start + offset_of!(Header, e_phnum) as u64, size_of::<u16>())?;
    let before = u64::from(u16::from_le_bytes([count[0], count[1]])).saturating_sub(1);
    let last = start + size_of::<Header>() as u64 + before * size_of::<ProgramHeader>() as u64;
    let kind = ram.read(last + offset_of!(ProgramHeader, p_type) as u64, size_of::<u32>())?;
    check_eq!(kind, PT_LOAD.0.to_le_bytes(), "type of the last program header")?;
    Ok(last)
}

fn rewritten(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { dimms: 1, spare_cpus: 1, ..Setup::default() })?;
    let image = first.arm("")?.image;
    let before = first.elfcorehdr(&image)?;
    first.grow()?;
    check!(first.elfcorehdr(&image)? != before, "the kernel has not rewritten the elfcorehdr")?;
    let mut capture = first.panic(None)?.capture()?;
    expect_restored(&capture, false)?;
    capture.expect_dump().map(drop)
}

/// Whether console and report must say that the copy was put back.
fn expect_restored(capture: &Capture<'_, '_>, restored: bool) -> Result<(), Error> {
    let said = capture.crashed.said.contains(&Said::Restored);
    check_eq!(said, restored, "whether the console says that the elfcorehdr was restored")?;
    let expected = if restored { Elfcorehdr::Restored } else { Elfcorehdr::Ok };
    check_eq!(capture.report.elfcorehdr, expected, "elfcorehdr in the report")
}

fn broken(
    stage: &mut Stage<'_>,
    what: &str,
    damage: fn(&Ram, u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    let image = first.arm("")?.image;
    first.place_sentinel(1)?;
    damage(&first.vm.ram, image.elfcorehdr.start)?;
    first.note(format!("the elfcorehdr at {:#x} given {what}", image.elfcorehdr.start));
    let mut capture = first.panic(None)?.capture()?;
    expect_restored(&capture, true)?;
    capture.expect_verdict(Verdict::Ok)?;
    capture.check_vmcore().map(drop)
}
