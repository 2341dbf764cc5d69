//! `elfcorehdr-*`: the one segment that nothing hashes, because the kernel rewrites it.

use std::mem::offset_of;

use handoff::Verdict;
use handoff::report::Elfcorehdr;
use object::elf::{FileHeader64, ProgramHeader64};
use object::endian::LittleEndian;

use crate::console::Said;
use crate::error::{Error, check};
use crate::scenario::{Need, Scenario};
use crate::stage::{Setup, Stage};

type Header = FileHeader64<LittleEndian>;
type ProgramHeader = ProgramHeader64<LittleEndian>;

/// A scenario in which a field of the elfcorehdr is overwritten, and the load-time copy put back.
macro_rules! broken {
    ($name:literal, $what:literal, $offset:expr, $bytes:expr) => {
        Scenario {
            name: $name,
            summary: concat!("an elfcorehdr with broken ", $what, " is restored, and the dump is complete"),
            needs: &[Need::Makedumpfile],
            story: |stage| broken(stage, $what, $offset, &$bytes),
        }
    };
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "elfcorehdr-rewritten",
            summary: "an elfcorehdr that the kernel has rewritten is no false alarm",
            needs: &[Need::Makedumpfile],
            story: rewritten,
        },
        broken!("elfcorehdr-broken-magic", "magic", offset_of!(Header, e_ident), [0x7e]),
        broken!("elfcorehdr-broken-phnum", "phnum", offset_of!(Header, e_phnum), 0xfffe_u16.to_le_bytes()),
        // The last program header of a machine with 1 GiB is a PT_LOAD; its number is not needed, since the first, a
        // PT_NOTE, points outside of memory just as well.
        broken!(
            "elfcorehdr-broken-phdr",
            "program header",
            size_of::<Header>() + offset_of!(ProgramHeader, p_offset),
            0xffff_ffff_ffff_f000_u64.to_le_bytes()
        ),
    ]
}

fn rewritten(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { dimms: 1, spare_cpus: 1, ..Setup::default() })?;
    let image = first.arm("")?.image;
    let before = first.elfcorehdr(&image)?;
    let dimm = first.add_dimm(0)?;
    first.add_cpu()?;
    first.place_sentinel(1, &dimm)?;
    check(first.elfcorehdr(&image)? != before, "elfcorehdr after hotplug", "another one", "the same")?;
    let mut capture = first.panic(None)?.capture()?;
    capture.expect_verdict(Verdict::Ok)?;
    check(!capture.crashed.said.contains(&Said::Restored), "the console", "no word of a restored elfcorehdr", "one")?;
    check(capture.report.elfcorehdr == Elfcorehdr::Ok, "elfcorehdr in the report", "ok", capture.report.elfcorehdr.word())?;
    capture.check_vmcore()?;
    Ok(())
}

fn broken(stage: &mut Stage<'_>, what: &str, offset: usize, bytes: &[u8]) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    let image = first.arm("")?.image;
    first.place_sentinel(1, &(0..u64::MAX))?;
    let address = image.elfcorehdr.start + offset as u64;
    first.vm.ram.write(address, bytes)?;
    first.note(format!("the elfcorehdr's {what} overwritten, at {address:#x}"));
    let mut capture = first.panic(None)?.capture()?;
    check(
        capture.crashed.said.contains(&Said::Restored),
        "the console",
        "word of a restored elfcorehdr",
        format!("{:?}", capture.crashed.said),
    )?;
    capture.expect_verdict(Verdict::Ok)?;
    let report = capture.report.elfcorehdr;
    check(report == Elfcorehdr::Restored, "elfcorehdr in the report", "restored", report.word())?;
    capture.check_vmcore()?;
    Ok(())
}
