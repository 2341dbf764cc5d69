//! Placement of random images in regions of random sizes.

mod oracle;

use proptest::prelude::*;

use super::*;

fn needs() -> impl Strategy<Value = Needs> {
    let kernel =
        (1u64..100 << 20, 12u32..25, 0u64..64 << 20).prop_map(|(len, bits, pref_address)| {
            KernelNeeds { len, alignment: 1 << bits, pref_address }
        });
    let purgatory = (4096u64..256 << 10, 0u32..21)
        .prop_map(|(len, bits)| PurgatoryNeeds { len, alignment: 1 << bits });
    let sizes = (64u64..2 << 20, HOLE..64 << 20, 4096u64..65536, 1u64..65536, purgatory);
    (kernel, prop::option::of(1u64..200 << 20), sizes).prop_map(
        |(kernel, initrd, (elfcorehdr, hole, boot_params, command_line, purgatory))| Needs {
            elfcorehdr,
            hole,
            kernel,
            initrd,
            boot_params,
            command_line,
            purgatory,
        },
    )
}

/// Regions as the kernel reserves them: 16 MiB aligned, below and above 4 GiB.
fn region() -> impl Strategy<Value = PhysRange> {
    (1u64..4096, 1u64..64).prop_map(|(start, len)| {
        PhysRange::with_len(start * SUGGESTION_STEP, len * SUGGESTION_STEP).unwrap()
    })
}

fn in_order(placed: &Placed) -> Vec<PhysRange> {
    let Placed { elfcorehdr, hole, kernel, initrd, boot_params, command_line, purgatory, .. } =
        *placed;
    [
        Some(elfcorehdr),
        Some(hole),
        Some(kernel),
        initrd,
        Some(boot_params),
        Some(command_line),
        Some(purgatory),
    ]
    .into_iter()
    .flatten()
    .collect()
}

proptest! {
    #[test]
    fn segments_are_page_aligned_disjoint_and_inside_the_crash_region(
        needs in needs(),
        region in region(),
    ) {
        let Ok(placed) = place(&needs, region) else { return Ok(()) };
        let ranges = in_order(&placed);
        for pair in ranges.windows(2) {
            prop_assert!(pair[0].end() <= pair[1].start(), "{:?} then {:?}", pair[0], pair[1]);
        }
        for range in ranges {
            prop_assert!(region.contains(range) && !range.is_empty());
            prop_assert_eq!(range.start() % PAGE_SIZE, 0);
            prop_assert_eq!(range.end() % PAGE_SIZE, 0);
        }
    }

    #[test]
    fn kernel_gets_the_size_and_alignment_of_its_header(needs in needs(), region in region()) {
        let Ok(placed) = place(&needs, region) else { return Ok(()) };
        prop_assert_eq!(placed.kernel.start() % needs.kernel.alignment, 0);
        prop_assert_eq!(placed.purgatory.start() % needs.purgatory.alignment, 0);
        prop_assert!(placed.kernel.start() >= needs.kernel.pref_address.max(LOWEST_KERNEL));
        prop_assert!(placed.kernel.len() >= needs.kernel.len);
    }

    #[test]
    fn every_segment_is_as_large_as_its_need(needs in needs(), region in region()) {
        let Ok(placed) = place(&needs, region) else { return Ok(()) };
        prop_assert_eq!(placed.elfcorehdr.start(), region.start());
        prop_assert!(placed.elfcorehdr.len() >= needs.elfcorehdr);
        prop_assert!(placed.hole.len() >= needs.hole);
        prop_assert!(placed.kernel.start() - placed.elfcorehdr.end() >= needs.hole);
        prop_assert_eq!(placed.initrd.is_some(), needs.initrd.is_some());
        prop_assert!(placed.initrd.map_or(0, PhysRange::len) >= needs.initrd.unwrap_or(0));
        prop_assert!(placed.boot_params.len() >= needs.boot_params);
        prop_assert!(placed.command_line.len() >= needs.command_line);
        prop_assert!(placed.purgatory.len() >= needs.purgatory.len);
    }

    #[test]
    fn a_region_of_the_size_the_error_names_is_enough(needs in needs(), region in region()) {
        let Err(Error::RegionTooSmall { needed, have, suggested_mib, .. }) = place(&needs, region)
        else {
            return Ok(());
        };
        prop_assert!(needed > have);
        prop_assert!(suggested_mib * MIB >= needed + ROOM_TO_RUN);
        let enough = PhysRange::with_len(region.start(), needed).unwrap();
        prop_assert!(place(&needs, enough).is_ok());
        let one_page_less = PhysRange::with_len(region.start(), needed - PAGE_SIZE).unwrap();
        prop_assert!(place(&needs, one_page_less).is_err());
    }
}

fn small() -> Needs {
    let kernel = KernelNeeds { len: 16 << 20, alignment: 2 << 20, pref_address: 16 << 20 };
    let purgatory = PurgatoryNeeds { len: 50_000, alignment: 1 };
    Needs {
        elfcorehdr: 917_680,
        hole: HOLE,
        kernel,
        initrd: Some(1),
        boot_params: 4096,
        command_line: 200,
        purgatory,
    }
}

#[test]
fn region_too_small_says_what_is_needed_and_what_to_do() {
    let region = PhysRange::with_len(0x3000_0000, 16 << 20).unwrap();
    let message = place(&small(), region).unwrap_err().to_string();
    assert!(message.contains("16777216 bytes (16 MiB)"), "{message}");
    assert!(message.contains("crashkernel=160M"), "{message}");
}

#[test]
fn impossible_header_values_are_refused() {
    let region = PhysRange::with_len(0x3000_0000, 256 << 20).unwrap();
    let mut needs = small();
    needs.kernel.alignment = 3;
    assert_eq!(place(&needs, region), Err(Error::Alignment { alignment: 3 }));
    let mut needs = small();
    needs.kernel.pref_address = u64::MAX;
    assert!(matches!(place(&needs, region), Err(Error::Overflow { .. })));
    let mut needs = small();
    needs.initrd = Some(u64::MAX - 5);
    assert!(matches!(place(&needs, region), Err(Error::Overflow { .. })));
}

#[test]
fn region_with_an_impossible_start_is_refused() {
    for start in [0, 0x3000_0001] {
        let region = PhysRange::with_len(start, 256 << 20).unwrap();
        assert_eq!(place(&small(), region), Err(Error::RegionMisplaced { region }));
    }
}
