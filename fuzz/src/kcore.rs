//! /proc/kcore.
//!
//! * The loader reads the start of the file, up to the end of the headers and notes. That part
//!   means the same as the whole file.
//! * VMCOREINFO is a part of it.
//! * The text and the offset of the direct map are those of the program headers, and each is
//!   unique.

use loader::machine::fuzzing;

use crate::bytes::word;
use crate::{Answer, Seed};

/// The kernel maps its text from here on (`__START_KERNEL_map`,
/// arch/x86/include/asm/page_64_types.h).
const START_KERNEL_MAP: u128 = 0xffff_ffff_8000_0000;
/// Physical address of a segment that is neither text nor RAM (`read_kcore_iter`, fs/proc/kcore.c).
const NO_ADDRESS: u128 = 0xffff_ffff_ffff_ffff;
const PT_LOAD: u128 = 1;
const PT_NOTE: u128 = 4;

/// Checks one file.
pub fn check(data: &[u8]) -> Answer {
    let (headers, parsed) = fuzzing::kcore(data);
    assert!(data.starts_with(&headers), "the part that is read is not the start of the file");
    let (again, of_headers) = fuzzing::kcore(&headers);
    assert_eq!(again, headers, "the cut file is cut again");
    assert_eq!(of_headers.ok(), parsed.as_ref().ok().copied(), "the cut file means something else");

    let note = fuzzing::vmcoreinfo_note(&headers);
    assert_eq!(note, fuzzing::vmcoreinfo_note(data), "VMCOREINFO of the cut file");
    let is_there = |text: &[u8]| headers.windows(text.len().max(1)).any(|bytes| bytes == text);
    // Bytes that are not UTF-8 were replaced.
    let text = note.filter(|text| !text.is_empty() && !text.contains('\u{fffd}'));
    assert!(text.is_none_or(|text| is_there(text.as_bytes())), "VMCOREINFO is not in the file");

    let Ok(kcore) = parsed else { return Answer::Refused };
    let field = |at, len| word(data, at, len).expect("the headers are in the file");
    assert_eq!(
        (field(0, 4), field(4, 1), field(5, 1)),
        (0x464c_457f, 2, 1),
        "64 bits, little-endian"
    );
    assert_eq!((field(16, 2), field(18, 2)), (4, 62), "ET_CORE, EM_X86_64");
    let (table, entry_len) = (field(32, 8), field(54, 2));
    // With PN_XNUM the count is `sh_info` of the first section header.
    let count = if field(56, 2) == 0xffff { field(field(40, 8) + 44, 4) } else { field(56, 2) };
    assert_eq!(entry_len, 56);
    let (mut texts, mut offsets) = (Vec::new(), Vec::new());
    for index in 0..count {
        let at = table + index * 56;
        let [kind, offset, vaddr, paddr, filesz, memsz] =
            [(0, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8)].map(|(o, l)| field(at + o, l));
        if kind == PT_NOTE {
            assert!(
                (offset + filesz).min(data.len() as u128) <= headers.len() as u128,
                "a note was cut"
            );
        }
        if kind == PT_LOAD && paddr != NO_ADDRESS {
            if vaddr >= START_KERNEL_MAP {
                texts.push((vaddr, paddr, memsz))
            } else {
                offsets.push(vaddr.checked_sub(paddr))
            }
        }
    }
    let kernel: [u128; 3] = [kcore.text_virt, kcore.text_phys, kcore.text_len].map(u128::from);
    assert_eq!(texts, [kernel.into()], "text");
    assert!(kernel[2] > 0 && kernel[0] + kernel[2] < 1 << 64, "text that is empty or wraps");
    assert!(
        !offsets.is_empty()
            && offsets.iter().all(|&offset| offset == Some(kcore.page_offset.into())),
        "direct map"
    );
    Answer::Taken
}

/// A core with one note and `loads` as (vaddr, paddr, memsz), as `read_kcore_iter` writes it.
fn core(loads: &[(u64, u64, u64)]) -> Vec<u8> {
    const NOTE: &[u8] = b"VMCOREINFO";
    let note_at = 64 + 56 * (loads.len() as u64 + 1);
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    bytes.extend([0, 64, 0].map(u64::to_le_bytes).as_flattened());
    bytes.extend(
        [0, 0, 64, 56, loads.len() as u16 + 1, 0, 0, 0].map(u16::to_le_bytes).as_flattened(),
    );
    let mut program = |kind: u64, rest: [u64; 6]| {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(rest.map(u64::to_le_bytes).as_flattened());
    };
    program(4, [note_at, 0, 0, NOTE.len() as u64, 0, 0]);
    for &(vaddr, paddr, memsz) in loads {
        program(1 | 7 << 32, [vaddr & 0xffff_ffff_ffff, vaddr, paddr, memsz, memsz, 4096]);
    }
    bytes.extend(NOTE);
    bytes.extend([0xda; 16]);
    bytes
}

/// The file of a machine, one without text, and one with two direct maps.
pub fn seeds() -> Vec<Seed> {
    let text = (0xffff_ffff_9b80_0000, 0x180_0000, 0x1a0_0000);
    let modules = (0xffff_ffff_c000_0000, u64::MAX, 0x3f00_0000);
    let (low, ram) =
        ((0xffff_9000_0000_1000, 0x1000, 0x9e000), (0xffff_9000_0010_0000, 0x10_0000, 0x3fed_e000));
    vec![
        Seed::taken("machine", core(&[text, modules, low, ram])),
        Seed::refused("no-text", core(&[modules, low])),
        Seed::refused("two-direct-maps", core(&[text, low, (ram.0 + 0x1000, ram.1, ram.2)])),
    ]
}
