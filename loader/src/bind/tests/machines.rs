//! Machines with any number of memory ranges and CPUs at any address. The purgatory accepts every
//! image that the loader builds for them, including the elfcorehdr.

use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::machine::CrashNotes;
use crate::request::SignalChoice;

const PAGE: u64 = 4096;
/// Physical addresses of the example's CPUs.
const TOP: u64 = 1 << 40;

/// The example machine with other memory: distances and lengths of its ranges of RAM, in pages, and
/// the one with the crash region.
fn machines() -> impl Strategy<Value = Machine> {
    let ram = prop::collection::vec((0..0x10_0000u64, 1..0x10_0000u64), 1..12);
    let crash = (
        any::<prop::sample::Index>(),
        0..0x1000u64,
        0x4000..0x1_0000u64,
        prop::option::of(1..0x1000u64),
    );
    let cma = prop::option::weighted(0.3, (any::<prop::sample::Index>(), 1..0x1000u64));
    let cpus = (prop::collection::vec(0x100..TOP / 512, 1..40), 0..64u32, 0..0x1_0000u64);
    (ram, crash, cma, cpus).prop_map(
        |(ram, (home, before, crash_pages, low), cma, (notes, absent, direct_map))| {
            let range =
                |page: u64, pages: u64| PhysRange::with_len(page * PAGE, pages * PAGE).unwrap();
            let mut at = 0x100;
            let mut ranges: Vec<PhysRange> = Vec::new();
            let home = home.index(ram.len());
            let mut crash_region = range(0, 0);
            for (index, (gap, pages)) in ram.into_iter().enumerate() {
                let start = at + gap;
                let mut pages = pages;
                if index == home {
                    crash_region = range(start + before, crash_pages);
                    pages += before + crash_pages;
                }
                ranges.push(range(start, pages));
                at = start + pages;
            }
            // Far from everything else: there is always something to dump, at least the running
            // kernel's text.
            let home_of_text = range(at + 0x1_0000, 0x2000);
            ranges.push(home_of_text);
            let mut machine = machine();
            machine.kcore.text_phys = home_of_text.start();
            assert!(machine.kcore.text_len <= home_of_text.len());
            machine.total_ram = ranges.iter().map(|range| range.len()).sum();
            machine.crash_cma = Some(
                cma.map(|(home, pages)| {
                    range(ranges[home.index(ranges.len() - 1)].start() / PAGE, pages)
                })
                .into_iter()
                .collect(),
            );
            let low = low
                .map(|pages| range(ranges[0].start() / PAGE, pages))
                .filter(|low| low.end() <= crash_region.start());
            machine.crash_regions = low.into_iter().chain([crash_region]).collect();
            machine.system_ram = [range(1, 0x9e)].into_iter().chain(ranges).collect();
            machine.crash_notes = notes
                .into_iter()
                .enumerate()
                .map(|(cpu, at)| CrashNotes {
                    cpu: cpu as u32,
                    range: PhysRange::with_len(at * 512, 368).unwrap(),
                })
                .collect();
            machine.possible_cpus = machine.crash_notes.len() as u32 + absent;
            machine.kcore.page_offset = 0xff11_0000_0000_0000 + (direct_map << 30);
            // The running kernel's log is never in crash memory.
            let log = machine.printk.as_ref().unwrap();
            let arrays = [log.descriptors, log.infos, log.text].map(|array| array.range);
            let mut parts = arrays.into_iter().chain([log.ringbuffer]);
            if parts.any(|part| machine.crash_regions.iter().any(|region| region.overlaps(part))) {
                machine.printk = Err(crate::machine::printk::Unresolved::NoNote);
            }
            machine
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn purgatory_accepts_every_image_of_every_machine(machine in machines(), generation: u64) {
        let black_box = NonZeroU64::new(generation);
        let request = Request { black_box, signals: SignalChoice::Auto, ..request() };
        let image = match crate::build(&request, &machine) {
            Ok(image) => image,
            // The one thing that such a machine may lack.
            Err(crate::Error::Place(crate::place::Error::RegionTooSmall { .. })) => return Ok(()),
            Err(crate::Error::Admit(crate::admit::Error::HalfOfRam { .. })) => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        let handoff = received(&image, &request);
        let segment = segment(&image, SegmentKind::Elfcorehdr);
        let mut elfcorehdr = segment.bytes().to_vec();
        elfcorehdr.resize(segment.range().len() as usize, 0);
        let checked =
            purgatory::elfcorehdr::check(&elfcorehdr, handoff.crash_region, handoff.phys_limit);
        prop_assert_eq!(checked, Ok(()));
        prop_assert_eq!(handoff.elfcorehdr_copy.len(), segment.bytes().len() as u64);
        let used: u64 = image.segments().iter().map(|segment| segment.range().len()).sum();
        if image.crash_region().len() > used + (18 << 20) {
            prop_assert_eq!(handoff.black_box.generation, generation, "there is room for a record");
        }
    }
}
