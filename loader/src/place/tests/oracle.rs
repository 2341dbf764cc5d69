//! Compares placement with an oracle that knows only the rules and tries every page. There is a
//! place if and only if the oracle finds one.
//!
//! The rules:
//! * the elfcorehdr is at the start of the region, and the hole follows it;
//! * kernel, initrd, boot parameters, command line and purgatory come after it, in this order, each
//!   at any page after the one before;
//! * kernel and purgatory are at multiples of their alignments;
//! * the kernel is not below its preferred address, nor below 1 MiB;
//! * everything is inside the region.
//!
//! Without a fixed order, more would fit in one case only: into the memory between the hole and the
//! lowest place of the kernel. [`order_costs_room_only_below_the_kernel`] shows that, for
//! purgatories that need no more than a page's alignment.

use proptest::prelude::*;

use super::*;
use crate::machine::example;

/// Lengths are drawn in bytes around this many pages, so that regions are small enough to try
/// everything.
const FEW: u64 = 4;

fn bytes() -> impl Strategy<Value = u64> {
    1..=FEW * PAGE_SIZE
}

/// Needs of a few pages each.
fn few_pages() -> impl Strategy<Value = Needs> {
    let purgatory =
        (bytes(), 0..16u32).prop_map(|(len, bit)| PurgatoryNeeds { len, alignment: 1 << bit });
    let others =
        (bytes(), 0..=FEW * PAGE_SIZE, prop::option::of(bytes()), bytes(), bytes(), purgatory);
    // Alignments from a byte to sixteen pages; preferred addresses around the regions, whole pages
    // or not.
    let kernel = (bytes(), 0..17u32, 0..700 * PAGE_SIZE, any::<bool>());
    (kernel, others).prop_map(
        |(
            (len, bit, preferred, whole),
            (elfcorehdr, hole, initrd, boot_params, command_line, purgatory),
        )| Needs {
            elfcorehdr,
            hole,
            kernel: KernelNeeds {
                len,
                alignment: 1 << bit,
                pref_address: if whole { preferred / PAGE_SIZE * PAGE_SIZE } else { preferred },
            },
            initrd,
            boot_params,
            command_line,
            purgatory,
        },
    )
}

/// Regions of a few pages, some of them not whole, on either side of 1 MiB.
fn small_region(pages: u64) -> impl Strategy<Value = PhysRange> {
    (1..600u64, 1..=pages * PAGE_SIZE, any::<bool>()).prop_map(|(start, len, whole)| {
        PhysRange::with_len(
            start * PAGE_SIZE,
            if whole { len.next_multiple_of(PAGE_SIZE) } else { len },
        )
        .unwrap()
    })
}

/// A segment, or the hole, as the rules see it.
#[derive(Clone, Copy)]
struct Piece {
    len: u64,
    /// The alignment of its address.
    alignment: u64,
    /// Its lowest address.
    lowest: u64,
}

/// The pieces after the elfcorehdr and the hole, in order.
fn pieces(needs: &Needs) -> Vec<Piece> {
    let anywhere = |len| Piece { len, alignment: PAGE_SIZE, lowest: 0 };
    let KernelNeeds { len, alignment, pref_address } = needs.kernel;
    let kernel =
        Piece { len, alignment: alignment.max(PAGE_SIZE), lowest: pref_address.max(1 << 20) };
    let mut pieces = vec![kernel];
    pieces.extend(needs.initrd.map(anywhere));
    pieces.extend([needs.boot_params, needs.command_line].map(anywhere));
    let PurgatoryNeeds { len, alignment } = needs.purgatory;
    pieces.push(Piece { len, alignment: alignment.max(PAGE_SIZE), lowest: 0 });
    pieces
}

fn pages(len: u64) -> u64 {
    (0..).find(|pages| pages * PAGE_SIZE >= len).expect("some number of pages is enough")
}

