//! What is made of a vmlinux, and which are refused.

use super::*;
use crate::example::{VmlinuxSegment, pattern, vmlinux};
use crate::kernel;
use crate::request::{self, InputFile, Request};

const LINKED_AT: u64 = 0x100_0000;

/// Text with a gap behind it, data with bss; in the file the other way round.
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
fn segments_lie_as_far_apart_as_they_were_linked() {
    let bytes = vmlinux(LINKED_AT + 0x40, &segments());
    assert_eq!(kernel::format_of(&bytes), Some("vmlinux"));
    let kernel = parse(&bytes).unwrap();
    assert_eq!(kernel.payload.len(), 0x20_0000 + 3000);
    assert_eq!(kernel.payload[..5000], pattern(5000));
    assert!(kernel.payload[5000..0x20_0000].iter().all(|&byte| byte == 0), "the gap");
    assert_eq!(kernel.payload[0x20_0000..], pattern(3000));
    assert_eq!((kernel.init_size, kernel.entry_offset, kernel.alignment), (0x20_5000, 0x40, 2 << 20));
}

#[test]
fn image_of_it_lies_at_a_multiple_of_2_mib_with_boot_parameters_of_our_making() {
    let kernel = InputFile { path: "vmlinux".into(), bytes: vmlinux(LINKED_AT + 0x40, &segments()) };
    let request = Request { kernel, ..request::example() };
    let machine = crate::machine::example::machine();
    let image = crate::build(&request, &machine).unwrap();
    let segment = |name| image.segments().iter().find(|segment| segment.kind().name() == name).unwrap();
    let start = segment("kernel").range().start();
    assert!(start.is_multiple_of(2 << 20));
    assert_eq!(image.block().unwrap().entry.rip.get(), start + 0x40);
    let params = segment("boot-params").bytes();
    assert_eq!((&params[0x1fe..0x200], &params[0x202..0x206], params[0x210]), (&[0x55, 0xaa][..], &b"HdrS"[..], 0xd0));
}

#[test]
fn what_cannot_run_is_refused_with_the_address() {
    let mut unaligned = segments();
    unaligned.iter_mut().for_each(|segment| segment.paddr += 0x1000);
    assert!(refusal(LINKED_AT + 0x1000, &unaligned).contains("2 MiB (0x1001000)"));
    assert!(refusal(0x10, &segments()).contains("entry point is in none of its segments (0x10)"));
    let mut overlapping = segments();
    overlapping[1].memsz = 0x20_0001;
    assert!(refusal(LINKED_AT, &overlapping).contains("overlap (0x1200000)"));
    let mut overfull = segments();
    overfull[0].memsz = 2999;
    assert!(refusal(LINKED_AT, &overfull).contains("more bytes than memory"));
    let mut huge = segments();
    huge[0].memsz = u64::MAX / 2;
    assert!(refusal(LINKED_AT, &huge).contains("1 GiB"));
}

#[test]
fn truncated_one_is_called_so() {
    let mut bytes = vmlinux(LINKED_AT, &segments());
    bytes.truncate(bytes.len() - 100);
    let error = kernel::parse(&InputFile { path: "vmlinux".into(), bytes }).unwrap_err();
    assert!(error.defect.to_string().contains("truncated"), "{}", error.defect);
}

#[test]
fn other_elf_files_are_none() {
    let program = std::fs::read("/proc/self/exe").unwrap();
    assert!(!probe(&program), "a program for user space");
    assert!(!probe(&crate::example::purgatory().bytes()));
    assert!(!probe(b"\x7fELF"));
}
