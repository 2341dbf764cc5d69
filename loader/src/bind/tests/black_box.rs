//! The black box: in the block, in no segment, and no RAM of the capture kernel or of the dump.

use std::num::NonZeroU64;

use handoff::BlackBox;
use handoff::black_box::Signals;

use super::*;
use crate::describe::listing::Listing;
use crate::machine::printk::Unresolved;
use crate::request::{Confidential, SignalChoice};

fn with_black_box() -> Request {
    Request { black_box: NonZeroU64::new(7), signals: SignalChoice::Auto, ..request() }
}

fn black_box(request: &Request, machine: &Machine) -> BlackBox {
    crate::build(request, machine).unwrap().block().unwrap().black_box
}

/// Record pages and copies of the log.
fn ranges(black_box: &BlackBox) -> Vec<PhysRange> {
    let records = black_box.records.iter().map(|at| (at.get(), 4096)).filter(|(at, _)| *at != 0);
    let copies = black_box.log_copies.iter().map(|copy| (copy.start.get(), copy.len.get()));
    let ranges = records.chain(copies.filter(|(_, len)| *len != 0));
    ranges.map(|(start, len)| PhysRange::with_len(start, len).unwrap()).collect()
}

#[test]
fn block_names_four_records_two_copies_and_the_log_in_crash_memory() {
    let (request, machine) = (with_black_box(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let black_box = *image.black_box().unwrap();
    assert_eq!(black_box.generation.get(), 7);
    assert_eq!(black_box.log, machine.printk.as_ref().unwrap().to_wire());
    let ranges = ranges(&black_box);
    assert_eq!(ranges.len(), 6);
    for range in &ranges {
        assert!(machine.crash_region().unwrap().contains(*range));
        assert!(!image.segments().iter().any(|segment| segment.range().overlaps(*range)));
    }
    for copy in black_box.log_copies {
        assert!(copy.len.get() >= black_box.log.copy_len().unwrap());
    }
}

#[test]
fn purgatory_accepts_the_black_box_as_the_loader_wrote_it() {
    let (request, machine) = (with_black_box(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let black_box = received(&image, &request).black_box;
    let log = black_box.log.as_ref().unwrap();
    let spans = black_box.records().chain(log.copies());
    let spans: Vec<_> = spans.map(|span| (span.start(), span.len())).collect();
    let written = ranges(image.black_box().unwrap());
    assert_eq!(spans, written.iter().map(|at| (at.start(), at.len())).collect::<Vec<_>>());
    let resolved = machine.printk.unwrap();
    for (read, array) in [
        (log.descriptors, resolved.descriptors),
        (log.infos, resolved.infos),
        (log.text, resolved.text),
    ] {
        assert_eq!((read.span.start(), read.span.len()), (array.range.start(), array.range.len()));
        assert_eq!((read.element_len, read.kept), (array.element_len.into(), array.kept.into()));
    }
    assert_eq!((log.head_id, log.head_lpos), (24, 64));
    let kcs = black_box.signals.kcs.unwrap();
    assert_eq!((black_box.signals.pvpanic, kcs.data, kcs.status), (Some(0x505), 0xca2, 0xca3));
}

#[test]
fn no_part_of_the_dump_is_in_the_black_box() {
    let machine = machine();
    let ranges = ranges(&black_box(&with_black_box(), &machine));
    let listed = Listing::of(&machine).memory;
    let listed = listed.iter().map(|load| PhysRange::with_len(load.start, load.len).unwrap());
    let listed: Vec<PhysRange> = listed.collect();
    assert!(!listed.is_empty());
    for range in ranges {
        assert!(!listed.iter().any(|load| load.overlaps(range)), "{range}");
    }
}

#[test]
fn capture_kernel_sees_the_black_box_as_reserved_and_the_rest_as_ram() {
    let (request, machine) = (with_black_box(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let params = image.segments().iter().find(|segment| segment.kind().name() == "boot-params");
    let params = params.unwrap().bytes();
    // `e820_entries` and `e820_table` (arch/x86/include/uapi/asm/bootparam.h).
    let entries = params[0x2d0..].chunks_exact(20).take(params[0x1e8].into());
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let of_kind = |kind: u8| {
        let entries = entries.clone().filter(move |entry| entry[16] == kind);
        entries
            .map(|entry| PhysRange::with_len(number(&entry[..8]), number(&entry[8..16])).unwrap())
    };
    for range in ranges(image.black_box().unwrap()) {
        assert!(of_kind(2).any(|entry| entry.contains(range)), "{range} is not reserved");
        assert!(!of_kind(1).any(|entry| entry.overlaps(range)), "{range} is RAM");
    }
    for segment in &image.segments()[1..] {
        assert!(of_kind(1).any(|entry| entry.contains(segment.range())), "{:?}", segment.kind());
    }
}

#[test]
fn image_without_black_box_is_the_same_as_before_there_was_one() {
    let without = black_box(&request(), &machine());
    assert_eq!(without, BlackBox::default());
    assert!(crate::build(&request(), &machine()).unwrap().black_box().is_none());
}

#[test]
fn kernel_log_that_cannot_be_resolved_leaves_records_alone() {
    let mut machine = machine();
    machine.printk = Err(Unresolved::NoNote);
    let request = with_black_box();
    let image = crate::build(&request, &machine).unwrap();
    let black_box = image.black_box().unwrap();
    assert_eq!((ranges(black_box).len(), black_box.log), (4, Default::default()));
    let summary = image.summary();
    let told = summary.by_block.as_ref().unwrap().black_box.as_ref().unwrap().no_log.as_deref();
    assert_eq!(told, Some("/proc/kcore has no VMCOREINFO note"));
    let table = summary.to_string();
    assert!(table.contains("\nkernel log     not kept: /proc/kcore has no"), "{table}");
}

#[test]
fn signals_are_the_machines_and_none_in_a_confidential_guest() {
    let request = with_black_box();
    let signals = black_box(&request, &machine()).signals;
    let ports = (signals.pvpanic_port, signals.kcs_port, signals.kcs_spacing);
    assert_eq!((ports.0.get(), ports.1.get(), ports.2.get()), (0x505, 0xca2, 1));
    let confidential = Request { confidential: Confidential::Yes, ..request.clone() };
    assert_eq!(black_box(&confidential, &machine()).signals, Signals::default());
    let alone = Request { black_box: None, ..request };
    assert_eq!(black_box(&alone, &machine()).signals, signals, "they need no record");
}
