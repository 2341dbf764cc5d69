//! Images of a vmlinux, and files that are refused.

use object::U64;
use object::elf::{SHF_EXECINSTR, SHT_NULL, SHT_PROGBITS, SectionType};
use object::pod::bytes_of;

use super::*;
use crate::example::{VmlinuxSegment, pattern, section, vmlinux};
use crate::kernel;
use crate::request::{self, InputFile, Request};

const LINKED_AT: u64 = 0x100_0000;

/// Text followed by a gap, and data with bss. In the file the order is reversed.
fn segments() -> Vec<VmlinuxSegment> {
    vec![
        VmlinuxSegment { paddr: LINKED_AT + 0x20_0000, bytes: pattern(3000), memsz: 0x5000 },
        VmlinuxSegment { paddr: LINKED_AT, bytes: pattern(5000), memsz: 5000 },
    ]
}

fn refusal(entry: u64, segments: &[VmlinuxSegment]) -> String {
    let file = InputFile { path: "vmlinux".into(), bytes: vmlinux(entry, segments) };
    kernel::parse(&file).unwrap_err().defect.to_string()
}

#[test]
fn segments_keep_the_distances_that_they_were_linked_with() {
    let bytes = vmlinux(LINKED_AT + 0x40, &segments());
    assert_eq!(kernel::format_of(&bytes), Some("vmlinux"));
    let kernel = parse(&bytes).unwrap();
    assert_eq!(kernel.payload.len(), 0x20_0000 + 3000);
    assert_eq!(kernel.payload[..5000], pattern(5000));
    assert!(kernel.payload[5000..0x20_0000].iter().all(|&byte| byte == 0), "the gap");
    assert_eq!(kernel.payload[0x20_0000..], pattern(3000));
    assert_eq!(
        (kernel.init_size, kernel.entry_offset, kernel.alignment),
        (0x20_5000, 0x40, 2 << 20)
    );
}

#[test]
fn image_of_a_vmlinux_is_aligned_to_2_mib_and_has_boot_parameters() {
    let kernel =
        InputFile { path: "vmlinux".into(), bytes: vmlinux(LINKED_AT + 0x40, &segments()) };
    let request = Request { kernel, ..request::example() };
    let machine = crate::machine::example::machine();
    let image = crate::build(&request, &machine).unwrap();
    let segment =
        |name| image.segments().iter().find(|segment| segment.kind().name() == name).unwrap();
    let start = segment("kernel").range().start();
    assert!(start.is_multiple_of(2 << 20));
    assert_eq!(image.block().unwrap().entry.rip.get(), start + 0x40);
    let params = segment("boot-params").bytes();
    assert_eq!(
        (&params[0x1fe..0x200], &params[0x202..0x206], params[0x210]),
        (&[0x55, 0xaa][..], &b"HdrS"[..], 0xd0)
    );
}

#[test]
fn vmlinux_that_cannot_run_is_refused_with_the_address() {
    let mut unaligned = segments();
    unaligned.iter_mut().for_each(|segment| segment.paddr += 0x1000);
    assert!(refusal(LINKED_AT + 0x1000, &unaligned).contains("2 MiB (0x1001000)"));
    assert!(
        refusal(0x10, &segments()).contains("entry point is outside all of its segments (0x10)")
    );
    let mut overlapping = segments();
    overlapping[1].memsz = 0x20_0001;
    assert!(refusal(LINKED_AT, &overlapping).contains("overlap (0x1200000)"));
    let mut overfull = segments();
    overfull[0].memsz = 2999;
    assert!(refusal(LINKED_AT, &overfull).contains("more bytes in the file than in memory"));
    let mut huge = segments();
    huge[0].memsz = u64::MAX / 2;
    assert!(refusal(LINKED_AT, &huge).contains("1 GiB"));
}

#[test]
fn truncated_vmlinux_is_called_truncated() {
    let mut bytes = vmlinux(LINKED_AT, &segments());
    bytes.truncate(bytes.len() - 100);
    let error = kernel::parse(&InputFile { path: "vmlinux".into(), bytes }).unwrap_err();
    assert!(error.defect.to_string().contains("truncated"), "{}", error.defect);
}

#[test]
fn other_elf_files_are_not_vmlinux() {
    let program = std::fs::read("/proc/self/exe").unwrap();
    assert!(!probe(&program), "a program for user space");
    assert!(!probe(&crate::example::purgatory().bytes()));
    assert!(!probe(b"\x7fELF"));
}

/// A vmlinux with one section over its text and, as a kernel has, one over its data.
fn with_sections(text: SectionType) -> Vec<u8> {
    let mut bytes = vmlinux(LINKED_AT + 0x40, &segments());
    let over = |kind, paddr: u64, len| {
        let mut section = section(0, kind, KERNEL_MAP + paddr, (0x1000, len), 0, 0);
        section.sh_flags = U64::new(LittleEndian, SHF_ALLOC | SHF_EXECINSTR);
        section
    };
    let sections = [
        section(0, SHT_NULL, 0, (0, 0), 0, 0),
        over(text, LINKED_AT, 5000),
        over(SHT_NOBITS, LINKED_AT + 0x20_0000 + 3000, 0x1000),
    ];
    let at = bytes.len() as u64;
    bytes.extend(sections.iter().flat_map(bytes_of));
    bytes[0x28..0x30].copy_from_slice(&at.to_le_bytes()); // e_shoff
    bytes[0x3c] = sections.len() as u8; // e_shnum
    bytes
}

#[test]
fn vmlinux_of_debug_information_only_is_refused() {
    assert!(
        kernel::parse(&InputFile { path: "vmlinux".into(), bytes: with_sections(SHT_PROGBITS) })
            .is_ok()
    );
    // After eu-strip: the program headers are still those of the kernel.
    let error = kernel::parse(&InputFile {
        path: "vmlinux.debug".into(),
        bytes: with_sections(SHT_NOBITS),
    })
    .unwrap_err();
    assert_eq!(error.defect, Defect::WithoutCode { entry: LINKED_AT + 0x40 });
    let message = error.defect.to_string();
    assert!(
        message.contains("debug information only") && message.contains("0x1000040"),
        "{message}"
    );
    // After objcopy: no segment has the entry point's bytes, but one may have other bytes, such as
    // a note.
    let mut empty = segments();
    empty[1].bytes.clear();
    assert!(refusal(LINKED_AT + 0x40, &empty).contains("debug information only"));
    assert!(
        refusal(LINKED_AT + 0x20_0000 + 4000, &segments()).contains("debug information only"),
        "in its zeroes"
    );
}

#[test]
fn headers_that_claim_much_take_no_more_memory_than_the_file() {
    let far = VmlinuxSegment { paddr: LINKED_AT + (1 << 29), bytes: pattern(8), memsz: 8 };
    let near = VmlinuxSegment { paddr: LINKED_AT, bytes: pattern(100), memsz: 100 };
    let mut long = near.clone();
    long.memsz = 1 << 29;
    for segments in [[near.clone(), far.clone()], [long, far]] {
        let message = refusal(LINKED_AT, &segments);
        assert!(message.contains("further apart") && message.contains("0x1fffff9c"), "{message}");
    }
    // Zeroes at the end are in the kernel's memory, and take none here.
    let tail = VmlinuxSegment { memsz: 1 << 29, ..near };
    let bytes = vmlinux(LINKED_AT, &[tail]);
    assert_eq!(measure(&bytes).unwrap(), Measure { wanted: None, memory: 1 << 29, initrd: 0 });
    let kernel = parse(&bytes).unwrap();
    assert_eq!((kernel.payload.len(), kernel.init_size), (100, 1 << 29));
}
