//! Places of black boxes, compared with an oracle that tries every page.

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;
const START: u64 = 0x3000_0000;

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(start, end).unwrap()
}

/// An image of `used` bytes at the start of a region of `len` bytes. A gap of a few pages is
/// between hole and kernel.
fn placed(len: u64, used: u64) -> Placed {
    let at = |offset| START + offset;
    let page = |index: u64| range(at(index * PAGE_SIZE), at((index + 1) * PAGE_SIZE));
    let last = used / PAGE_SIZE;
    Placed {
        crash_region: range(START, at(len)),
        elfcorehdr: page(0),
        hole: range(at(PAGE_SIZE), at(MIB)),
        kernel: range(at(2 * MIB), at(used - 3 * PAGE_SIZE)),
        initrd: None,
        boot_params: page(last - 3),
        command_line: page(last - 2),
        purgatory: page(last - 1),
    }
}

const NEEDS: Needs = Needs { log_copy: Some(590_000), room_to_run: 30 * MIB };
/// [`NEEDS`]'s copy in whole pages.
const COPY: u64 = 145 * PAGE_SIZE;

fn reserved(len: u64, used: u64) -> (Vec<u64>, Vec<u64>) {
    let placed = placed(len, used);
    let Reserved { records, log_copies } = reserve(&NEEDS, &placed, placed.crash_region);
    assert!(log_copies.iter().all(|copy| copy.len() == COPY), "{log_copies:?}");
    let offsets = |ranges: &[PhysRange]| ranges.iter().map(|at| at.start() - START).collect();
    (offsets(&records), offsets(&log_copies))
}

#[test]
fn roomy_region_has_records_at_its_quarters_and_copies_beside_two_of_them() {
    let (records, copies) = reserved(256 * MIB, 60 * MIB);
    assert_eq!(records, [MIB, 64 * MIB, 128 * MIB, 192 * MIB]);
    assert_eq!(copies, [64 * MIB + PAGE_SIZE, 192 * MIB + PAGE_SIZE]);
}

#[test]
fn small_region_has_what_is_free_and_leaves_the_capture_kernel_its_room() {
    let (records, copies) = reserved(80 * MIB, 48 * MIB);
    assert_eq!(records[0], MIB);
    assert_eq!(records.len(), 4);
    assert!(records[1] >= 48 * MIB && records[3] < 64 * MIB, "{records:x?}");
    assert_eq!(copies.len(), 2, "34 MiB are free, and 30 needed");
    assert_eq!(reserved(77 * MIB, 48 * MIB).1.len(), 1, "one copy leaves 30 MiB");
    assert_eq!(reserved(76 * MIB, 48 * MIB).1.len(), 0);
}

#[test]
fn full_region_has_only_the_gap_below_the_kernel_and_an_empty_one_nothing() {
    let (records, copies) = reserved(64 * MIB, 60 * MIB);
    assert_eq!((records.len(), copies.len()), (4, 0));
    assert!(records.iter().all(|&at| (MIB..2 * MIB).contains(&at)), "{records:x?}");
    let mut full = placed(64 * MIB, 60 * MIB);
    full.hole = range(START + PAGE_SIZE, START + 2 * MIB);
    assert_eq!(reserve(&NEEDS, &full, full.crash_region), Reserved::default());
    let tiny = placed(8 * MIB, 4 * MIB);
    assert_eq!(reserve(&NEEDS, &tiny, tiny.crash_region), Reserved::default());
}

#[test]
fn black_box_stays_in_the_images_window() {
    let image = placed(100 * MIB, 50 * MIB);
    let region = range(START - 100 * MIB, START + 900 * MIB);
    let black_box = reserve(&NEEDS, &image, region);
    assert_eq!((black_box.records.len(), black_box.log_copies.len()), (4, 2));
    assert!(black_box.ranges().all(|range| image.crash_region.contains(range)), "{black_box:?}");
}

#[test]
fn log_that_is_unknown_has_no_copies() {
    let placed = placed(256 * MIB, 60 * MIB);
    let needs = Needs { log_copy: None, ..NEEDS };
    let Reserved { records, log_copies } = reserve(&needs, &placed, placed.crash_region);
    assert_eq!((records.len(), log_copies.len()), (4, 0));
}

/// Free memory of a few pages: gaps and lengths, in pages.
fn free() -> impl Strategy<Value = Vec<PhysRange>> {
    prop::collection::vec((1..6u64, 1..8u64), 0..6).prop_map(|parts| {
        let mut end = 0x100;
        parts
            .into_iter()
            .map(|(gap, pages)| {
                let start = end + gap;
                end = start + pages;
                range(start * PAGE_SIZE, end * PAGE_SIZE)
            })
            .collect()
    })
}

/// Every start of `len` bytes of free memory.
fn starts(free: &[PhysRange], len: u64) -> Vec<u64> {
    let fits = |at: &u64| free.iter().any(|range| range.contains(self::range(*at, at + len)));
    (0x100..0x200).map(|page| page * PAGE_SIZE).filter(fits).collect()
}

