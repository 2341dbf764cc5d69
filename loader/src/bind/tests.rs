//! The purgatory's own code reads what the loader wrote, from memory that is filled as the kernel
//! does.

mod black_box;
mod machines;
mod foreign; // foreign purgatories, which read their symbols

use handoff::block::ConsoleSettings;
use handoff::{Block, EngineId, RegionKind, Verdict};
use purgatory::received::{Handoff, Itself, Span, receive};
use purgatory::verify::{self, Difference, Place};
use sha2::Digest as _;
use zerocopy::IntoBytes;

use super::*;
use crate::example;
use crate::machine::Machine;
use crate::phys::PhysRange;
use crate::request::{Console, EXAMPLE_LEAF_SIZE as LEAF_SIZE, Request, example as request};

fn machine() -> Machine {
    crate::machine::example::machine()
}

/// The crash region after kexec_load(2): bytes, then zeroes (`kimage_load_crash_segment`,
/// kernel/kexec_core.c).
struct Memory {
    region: PhysRange,
    bytes: Vec<u8>,
}

impl Memory {
    fn loaded(image: &Image<'_>) -> Self {
        let region = image.crash_region();
        // Memory outside of all segments is not zero.
        let mut memory = Self { region, bytes: vec![0xa5; region.len() as usize] };
        for segment in image.segments() {
            let at = memory.offset(segment.range().start());
            let mut bytes = segment.bytes().to_vec();
            bytes.resize(segment.range().len() as usize, 0);
            memory.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        memory
    }

    fn offset(&self, address: u64) -> usize {
        (address - self.region.start()) as usize
    }

    fn read(&self, span: Span) -> &[u8] {
        &self.bytes[self.offset(span.start())..][..span.len() as usize]
    }

    fn flip(&mut self, address: u64) {
        let at = self.offset(address);
        self.bytes[at] ^= 0x10;
    }
}

/// The image's segment of this kind.
fn segment<'a>(image: &'a Image<'_>, kind: SegmentKind) -> &'a Segment<'a> {
    image.segments().iter().find(|segment| segment.kind() == kind).unwrap()
}

/// What the purgatory's own symbols would say.
fn itself(image: &Image<'_>, request: &Request) -> Itself {
    let program = crate::purgatory::parse(&request.purgatory).unwrap();
    Itself {
        start: image.block().unwrap().purgatory.start.get(),
        written_offset: program.handoff(),
        image_len: program.len(),
    }
}

fn received(image: &Image<'_>, request: &Request) -> Handoff {
    receive(image.block().unwrap(), &itself(image, request)).unwrap()
}

fn differences(handoff: &Handoff, memory: &Memory) -> Vec<(Place, Verdict)> {
    let mut found = Vec::new();
    let read = |span| memory.read(span);
    let each = |place, difference: Difference| found.push((place, difference.verdict()));
    let reading = purgatory::reading::Reading::new();
    verify::regions(
        handoff,
        Engine::fastest(),
        memory.read(handoff.leaf_table),
        &reading,
        read,
        each,
    );
    found
}

