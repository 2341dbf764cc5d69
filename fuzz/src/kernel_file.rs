//! The capture kernel's file, if it is not a bzImage.
//!
//! * A vmlinux is laid out as its program headers say. It is rejected if and only if they break a
//!   rule.
//! * A unified kernel image is the kernel in its section `.linux`. It is accepted if and only if
//!   that kernel would be accepted as a file.

use loader::kernel::{self, Defect, uki, vmlinux};
use loader::request::{InputFile, Request};

use crate::bytes::word;
use crate::machine::{MACHINE, accepted, request};
use crate::{Answer, Seed, bzimage, purgatory_elf};

/// Larger kernels are skipped, because they only take time.
const LARGEST: u128 = 16 << 20;
const ALIGNMENT: u128 = 2 << 20;
const MOST: u128 = 1 << 30;

/// Checks one file.
pub fn check(data: &[u8]) -> Answer {
    match kernel::format_of(data) {
        Some(name) if name == vmlinux::FORMAT.name => of_vmlinux(data),
        Some(name) if name == uki::FORMAT.name => of_uki(data),
        _ => {
            assert_eq!(uki::defaults(data), uki::Defaults::default(), "defaults of another file");
            Answer::Refused
        }
    }
}

/// A PT_LOAD that has memory.
struct Load {
    offset: u128,
    vaddr: u128,
    paddr: u128,
    filesz: u128,
    memsz: u128,
}

/// The program headers, at the offsets of the ELF specification.
fn loads(data: &[u8]) -> Vec<Load> {
    let field = |at, len| word(data, at, len).expect("it was probed");
    let (table, count) = (field(0x20, 8), field(0x38, 2));
    let headers = (0..count)
        .map(|index| table + index * 56)
        .filter(|&at| field(at, 4) == 1 && field(at + 0x28, 8) > 0);
    let load = |at| Load {
        offset: field(at + 8, 8),
        vaddr: field(at + 0x10, 8),
        paddr: field(at + 0x18, 8),
        filesz: field(at + 0x20, 8),
        memsz: field(at + 0x28, 8),
    };
    headers.map(load).collect()
}

/// Whether a segment has the entry point's bytes, and no section without bytes covers it.
fn has_code(data: &[u8], loads: &[Load], entry: u128) -> bool {
    let Some(load) =
        loads.iter().find(|load| (load.paddr..load.paddr + load.filesz).contains(&entry))
    else {
        return false;
    };
    let virt = (load.vaddr + (entry - load.paddr)) % (1 << 64);
    let field = |at, len| word(data, at, len).expect("it was probed");
    let (table, entry_len, count) = (field(0x28, 8), field(0x3a, 2), field(0x3c, 2));
    // From 0xff00 sections on, the first holds the number.
    let count = if count == 0 { word(data, table + 0x20, 8).unwrap_or(0) } else { count };
    if table == 0 || entry_len != 64 || table + count * 64 > data.len() as u128 {
        return true;
    }
    (0..count).map(|index| table + index * 64).all(|at| {
        let (kind, flags, addr, len) =
            (field(at + 4, 4), field(at + 8, 8), field(at + 0x10, 8), field(at + 0x20, 8));
        let inside = (virt + (1 << 64) - addr) % (1 << 64) < len;
        !(kind == 8 && flags & 2 != 0 && inside)
    })
}

fn of_vmlinux(data: &[u8]) -> Answer {
    let mut loads = loads(data);
    loads.sort_by_key(|load| load.paddr);
    let start = loads[0].paddr;
    let end = loads.iter().map(|load| load.paddr + load.memsz).max().expect("one at least");
    if (LARGEST..=MOST).contains(&(end - start)) {
        return Answer::Refused;
    }
    let entry = word(data, 0x18, 8).expect("it was probed");
    let file_end = loads.last().map_or(0, |load| load.paddr + load.filesz);
    let sound = start.is_multiple_of(ALIGNMENT)
        && end < 1 << 64
        && end - start <= MOST
        && loads.windows(2).all(|pair| pair[0].paddr + pair[0].memsz <= pair[1].paddr)
        && loads.iter().all(|load| {
            load.filesz <= load.memsz
                && (load.filesz == 0 || load.offset + load.filesz <= data.len() as u128)
        })
        && loads
            .windows(2)
            .map(|pair| pair[1].paddr - pair[0].paddr - pair[0].filesz)
            .sum::<u128>()
            <= loads.len() as u128 * ALIGNMENT
        && has_code(data, &loads, entry);
    let file = InputFile { path: "vmlinux".into(), bytes: data.to_vec() };
    match kernel::parse(&file) {
        Ok(kernel) => {
            assert!(sound, "a rule is broken");
            let mut expected = vec![0; (file_end - start) as usize];
            for load in loads.iter().filter(|load| load.filesz > 0) {
                let content = &data[load.offset as usize..(load.offset + load.filesz) as usize];
                expected[(load.paddr - start) as usize..][..content.len()].copy_from_slice(content);
            }
            assert!(kernel.payload == expected, "segments are not where they were linked");
            assert_eq!(
                (u128::from(kernel.init_size), u128::from(kernel.entry_offset)),
                (end - start, entry - start)
            );
            drop(kernel);
            can_be_entered(file);
            Answer::Taken
        }
        Err(error) => {
            assert!(!sound, "rejected although no rule is broken: {}", error.defect);
            assert!(
                matches!(
                    error.defect,
                    Defect::Segments { .. } | Defect::WithoutCode { .. } | Defect::Truncated { .. }
                ),
                "{}",
                error.defect
            );
            Answer::Refused
        }
    }
}

