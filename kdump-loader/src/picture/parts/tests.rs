//! The kind of verification of each byte of the crash region.

use proptest::prelude::*;

use super::super::example::{any_summary, foreign, summary};
use super::*;

/// How the byte at `address` is verified.
fn care_of(parts: &[Part], address: u64) -> Care {
    let byte = span(address, 1);
    parts
        .iter()
        .flat_map(|part| &part.pieces)
        .find(|piece| piece.range.contains(byte))
        .unwrap()
        .care
}

#[test]
fn every_kind_of_verification_is_shown_at_its_place() {
    let parts = parts(&summary());
    let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["elfcorehdr", "free", "kernel", "initrd", "free", "purgatory", "free"]);
    for (address, care) in [
        (0x2e00_0000, Care::Structure),
        (0x2e00_0200, Care::Structure),
        (0x2e10_0000, Care::Free),
        (0x2e20_0000, Care::Hashed),
        (0x2e20_0000 + 11_724_736, Care::Zero),
        (0x3251_5000, Care::Hashed),
        (0x3251_5000 + 30_325, Care::Scratch),
        (0x3251_d000, Care::Sealed),
        (0x3251_d000 + 768, Care::Scratch),
        (0x3251_f000 + 3007, Care::Sealed),
    ] {
        assert_eq!(care_of(&parts, address), care, "{address:#x}");
    }
    assert_eq!(parts[2].words, "11.2 MiB hashed, 44.7 MiB proved zero");
    let said: Vec<_> =
        [1, 4, 6].into_iter().map(|part: usize| parts[part].words.as_str()).collect();
    assert_eq!(
        said,
        [
            "Linux puts the control pages of the image here",
            "left by alignment",
            "the capture kernel runs here"
        ]
    );
}

#[test]
fn foreign_purgatory_is_not_verified_but_its_elfcorehdr_region_is_hashed() {
    let parts = parts(&foreign());
    assert_eq!(care_of(&parts, 0x2e00_0000), Care::Hashed);
    assert_eq!(care_of(&parts, 0x3251_5000), Care::Unverified);
    let mut without = foreign();
    without.regions.retain(|region| region.name != "elfcorehdr");
    assert_eq!(
        care_of(&super::parts(&without), 0x2e00_0000),
        Care::Unverified,
        "its structure is not checked"
    );
}

proptest! {
    /// Every byte of the region occurs exactly once.
    #[test]
    fn parts_and_pieces_cover_the_region_without_a_gap(summary in any_summary()) {
        let parts = parts(&summary);
        let mut at = summary.crash_region.start;
        for part in &parts {
            prop_assert_eq!(part.range.start(), at);
            prop_assert!(!part.range.is_empty());
            for piece in &part.pieces {
                prop_assert_eq!(piece.range.start(), at);
                prop_assert!(!piece.range.is_empty());
                at = piece.range.end();
            }
            prop_assert_eq!(part.range.end(), at);
        }
        prop_assert_eq!(at, summary.crash_region.start + summary.crash_region.len);
        prop_assert_eq!(
            parts.iter().filter(|part| part.pieces[0].care != Care::Free).count(),
            summary.segments.len()
        );
    }
}

#[test]
fn impossible_segments_are_left_out() {
    let mut summary = summary();
    summary.segments[1].start = u64::MAX - 5;
    summary.segments[2].start = summary.segments[0].start + 1;
    summary.segments[3].len = 0;
    let parts = parts(&summary);
    assert_eq!(
        parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
        ["elfcorehdr", "free"]
    );
}