#[test]
fn purgatory_accepts_what_the_loader_built() {
    let (request, machine) = (request(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let memory = Memory::loaded(&image);
    let handoff = received(&image, &request);
    assert!(verify::seal_holds(
        Engine::fastest(),
        image.block().unwrap(),
        memory.read(handoff.leaf_table)
    ));
    assert_eq!(differences(&handoff, &memory), []);
    assert_eq!(handoff.regions().map(|region| region.kind).collect::<Vec<_>>(), RegionKind::ALL);
    assert_eq!(
        memory.read(handoff.elfcorehdr_copy),
        &memory.read(handoff.elfcorehdr)[..handoff.elfcorehdr_copy.len() as usize]
    );
    let phys_limit = handoff.phys_limit;
    assert!(
        purgatory::elfcorehdr::check(
            memory.read(handoff.elfcorehdr),
            handoff.crash_region,
            phys_limit
        )
        .is_ok()
    );
}

#[test]
fn block_in_memory_is_the_one_that_was_sealed() {
    let (request, machine) = (request(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let memory = Memory::loaded(&image);
    let at =
        memory.offset(itself(&image, &request).start + itself(&image, &request).written_offset);
    assert_eq!(memory.bytes[at..at + size_of::<Block>()], *image.block().unwrap().as_bytes());
    let summary = image.summary();
    assert_eq!(summary.by_block.unwrap().block.start, memory.region.start() + at as u64);

    let table = image.block().unwrap().leaf_table;
    let mut oracle = sha2::Sha256::new();
    image.block().unwrap().sealed_bytes().iter().for_each(|bytes| oracle.update(bytes));
    oracle.update(&memory.bytes[memory.offset(table.start.get())..][..table.len.get() as usize]);
    assert_eq!(image.identity(), <[u8; 32]>::from(oracle.finalize()));
    assert_eq!(summary.identity, crate::image::hex(&image.identity()));
}

#[test]
fn every_leaf_is_the_digest_of_its_bytes() {
    let (request, machine) = (request(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let memory = Memory::loaded(&image);
    let handoff = received(&image, &request);
    let leaves =
        handoff.regions().flat_map(|region| memory.read(region.file()).chunks(LEAF_SIZE as usize));
    let oracle: Vec<u8> = leaves.flat_map(sha2::Sha256::digest).collect();
    assert_eq!(memory.read(handoff.leaf_table), oracle);
}

#[test]
fn flipped_byte_is_found_in_every_region_first_middle_and_last() {
    let (request, machine) = (request(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let mut memory = Memory::loaded(&image);
    let handoff = received(&image, &request);
    for region in handoff.regions() {
        let (start, len) = (region.file().start(), region.file().len());
        for address in [start, start + len / 2, start + len - 1] {
            memory.flip(address);
            let found = differences(&handoff, &memory);
            let [(place, Verdict::SegmentCorrupt)] = found[..] else { panic!("{found:?}") };
            assert!(
                place.kind == region.kind && place.start <= address && address < place.end,
                "{place:?}"
            );
            memory.flip(address);
        }
        if !region.tail().is_empty() {
            let address = region.tail().end() - 1;
            memory.flip(address);
            assert!(matches!(
                differences(&handoff, &memory)[..],
                [(place, Verdict::ZeroTail)]
                    if place.kind == region.kind
            ));
            memory.flip(address);
        }
    }
    assert_eq!(differences(&handoff, &memory), [], "every flip was undone");
}

#[test]
fn settings_arrive_in_the_block() {
    let (request, machine) = (request(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let handoff = received(&image, &request);
    assert_eq!(
        (handoff.engine, handoff.on_corrupt, handoff.leaf_size),
        (EngineId::ShaNi, request.on_corrupt.unwrap(), LEAF_SIZE)
    );
    assert_eq!((handoff.tsc_khz, handoff.phys_limit), (crate::machine::example::TSC_KHZ, 1 << 40));
    assert_eq!(handoff.permissions, handoff::Permissions::ALL);
    assert_eq!(
        (image.block().unwrap().console.port.get(), image.block().unwrap().reset_delay_ms.get()),
        (0x2f8, 2500)
    );
}

#[test]
fn entry_points_and_report_field_are_where_the_segments_are() {
    let (request, machine) = (request(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let memory = Memory::loaded(&image);
    let handoff = received(&image, &request);
    let start_of = |kind| segment(&image, kind).range().start();
    assert_eq!(handoff.entry_rip, start_of(SegmentKind::Kernel) + 0x200);
    assert_eq!(handoff.entry_rsi, start_of(SegmentKind::BootParams));
    assert_eq!(image.entry(), start_of(SegmentKind::Purgatory) + 0x10);
    assert!(memory.read(handoff.report).iter().all(|&byte| byte == b' '));
    let line = segment(&image, SegmentKind::CommandLine);
    let before = &line.bytes()[..(handoff.report.start() - line.range().start()) as usize];
    assert!(before.ends_with(handoff::report::PARAMETER.as_bytes()));
    let elfcorehdr = format!(" elfcorehdr={:#x} ", image.crash_region().start());
    assert!(
        String::from_utf8_lossy(before).contains(&elfcorehdr),
        "{}",
        String::from_utf8_lossy(before)
    );
}

#[test]
fn purgatory_accepts_a_report_field_that_the_capture_kernel_does_not_read() {
    let words = "x".repeat(1900);
    let (request, machine) =
        (Request { command_line: words.as_str().into(), ..request() }, machine());
    let image = crate::build(&request, &machine).unwrap();
    let memory = Memory::loaded(&image);
    let handoff = received(&image, &request);
    assert_eq!(differences(&handoff, &memory), []);
    let line = segment(&image, SegmentKind::CommandLine);
    let end = line.bytes().iter().position(|&byte| byte == 0).unwrap();
    assert_eq!(
        line.bytes()[..end],
        *format!("{words} elfcorehdr={:#x}", image.crash_region().start()).as_bytes()
    );
    assert_eq!(handoff.report.start(), line.range().start() + end as u64 + 1);
    assert_eq!(handoff.report.end(), line.range().start() + line.bytes().len() as u64);
}

#[test]
fn boot_params_name_the_initrd_and_the_command_line() {
    let (request, machine) = (request(), machine());
    let image = crate::build(&request, &machine).unwrap();
    // ramdisk_image, ramdisk_size, cmd_line_ptr; boot.rst.
    let params = segment(&image, SegmentKind::BootParams).bytes();
    let field = |at: usize| u64::from(u32::from_le_bytes(params[at..at + 4].try_into().unwrap()));
    let start_of = |kind| segment(&image, kind).range().start();
    assert_eq!((field(0x218), field(0x21c)), (start_of(SegmentKind::Initrd), 9_000));
    assert_eq!(field(0x228), start_of(SegmentKind::CommandLine));
}

#[test]
fn regions_reach_to_the_end_of_their_segments() {
    let (request, machine) = (request(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let handoff = received(&image, &request);
    for region in handoff.regions() {
        // The purgatory's segment holds more than its two regions, all of it sealed or written at
        // crash time.
        let whole = image.segments().iter().find(|segment| {
            segment.kind().name() == region.kind.name() && region.kind != RegionKind::Purgatory
        });
        if let Some(segment) = whole {
            assert_eq!(
                (region.memory.start(), region.memory.end()),
                (segment.range().start(), segment.range().end())
            );
        }
    }
    let kernel = handoff.regions().find(|region| region.kind == RegionKind::Kernel).unwrap();
    assert_eq!(kernel.memory.len(), u64::from(example::INIT_SIZE));
}

#[test]
fn confidential_guest_may_execute_nothing_that_faults() {
    let mut machine = machine();
    machine.cpu.confidential =
        Some(crate::machine::ConfidentialGuest { kind: "sev_snp", evidence: "/proc/cpuinfo" });
    let request = Request { console: Console::Port(0x3f8), ..request() };
    let image = crate::build(&request, &machine).unwrap();
    let handoff = received(&image, &request);
    assert_eq!(handoff.permissions, handoff::Permissions::NONE);
    assert_eq!(image.block().unwrap().console, ConsoleSettings::default());
}

#[test]
fn image_without_initrd_has_no_region_for_it() {
    let machine = machine();
    let request = Request { initrd: None, ..request() };
    let image = crate::build(&request, &machine).unwrap();
    let handoff = received(&image, &request);
    assert!(handoff.regions().all(|region| region.kind != RegionKind::Initrd));
    assert_eq!(differences(&handoff, &Memory::loaded(&image)), []);
}

#[test]
fn kernel_and_initrd_are_not_copied() {
    let (request, machine) = (request(), machine());
    let image = crate::build(&request, &machine).unwrap();
    let bytes_of = |kind| segment(&image, kind).bytes().as_ptr();
    assert!(request.kernel.bytes.as_ptr_range().contains(&bytes_of(SegmentKind::Kernel)));
    assert_eq!(request.initrd.as_ref().unwrap().bytes.as_ptr(), bytes_of(SegmentKind::Initrd));
}
