//! The header describes all memory of the crashed kernel, and only that.

use object::read::elf::{FileHeader, ProgramHeader};
use proptest::prelude::*;

use super::*;
use crate::machine::example;
use crate::phys::LOW_1M;

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(start, end).unwrap()
}

/// Type, physical range, virtual address of every program header.
fn table(bytes: &[u8]) -> Vec<(ProgramType, PhysRange, u64)> {
    let header = FileHeader64::<LittleEndian>::parse(bytes).unwrap();
    let phdrs = header.program_headers(LittleEndian, bytes).unwrap();
    assert_eq!(bytes.len(), EHDR_LEN + phdrs.len() * PHDR_LEN);
    let row = |phdr: &ProgramHeader64<LittleEndian>| {
        let (start, len) = (phdr.p_offset(LittleEndian), phdr.p_filesz(LittleEndian));
        assert_eq!(
            (phdr.p_paddr(LittleEndian), phdr.p_memsz(LittleEndian), phdr.p_align(LittleEndian)),
            (start, len, 0)
        );
        (
            phdr.p_type(LittleEndian),
            PhysRange::with_len(start, len).unwrap(),
            phdr.p_vaddr(LittleEndian),
        )
    };
    phdrs.iter().map(row).collect()
}

#[test]
fn header_is_the_kernels_own_layout() {
    let bytes = build(&example::machine()).unwrap();
    // As `crash_prepare_elf64_headers` writes it, with 9 program headers.
    let mut ehdr = [0; 64];
    ehdr[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (ehdr[16], ehdr[18], ehdr[20], ehdr[32], ehdr[52], ehdr[54], ehdr[56]) =
        (4, 62, 1, 64, 64, 56, 9);
    assert_eq!(bytes[..64], ehdr);
}

#[test]
fn notes_come_first_then_text_then_ram_ascending() {
    const PAGE_OFFSET: u64 = 0xffff_9000_0000_0000;
    let load = |start, end| (PT_LOAD, range(start, end), PAGE_OFFSET + start);
    let expected = [
        (PT_NOTE, range(0x2ec1_d5c0, 0x2ec1_d730), 0),
        (PT_NOTE, range(0x2ed1_d5c0, 0x2ed1_d730), 0),
        (PT_NOTE, range(0x182_4000, 0x182_5024), 0),
        (PT_LOAD, range(0x180_0000, 0x320_0000), 0xffff_ffff_9b80_0000),
        load(0x10_0000, 0x2000_0000),
        // The CMA area is cut out, then the crash region.
        load(0x2100_0000, 0x2f00_0000),
        load(0x3b00_0000, 0x3ffd_e000),
        load(0x1_0000_0000, 0x1_1000_0000),
        load(0x1_4000_0000, 0x1_4800_0000),
    ];
    assert_eq!(table(&build(&example::machine()).unwrap()), expected);
}

#[test]
fn cpus_are_in_the_order_of_their_numbers() {
    let mut machine = example::machine();
    let bytes = build(&machine).unwrap();
    machine.crash_notes.reverse();
    assert_eq!(build(&machine).unwrap(), bytes);
}

#[test]
fn segment_holds_what_the_kernel_will_write_and_what_is_written_now() {
    let mut machine = example::machine();
    // 64 + 917616 bytes of Debian's kernel; 64 + 56 * (4 CPUs + 2 + 5 ranges) of our own.
    assert_eq!(segment_len(&machine, true), 921_600);
    assert_eq!(segment_len(&machine, false), 4096);
    machine.elfcorehdr_size = None;
    assert_eq!(segment_len(&machine, true), 4096);
    // The kernel's figure leaves out the 64 bytes of the ELF header.
    machine.elfcorehdr_size = Some(8192 - 63);
    assert_eq!(segment_len(&machine, true), 12288);
    machine.elfcorehdr_size = Some(56);
    machine.possible_cpus = 8192;
    assert_eq!(segment_len(&machine, true), (64 + 56 * (8192 + 2 + 5_u64)).next_multiple_of(4096));
}

#[test]
fn more_program_headers_than_can_be_counted_are_refused() {
    let mut machine = example::machine();
    let notes = machine.crash_notes[0];
    machine.crash_notes = vec![notes; 0xffff - 7];
    assert_eq!(build(&machine), Err(Error::TooMany { phdrs: 0xffff, limit: 0xffff }));
    machine.crash_notes.pop();
    assert_eq!(table(&build(&machine).unwrap()).len(), 0xfffe);
}

#[test]
fn addresses_that_wrap_are_refused() {
    let mut machine = example::machine();
    machine.kcore.text_len = u64::MAX;
    assert_eq!(build(&machine), Err(Error::Text { start: 0x180_0000, len: u64::MAX }));
    let mut machine = example::machine();
    machine.kcore.page_offset = u64::MAX - 0x2000_0000;
    let refused = Error::DirectMap {
        range: range(0x2100_0000, 0x2f00_0000),
        page_offset: machine.kcore.page_offset,
    };
    assert_eq!(build(&machine), Err(refused));
}

proptest! {
    #[test]
    fn loads_are_exactly_the_ram_to_dump(
        ram in prop::collection::vec((0..512u64, 0..60u64), 0..12),
        crash in (0..512u64, 0..60u64),
        cma in (0..512u64, 0..60u64),
    ) {
        const UNIT: u64 = 256 << 10;
        let span = |(start, len): (u64, u64)| range(start * UNIT, (start + len) * UNIT);
        let mut machine = example::machine();
        machine.system_ram = ram.into_iter().map(span).collect();
        machine.crash_regions = vec![span(crash)];
        machine.crash_cma = Some(vec![span(cma)]);
        let bytes = build(&machine).unwrap();
        prop_assert!(bytes.len() as u64 <= segment_len(&machine, false));
        let loads: Vec<_> = table(&bytes)[4..].iter().map(|row| row.1).collect();
        prop_assert!(loads.windows(2).all(|pair| pair[0].end() < pair[1].start()));
        for address in (0..600 * UNIT).step_by(UNIT as usize) {
            let unit = range(address, address + UNIT);
            let within = |ranges: &[PhysRange]| ranges.iter().any(|range| range.contains(unit));
            let wanted = within(&machine.system_ram)
                && address >= LOW_1M
                && !within(&machine.crash_regions)
                && !within(machine.crash_cma.as_deref().unwrap());
            prop_assert_eq!(within(&loads), wanted, "at {:#x}", address);
        }
    }
}