/// Whether `piece` may begin at `page` and then ends before `end`.
fn fits(piece: Piece, page: u64, end: u64) -> bool {
    let at = page * PAGE_SIZE;
    at.is_multiple_of(piece.alignment)
        && at >= piece.lowest
        && (page + pages(piece.len)) * PAGE_SIZE <= end
}

/// Whether the pieces have places in order from page `from` on. It tries every page for each.
fn in_order_from(pieces: &[Piece], from: u64, end: u64) -> bool {
    let Some((&first, rest)) = pieces.split_first() else { return from * PAGE_SIZE <= end };
    let mut places = (from..=end / PAGE_SIZE).filter(|&page| fits(first, page, end));
    places.any(|page| in_order_from(rest, page + pages(first.len), end))
}

/// Whether there is a legal place for all.
fn exists(needs: &Needs, region: PhysRange) -> bool {
    let after_hole = region.start() / PAGE_SIZE + pages(needs.elfcorehdr) + pages(needs.hole);
    in_order_from(&pieces(needs), after_hole, region.end())
}

/// Whether the pieces find places among the free pages, in whatever order.
fn in_any_order(pieces: &[Piece], taken: &mut Vec<(u64, u64)>, from: u64, end: u64) -> bool {
    let Some((&first, rest)) = pieces.split_first() else { return true };
    (from..=end / PAGE_SIZE).any(|page| {
        let after = page + pages(first.len);
        if !fits(first, page, end) || taken.iter().any(|&(start, end)| start < after && page < end)
        {
            return false;
        }
        taken.push((page, after));
        let found = in_any_order(rest, taken, from, end);
        taken.pop();
        found
    })
}

/// Whether the rules hold.
fn is_legal(placed: &Placed, needs: &Needs, region: PhysRange) -> bool {
    let mut expected = pieces(needs).into_iter();
    let after_the_hole = [
        Some(placed.kernel),
        placed.initrd,
        Some(placed.boot_params),
        Some(placed.command_line),
        Some(placed.purgatory),
    ];
    let pieces_fit = after_the_hole.into_iter().flatten().all(|range| {
        expected.next().is_some_and(|piece| {
            let (page, rest) = (range.start() / PAGE_SIZE, range.start() % PAGE_SIZE);
            rest == 0
                && range.len() == pages(piece.len) * PAGE_SIZE
                && fits(piece, page, region.end())
        })
    });
    let ranges = in_order(placed);
    let ascend = ranges.windows(2).all(|pair| pair[0].end() <= pair[1].start());
    let first = (placed.elfcorehdr.start(), placed.elfcorehdr.end(), placed.hole.len());
    let header_end = region.start() + pages(needs.elfcorehdr) * PAGE_SIZE;
    let begins = first == (region.start(), header_end, pages(needs.hole) * PAGE_SIZE)
        && placed.hole.start() == header_end;
    pieces_fit && expected.next().is_none() && ascend && begins && placed.crash_region == region
}

