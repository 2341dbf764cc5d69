//! For tests: an image like that of a real machine, and arbitrary images.

use loader::image::{BlockSummary, OURS, RegionSummary, SegmentSummary, SpanSummary, Summary};
use proptest::prelude::*;

const REGION: SpanSummary = SpanSummary { start: 0x2e00_0000, len: 256 << 20 };

/// A segment, and the region in it.
fn segment(name: &str, start: u64, len: u64, file_len: u64) -> (SegmentSummary, RegionSummary) {
    let name = name.to_owned();
    let region =
        RegionSummary { name: name.clone(), start, len, file_len, first_leaf: 0, leaf_count: 1 };
    (SegmentSummary { name, start, len, file_len }, region)
}

/// An image around our purgatory.
pub(super) fn summary() -> Summary {
    let (elfcorehdr, _) = segment("elfcorehdr", 0x2e00_0000, 0xe1000, 512);
    let (kernel, kernel_region) = segment("kernel", 0x2e20_0000, 58_580_992, 11_724_736);
    let (initrd, initrd_region) = segment("initrd", 0x319d_e000, 11_747_328, 11_745_216);
    let (purgatory, _) = segment("purgatory", 0x3251_5000, 0xb000, 44_416);
    let (_, own) = segment("purgatory", 0x3251_5000, 30_325, 30_325);
    Summary {
        identity: "ab".repeat(32),
        purgatory: OURS.into(),
        entry: purgatory.start,
        crash_region: REGION,
        segments: vec![elfcorehdr, kernel, initrd, purgatory],
        regions: vec![own, kernel_region, initrd_region],
        command_line: "nr_cpus=1".into(),
        dropped: Vec::new(),
        console_port: Some(0x3f8),
        confidential: None,
        by_block: Some(BlockSummary {
            block: SpanSummary { start: 0x3251_d000, len: 768 },
            leaf_table: SpanSummary { start: 0x3251_f000, len: 3008 },
            leaf_size: 256 << 10,
            report: Some(SpanSummary { start: 0x3251_4040, len: 128 }),
            engine: "sha-ni".into(),
            on_corrupt: "reset".into(),
            reset_delay_ms: 10_000,
            black_box: None,
            signals: None,
        }),
    }
}

/// The same around a foreign purgatory, which verifies the elfcorehdr like any other segment.
pub(super) fn foreign() -> Summary {
    let whole = |segment: &SegmentSummary| RegionSummary {
        name: segment.name.clone(),
        start: segment.start,
        len: segment.len,
        file_len: segment.len,
        first_leaf: 0,
        leaf_count: 0,
    };
    let ours = summary();
    let regions =
        ours.segments.iter().filter(|segment| segment.name != "purgatory").map(whole).collect();
    Summary { purgatory: "kexec-tools".into(), by_block: None, regions, ..ours }
}

/// Bytes of every order of magnitude up to half of the address space.
fn bytes() -> impl Strategy<Value = u64> {
    (0_u32..52, any::<u64>()).prop_map(|(bits, low)| (1 << bits) | (low & ((1 << bits) - 1)))
}

/// Images with segments of any sizes at any distances, any part of which is hashed.
pub(super) fn any_summary() -> impl Strategy<Value = Summary> {
    let segment = ("[a-z<&\"é-]{0,40}", bytes(), bytes(), 0.0..1.0_f64, any::<bool>());
    let free = (any::<bool>(), bytes());
    (bytes(), proptest::collection::vec(segment, 0..12), free, any::<bool>()).prop_map(
        |(start, segments, (roomy, room), ours)| {
            let mut image = if ours { summary() } else { foreign() };
            (image.segments, image.regions) = (Vec::new(), Vec::new());
            let mut at = start;
            for (name, gap, len, share, adjacent) in segments {
                at += if adjacent { 0 } else { gap };
                let file_len = (len as f64 * share) as u64;
                let (segment, region) = self::segment(&name, at, len, file_len);
                image.segments.push(segment);
                image.regions.push(region);
                at += len;
            }
            let end = at + if roomy || at == start { room } else { 0 };
            image.crash_region = SpanSummary { start, len: end - start };
            image
        },
    )
}