/// The largest number, up to `wanted`, of starts that are `len` apart, and the largest distance
/// that so many can keep.
fn best(starts: &[u64], len: u64, wanted: usize) -> (usize, u64) {
    // Taking the lowest start that is far enough away is optimal for a given distance.
    let fit = |apart: u64| {
        let mut last = None;
        let mut fits = |at: &&u64| {
            let far = last.is_none_or(|last| **at - last >= apart);
            last = if far { Some(**at) } else { last };
            far
        };
        starts.iter().filter(|at| fits(at)).count().min(wanted)
    };
    let count = fit(len);
    let apart = (1..=0x100).map(|pages| pages * PAGE_SIZE).filter(|&apart| apart >= len);
    (count, apart.filter(|&apart| fit(apart) == count).max().unwrap_or(0))
}

fn least_distance(chosen: &[PhysRange]) -> u64 {
    let pairs = chosen.windows(2).map(|pair| pair[1].start() - pair[0].start());
    pairs.min().unwrap_or(u64::MAX)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn pages_are_free_as_many_as_possible_and_far_apart(
        free in free(),
        targets in prop::collection::vec(0x100..0x140u64, 4),
        apart in 1..0x20u64,
    ) {
        let targets: Vec<u64> = targets.into_iter().map(|page| page * PAGE_SIZE).collect();
        let chosen = spread(&free, PAGE_SIZE, &targets, apart * PAGE_SIZE);
        let starts = starts(&free, PAGE_SIZE);
        let (count, optimum) = best(&starts, PAGE_SIZE, 4);
        prop_assert_eq!(chosen.len(), count);
        prop_assert!(
            chosen.iter().all(|page| starts.contains(&page.start()) && page.len() == PAGE_SIZE)
        );
        // Each is farther from the others than half the best distance, or as far as is wanted.
        let bound = (apart * PAGE_SIZE).min(optimum.div_ceil(2));
        prop_assert!(
            least_distance(&chosen) >= bound,
            "{:?}, but {:#x} is possible",
            chosen,
            optimum
        );
    }

    #[test]
    fn two_copies_are_found_whenever_there_is_room_for_two(
        free in free(),
        len in 1..5u64,
        targets in prop::collection::vec(0x100..0x140u64, 2),
        apart in 1..0x20u64,
    ) {
        let targets: Vec<u64> = targets.into_iter().map(|page| page * PAGE_SIZE).collect();
        let len = len * PAGE_SIZE;
        let chosen = spread(&free, len, &targets, apart * PAGE_SIZE);
        let starts = starts(&free, len);
        let (count, optimum) = best(&starts, len, 2);
        prop_assert_eq!(chosen.len(), count);
        prop_assert!(chosen.iter().all(|copy| starts.contains(&copy.start()) && copy.len() == len));
        let bound = (apart * PAGE_SIZE).min(optimum.div_ceil(2)).max(len);
        prop_assert!(
            least_distance(&chosen) >= bound,
            "{:?}, but {:#x} is possible",
            chosen,
            optimum
        );
    }

    #[test]
    fn targets_whose_nearest_pages_are_apart_get_them(
        free in free(),
        targets in prop::collection::vec(0x100..0x140u64, 1..5),
        apart in 1..8u64,
    ) {
        let targets: Vec<u64> = targets.into_iter().map(|page| page * PAGE_SIZE).collect();
        let starts = starts(&free, PAGE_SIZE);
        let nearest = |target: &u64| starts.iter().min_by_key(|start| start.abs_diff(*target));
        let mut nearest: Vec<u64> = targets.iter().filter_map(nearest).copied().collect();
        nearest.sort_unstable();
        let are_apart = nearest.windows(2).all(|pair| pair[1] - pair[0] >= apart * PAGE_SIZE);
        if !are_apart {
            return Ok(());
        }
        let chosen = spread(&free, PAGE_SIZE, &targets, apart * PAGE_SIZE);
        prop_assert_eq!(chosen.iter().map(|page| page.start()).collect::<Vec<_>>(), nearest);
    }

    #[test]
    fn nothing_that_is_used_is_reserved(
        len in 1..600u64,
        used in 3..400u64,
        copy in prop::option::of(1..9u64 << 20),
    ) {
        prop_assume!(used < len);
        let placed = placed(len * MIB, used * MIB);
        let needs = Needs { log_copy: copy, ..NEEDS };
        let black_box = reserve(&needs, &placed, placed.crash_region);
        let mut taken = placed.segments();
        taken.push(placed.hole);
        for range in black_box.ranges() {
            prop_assert!(
                range.start().is_multiple_of(PAGE_SIZE) && range.len().is_multiple_of(PAGE_SIZE)
            );
            prop_assert!(placed.crash_region.contains(range));
            prop_assert!(range.end() + SPOILED_AT_THE_END <= placed.crash_region.end());
            prop_assert!(!taken.iter().any(|other| other.overlaps(range)), "{:?}", range);
            taken.push(range);
        }
        let copies: u64 = black_box.log_copies.iter().map(|copy| copy.len()).sum();
        let used: u64 = taken.iter().map(|range| range.len()).sum::<u64>() - placed.hole.len();
        prop_assert!(copies == 0 || placed.crash_region.len() - used >= needs.room_to_run);
    }
}