/// Offset and length of the first section `.linux`, at the offsets of the PE specification. A name
/// ends at its first NUL.
fn linux(data: &[u8]) -> (u128, u128) {
    let field = |at, len| word(data, at, len).expect("it was probed");
    let pe = field(0x3c, 4);
    let (count, optional) = (field(pe + 6, 2), field(pe + 20, 2));
    let headers = (0..count).map(|index| pe + 24 + optional + index * 40);
    let at = headers
        .into_iter()
        .find(|&at| data[at as usize..][..7] == *b".linux\0")
        .expect("it was probed");
    (field(at + 20, 4), field(at + 8, 4).min(field(at + 16, 4)))
}

fn of_uki(data: &[u8]) -> Answer {
    let (at, len) = linux(data);
    let inside =
        (at + len <= data.len() as u128).then(|| data[at as usize..(at + len) as usize].to_vec());
    let file = InputFile { path: "uki".into(), bytes: data.to_vec() };
    match kernel::parse(&file) {
        Ok(kernel) => {
            let inside =
                InputFile { path: "vmlinuz".into(), bytes: inside.expect("it is in the file") };
            assert!(
                bzimage::check(&inside.bytes) == Answer::Taken,
                "its kernel would be rejected as a file"
            );
            assert!(
                kernel == kernel::parse(&inside).expect("accepted"),
                "another kernel than the one in it"
            );
            Answer::Taken
        }
        Err(error) => {
            match error.defect {
                Defect::Truncated { len, end, .. } => {
                    assert!(len == data.len() && end > len as u64, "nothing is cut")
                }
                Defect::Inside { section: ".linux", .. } => {
                    let inside = inside.expect("it is in the file");
                    assert!(
                        bzimage::check(&inside) == Answer::Refused,
                        "its kernel would be accepted as a file"
                    );
                }
                other => panic!("an error about neither the section nor its kernel: {other}"),
            }
            Answer::Refused
        }
    }
}

/// If the image fits the crash region, the purgatory accepts it.
fn can_be_entered(kernel: InputFile) {
    let purgatory = InputFile { path: "purgatory.elf".into(), bytes: purgatory_elf::elf(0, false) };
    let program = loader::purgatory::parse(&purgatory).expect("a purgatory");
    let request = Request { kernel, ..request(purgatory) };
    if let Ok(image) = loader::build(&request, &MACHINE) {
        accepted(&image, &program);
    }
}

/// A vmlinux of two segments, the second with memory after its bytes.
fn elf(entry: u64, second_at: u64) -> Vec<u8> {
    const MAP: u64 = 0xffff_ffff_8000_0000;
    let mut bytes = vec![0; 0x200];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let fields: [(usize, u64, usize); 8] = [
        (0x10, 2, 2),
        (0x12, 62, 2),
        (0x14, 1, 4),
        (0x18, entry, 8),
        (0x20, 64, 8),
        (0x34, 64, 2),
        (0x36, 56, 2),
        (0x38, 2, 2),
    ];
    let mut put = |at: usize, value: u64, len: usize| {
        bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len])
    };
    fields.into_iter().for_each(|(at, value, len)| put(at, value, len));
    for (header, (paddr, memsz)) in
        [(0x100_0000, 0x80), (second_at, 0x1000)].into_iter().enumerate()
    {
        let at = 64 + header * 56;
        put(at, 1, 4);
        put(at + 4, 5, 4);
        let words = [0x100 + header as u64 * 0x80, MAP + paddr, paddr, 0x80, memsz, 0x20_0000];
        words.into_iter().enumerate().for_each(|(index, word)| put(at + 8 + index * 8, word, 8));
    }
    bytes[0x100..].fill(0xcc);
    bytes
}

/// A unified kernel image of these sections.
fn pe(sections: &[(&[u8; 8], &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 0x80];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes.extend(b"PE\0\0\x64\x86");
    bytes.extend([sections.len() as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 112, 0, 0x22, 0]);
    bytes.extend([0x0b, 0x02]);
    bytes.resize(bytes.len() + 110, 0);
    let mut content = 0x400;
    for (name, section) in sections {
        bytes.extend(*name);
        for word in [section.len(), 0x1000 + content, section.len(), content, 0, 0, 0, 0x4000_0040]
        {
            bytes.extend((word as u32).to_le_bytes());
        }
        content += section.len();
    }
    bytes.resize(0x400, 0);
    sections.iter().for_each(|(_, section)| bytes.extend(*section));
    bytes
}

/// A vmlinux, a unified kernel image, and similar files.
pub fn seeds() -> Vec<Seed> {
    let linux = bzimage::image(&[0xcc; 0x210]);
    let unified =
        pe(&[(b".linux\0\0", &linux), (b".initrd\0", b"070701"), (b".cmdline", b"quiet\n")]);
    vec![
        Seed::taken("vmlinux", elf(0x100_0040, 0x120_0000)),
        Seed::refused("overlapping-segments", elf(0x100_0040, 0x100_0040)),
        Seed::refused("entry-elsewhere", elf(0x40, 0x120_0000)),
        Seed::refused("unaligned-segment", elf(0x100_0040, 0xfff_f000)),
        Seed::taken("unified", unified.clone()),
        Seed::refused("cut-section", &unified[..unified.len() - 1]),
        Seed::refused("unified-zstd", pe(&[(b".linux\0\0", b"\x28\xb5\x2f\xfd and more")])),
        Seed::refused("efi-program", pe(&[(b".text\0\0\0", &linux)])),
    ]
}
