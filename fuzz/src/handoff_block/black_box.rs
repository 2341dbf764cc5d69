//! The black box in a block: its pages hold nothing else, and have room for all that goes there.

use handoff::black_box::{LogHeader, MAX_LOG_COPY_LEN};

use super::{Range, apart, inside};
use crate::bytes::word;

/// Checks every rule of the black box on its bytes. `taken` is all else in the crash region.
pub fn keeps_the_rules(
    raw: &[u8],
    crash: Range,
    taken: &[Range],
    phys_limit: u128,
    permissions: u128,
) {
    let at = |offset, len| word(raw, offset, len).expect("inside the black box");
    let span = |offset| (at(offset, 8), at(offset, 8) + at(offset + 8, 8));
    let records = [8, 16, 24, 32].map(|offset| (at(offset, 8), at(offset, 8) + 4096));
    let copies = [0x28, 0x38].map(span);
    let used: Vec<Range> =
        records.iter().chain(&copies).copied().filter(|range| range.0 != 0).collect();
    for (index, &range) in used.iter().enumerate() {
        let (start, end) = range;
        let whole = start % 4096 == 0 && end % 4096 == 0 && start < end;
        assert!(whole && inside(range, crash), "{range:x?}");
        assert!(taken.iter().all(|&other| apart(other, range)), "{range:x?} is taken");
        assert!(used[index + 1..].iter().all(|&other| apart(other, range)), "{range:x?} twice");
    }
    assert!(at(0, 8) != 0 || used.is_empty(), "generation");

    let copied = copies[0].0 != 0;
    assert_eq!(copied, raw[0x48..0xa8].iter().any(|&byte| byte != 0), "log and copies");
    if copied {
        let ringbuffer = span(0x48);
        let array = |offset| (span(offset), at(offset + 16, 4), at(offset + 20, 4));
        let arrays = [0x58, 0x70, 0x88].map(array);
        for source in arrays.iter().map(|array| array.0).chain([ringbuffer]) {
            let (start, end) = source;
            let kernel_memory = start != 0 && start < end && end <= phys_limit;
            assert!(kernel_memory && apart(source, crash), "{source:x?}");
        }
        let len = ringbuffer.1 - ringbuffer.0;
        assert!(at(0xa0, 4) + 8 <= len && at(0xa4, 4) + 8 <= len, "heads");
        let counts = arrays.map(|((start, end), element, kept)| {
            let elements = (end - start) / element;
            assert!((elements * element, elements.count_ones()) == (end - start, 1), "elements");
            assert!((1..=elements).contains(&kept), "kept");
            (elements, kept)
        });
        assert!(counts[0] == counts[1] && arrays[2].1 == 1, "infos and text");
        let kept: u128 = arrays.iter().map(|(_, element, kept)| element * kept).sum();
        let needed = size_of::<LogHeader>() as u128 + len + kept;
        for (start, end) in copies.into_iter().filter(|copy| copy.0 != 0) {
            assert!((needed..=MAX_LOG_COPY_LEN.into()).contains(&(end - start)), "copy");
        }
    }
    let ports = [at(0xa8, 4), at(0xac, 4), at(0xac, 4) + at(0xb0, 4)];
    assert!(ports.iter().all(|port| *port <= 0xffff), "ports");
    assert!(ports == [0; 3] || permissions & 2 != 0, "ports without permission");
    assert!(at(0xb4, 4) == 0 && at(0xb8, 8) == 0, "reserved words of the black box");
}
