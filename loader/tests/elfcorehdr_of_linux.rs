//! Compares the loader's elfcorehdr with the one that a real kernel wrote for the same machine. On
//! hotplug the kernel replaces the loader's, and the dump must not depend on whether it did. The
//! purgatory must accept the kernel's as well.
//!
//! `tests/fixtures/README.md` says how the files were made.

use std::fs;
use std::path::{Path, PathBuf};

use handoff::{EngineId, OnCorrupt};
use kdump_image::cmdline::Base;
use kdump_image::describe::elfcorehdr;
use kdump_image::example;
use kdump_image::image::SegmentKind;
use kdump_image::machine::Machine;
use kdump_image::phys::PhysRange;
use kdump_image::request::{Confidential, Console, EngineChoice, InputFile, Request, SignalChoice};
use object::elf::{FileHeader64, PT_LOAD, PT_NOTE, ProgramHeader64};
use object::pod::bytes_of;
use object::read::elf::FileHeader;
use object::{LittleEndian, U16};
use purgatory::elfcorehdr::{Defect, check};
use purgatory::received::{Handoff, Itself, receive};

type Ehdr = FileHeader64<LittleEndian>;
type Phdr = ProgramHeader64<LittleEndian>;

/// The kernel series that fixtures were taken from.
const SERIES: [&str; 2] = ["6.12", "7"];

/// One machine, described twice.
struct Fixture {
    series: &'static str,
    machine: Machine,
    /// What the kernel wrote: whole pages.
    linux: Vec<u8>,
    /// What the loader writes.
    loaders: Vec<u8>,
}

fn fixtures() -> [Fixture; 2] {
    SERIES.map(|series| {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fixtures")
            .join(format!("elfcorehdr-{series}"));
        let machine = Machine::read(&directory.join("snapshot"), None).unwrap();
        let linux = fs::read(directory.join("elfcorehdr.bin")).unwrap();
        let loaders = elfcorehdr::build(&machine).unwrap();
        Fixture { series, machine, linux, loaders }
    })
}

/// The program headers of an elfcorehdr.
fn programs(bytes: &[u8]) -> &[Phdr] {
    Ehdr::parse(bytes).unwrap().program_headers(LittleEndian, bytes).unwrap()
}

/// Where each PT_NOTE's notes are.
fn notes(bytes: &[u8]) -> Vec<PhysRange> {
    let notes =
        programs(bytes).iter().filter(|program| program.p_type.get(LittleEndian) == PT_NOTE);
    notes
        .map(|note| {
            PhysRange::with_len(note.p_paddr.get(LittleEndian), note.p_memsz.get(LittleEndian))
                .unwrap()
        })
        .collect()
}

/// Every PT_LOAD, byte for byte.
fn loads(bytes: &[u8]) -> Vec<&[u8]> {
    programs(bytes)
        .iter()
        .filter(|program| program.p_type.get(LittleEndian) == PT_LOAD)
        .map(bytes_of)
        .collect()
}

#[test]
fn text_and_memory_are_described_byte_for_byte_as_by_linux() {
    for Fixture { series, linux, loaders, .. } in fixtures() {
        assert_eq!(loads(&loaders), loads(&linux), "{series}");
        // The text, and three stretches of memory: around the crash region, and a DIMM that was
        // added.
        assert_eq!(loads(&linux).len(), 4, "{series}");
    }
}

#[test]
fn notes_are_those_of_linux_except_for_the_absent_cpu() {
    for Fixture { series, machine, linux, loaders } in fixtures() {
        let (theirs, ours) = (notes(&linux), notes(&loaders));
        assert_eq!(theirs.last(), Some(&machine.vmcoreinfo), "{series}");
        assert_eq!(ours.last(), Some(&machine.vmcoreinfo), "{series}");
        let cpus: Vec<PhysRange> = machine.crash_notes.iter().map(|notes| notes.range).collect();
        assert_eq!(ours[..ours.len() - 1], cpus, "{series}");

        // Linux lists all possible CPUs, in the order of their numbers. sysfs has only those that
        // are present.
        let (possible, present) = (machine.possible_cpus as usize, cpus.len());
        assert_eq!((possible, present), (4, 3), "{series}");
        assert_eq!(theirs.len(), possible + 1, "{series}");
        assert_eq!(theirs[..present], cpus, "{series}");
        let absent = theirs[present];
        assert!(
            cpus.iter().all(|present| !present.overlaps(absent) && present.len() == absent.len()),
            "{series}: {absent}"
        );
        assert!(machine.system_ram.iter().any(|ram| ram.contains(absent)), "{series}: {absent}");
    }
}