/// How many single pages `kimage_alloc_crash_control_pages` (kernel/kexec_core.c) gets out of the
/// region before it gives up: the lowest that no segment touches, from the last one on.
fn control_pages(placed: &Placed) -> u64 {
    let segments: Vec<PhysRange> =
        in_order(placed).into_iter().filter(|range| *range != placed.hole).collect();
    let (mut at, mut got) = (placed.crash_region.start(), 0);
    while at + PAGE_SIZE <= placed.crash_region.end() {
        match segments.iter().find(|segment| at < segment.end() && segment.start() < at + PAGE_SIZE)
        {
            Some(segment) => at = segment.end(),
            None => (at, got) = (at + PAGE_SIZE, got + 1),
        }
    }
    got
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn there_is_a_place_if_and_only_if_trying_every_page_finds_one(
        needs in few_pages(),
        region in small_region(48),
    ) {
        match place(&needs, region) {
            Ok(placed) => {
                prop_assert!(is_legal(&placed, &needs, region), "{:?}", placed);
                prop_assert!(exists(&needs, region));
                prop_assert!(control_pages(&placed) >= pages(needs.hole), "{:?}", placed);
            }
            Err(Error::RegionTooSmall { needed, have, .. }) => {
                prop_assert!(!exists(&needs, region), "{:?} would do", needs);
                prop_assert_eq!(have, region.len());
                // The size in the message is exact, to the page.
                let of = |len| PhysRange::with_len(region.start(), len).unwrap();
                prop_assert!(
                    exists(&needs, of(needed)) && !exists(&needs, of(needed - 1)),
                    "{:#x} bytes",
                    needed
                );
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn order_costs_room_only_below_the_kernel(
        mut needs in few_pages(),
        region in small_region(12),
    ) {
        // Some kernels that fit anywhere, and others that just fit.
        needs.kernel.pref_address = region.start() + needs.kernel.pref_address % (8 * PAGE_SIZE);
        // A purgatory like ours.
        needs.purgatory.alignment = 1;
        let start = region.start() / PAGE_SIZE;
        let header_end = start + pages(needs.elfcorehdr);
        let after_hole = (header_end + pages(needs.hole)) * PAGE_SIZE;
        let hole = Piece { len: needs.hole, alignment: PAGE_SIZE, lowest: 0 };
        let unordered: Vec<Piece> =
            pieces(&needs).into_iter().chain((needs.hole > 0).then_some(hole)).collect();
        let room_for_header = header_end * PAGE_SIZE <= region.end();
        let possible = room_for_header
            && in_any_order(&unordered, &mut vec![(start, header_end)], start, region.end());
        match place(&needs, region) {
            Ok(_) => prop_assert!(possible),
            Err(_) if possible => {
                let KernelNeeds { alignment, pref_address, .. } = needs.kernel;
                prop_assert!(
                    !after_hole.is_multiple_of(alignment) || after_hole < pref_address.max(1 << 20)
                );
            }
            Err(_) => {}
        }
    }

    #[test]
    fn hole_has_a_page_table_for_every_gibibyte_up_to_the_end_of_ram(
        ends in prop::collection::vec(1..1u64 << 40, 1..6),
    ) {
        let mut machine = example::machine();
        machine.system_ram = ends.iter().map(|&end| PhysRange::new(0, end).unwrap()).collect();
        prop_assert_eq!(hole_for(&machine), 1 << 20);
        machine.cpu.gbpages = false;
        let tables = (0..).take_while(|gib| ends.iter().any(|&end| gib << 30 < end)).count() as u64;
        prop_assert_eq!(hole_for(&machine), (1 << 20) + tables * 4096);
    }
}

#[test]
fn tried_needs_often_fit_often_do_not_and_sometimes_pay_for_the_order() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut draw = || {
        let tree = (few_pages(), small_region(48)).new_tree(&mut runner).unwrap();
        tree.current()
    };
    let found = (0..1000)
        .filter(|_| {
            let (needs, region) = draw();
            place(&needs, region).is_ok()
        })
        .count();
    assert!((100..900).contains(&found), "{found} of 1000 have a place");
    // The gap below a kernel with a higher preferred address would hold the rest.
    let kernel = KernelNeeds { len: PAGE_SIZE, alignment: PAGE_SIZE, pref_address: 0x10_6000 };
    let purgatory = PurgatoryNeeds { len: 1, alignment: 1 };
    let needs = Needs {
        elfcorehdr: 64,
        hole: 1,
        kernel,
        initrd: None,
        boot_params: 1,
        command_line: 1,
        purgatory,
    };
    let region = PhysRange::new(0x10_0000, 0x10_7000).unwrap();
    assert!(in_any_order(&pieces(&needs), &mut vec![(0x100, 0x102)], 0x100, region.end()));
    assert!(matches!(place(&needs, region), Err(Error::RegionTooSmall { needed: 0xa000, .. })));
}