#[test]
fn header_is_that_of_linux_without_the_absent_cpu_and_the_padding() {
    for Fixture { series, machine, linux, loaders } in fixtures() {
        let (ehdr, rest) = linux.split_at(size_of::<Ehdr>());
        let absent = machine.crash_notes.len() * size_of::<Phdr>()
            ..(machine.crash_notes.len() + 1) * size_of::<Phdr>();
        let end = size_of_val(programs(&linux));
        let mut expected = *object::pod::from_bytes::<Ehdr>(ehdr).unwrap().0;
        expected.e_phnum = U16::new(LittleEndian, expected.e_phnum.get(LittleEndian) - 1);
        let expected =
            [bytes_of(&expected), &rest[..absent.start], &rest[absent.end..end]].concat();
        assert_eq!(loaders, expected, "{series}");
        assert!(
            rest[end..].iter().all(|&byte| byte == 0) && linux.len().is_multiple_of(4096),
            "{series}"
        );
    }
}

/// A purgatory's configuration on this machine, and its elfcorehdr's segment with the kernel's
/// header in it.
fn armed(Fixture { machine, linux, .. }: &Fixture) -> (Handoff, Vec<u8>) {
    let file = |name: &str, bytes| InputFile { path: PathBuf::from(name), bytes };
    let request = Request {
        kernel: file("vmlinuz", example::bzimage(&example::pattern(50_000))),
        initrd: None,
        command_line: Base::default(),
        noefi: false,
        on_corrupt: Some(OnCorrupt::Reset),
        reset_delay_ms: Some(0),
        console: Console::None,
        confidential: Confidential::Auto,
        hotplug: true,
        engine: EngineChoice::Only(EngineId::Soft),
        leaf_size: Some(4096),
        black_box: None,
        signals: SignalChoice::None,
        purgatory: file("purgatory.elf", example::purgatory().bytes()),
        rng_seed: None,
        window: None,
    };
    let image = kdump_image::build(&request, machine).unwrap();
    let program = kdump_image::purgatory::parse(&request.purgatory).unwrap();
    let block = image.block().unwrap();
    let start = block.purgatory.start.get();
    let itself = Itself { start, written_offset: program.handoff(), image_len: program.len() };
    let handoff = receive(block, &itself).unwrap();
    let segment =
        image.segments().iter().find(|segment| segment.kind() == SegmentKind::Elfcorehdr).unwrap();
    let mut bytes = linux.clone();
    // The segment is large enough for the kernel's header. kexec_load(2) filled the rest with
    // zeroes.
    bytes.resize(segment.range().len() as usize, 0);
    (handoff, bytes)
}

#[test]
fn purgatory_accepts_headers_that_linux_wrote() {
    for fixture in fixtures() {
        let (handoff, segment) = armed(&fixture);
        assert_eq!(
            check(&segment, handoff.crash_region, handoff.phys_limit),
            Ok(()),
            "{}",
            fixture.series
        );
    }
}

#[test]
fn purgatory_notices_any_flipped_bit_of_an_address_that_linux_wrote() {
    const PADDR: usize = std::mem::offset_of!(Phdr, p_paddr);
    for fixture in fixtures() {
        let (handoff, segment) = armed(&fixture);
        for program in 0..programs(&segment).len() {
            for bit in 0..u64::BITS as usize {
                let mut segment = segment.clone();
                segment[size_of::<Ehdr>() + program * size_of::<Phdr>() + PADDR + bit / 8] ^=
                    1 << (bit % 8);
                let found = check(&segment, handoff.crash_region, handoff.phys_limit);
                assert_eq!(
                    found,
                    Err(Defect::Disagreement),
                    "{}: bit {bit} of header {program}",
                    fixture.series
                );
            }
        }
    }
}
