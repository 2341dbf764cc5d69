//! Where stretches of physical memory go on a line: to scale among one another where that can be seen, and torn where nothing is.

use std::ops::Range;

/// Pixels of a stretch, at least: its number must fit.
pub const LEAST: f64 = 22.0;
/// Pixels of a tear.
pub const TEAR: f64 = 18.0;

/// From where to where on the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Left end.
    pub x: f64,
    /// Pixels.
    pub w: f64,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Where each stretch is.
    pub stretches: Vec<Segment>,
    /// Where addresses are left out.
    pub tears: Vec<Segment>,
}

/// Places `ranges`, which ascend and do not overlap, on a line of `width` pixels, or longer if that is too short for so many.
pub fn axis(ranges: &[Range<u64>], width: f64) -> Axis {
    let torn = |index: usize| index > 0 && ranges[index - 1].end < ranges[index].start;
    let tears = (0..ranges.len()).filter(|&index| torn(index)).count();
    let widths = shares(&ranges.iter().map(|range| range.end - range.start).collect::<Vec<_>>(), width - TEAR * tears as f64);
    let mut axis = Axis { stretches: Vec::new(), tears: Vec::new() };
    let mut x = 0.0;
    for (index, w) in widths.into_iter().enumerate() {
        if torn(index) {
            axis.tears.push(Segment { x, w: TEAR });
            x += TEAR;
        }
        axis.stretches.push(Segment { x, w });
        x += w;
    }
    axis
}

/// Shares `total` out in proportion, but nobody gets less than [`LEAST`]: what gets that is not to scale, the rest is.
fn shares(lengths: &[u64], total: f64) -> Vec<f64> {
    let mut small = vec![false; lengths.len()];
    loop {
        let (mut room, mut sum) = (total, 0.0);
        for (&length, &small) in lengths.iter().zip(&small) {
            if small { room -= LEAST } else { sum += length as f64 }
        }
        let scale = if sum > 0.0 { room.max(0.0) / sum } else { 0.0 };
        let mut settled = true;
        for (&length, small) in lengths.iter().zip(&mut small) {
            if !*small && length as f64 * scale < LEAST {
                (*small, settled) = (true, false);
            }
        }
        if settled {
            let width = |(&length, &small): (&u64, &bool)| if small { LEAST } else { length as f64 * scale };
            return lengths.iter().zip(&small).map(width).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDTH: f64 = 800.0;

    fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
        proptest::collection::vec((0_u64..1 << 40, 1_u64..1 << 44, any::<bool>()), 1..12).prop_map(|parts| {
            let mut at = 0;
            let range = |(gap, len, touching): (u64, u64, bool)| {
                let start = at + if touching { 0 } else { gap };
                at = start + len;
                start..at
            };
            parts.into_iter().map(range).collect()
        })
    }

    proptest! {
        #[test]
        fn everything_follows_in_order_and_fills_the_line(ranges in ranges()) {
            let axis = axis(&ranges, WIDTH);
            prop_assert_eq!(axis.stretches.len(), ranges.len());
            let mut all: Vec<_> = axis.stretches.iter().chain(&axis.tears).collect();
            all.sort_by(|a, b| a.x.total_cmp(&b.x));
            let mut x = 0.0;
            for segment in all {
                prop_assert!((segment.x - x).abs() < 1e-6, "a gap or an overlap at {}", x);
                x += segment.w;
            }
            prop_assert!((x - WIDTH).abs() < 1e-6, "{}", x);
        }

        #[test]
        fn numbers_fit_and_what_is_wider_is_to_scale(ranges in ranges()) {
            let axis = axis(&ranges, WIDTH);
            prop_assert!(axis.stretches.iter().all(|segment| segment.w >= LEAST - 1e-9));
            let scale = |(segment, range): (&Segment, &Range<u64>)| segment.w / (range.end - range.start) as f64;
            let wider = axis.stretches.iter().zip(&ranges).filter(|(segment, _)| segment.w > LEAST + 1e-6);
            let scales: Vec<_> = wider.map(scale).collect();
            prop_assert!(scales.iter().all(|scale| (scale / scales[0] - 1.0).abs() < 1e-6), "{:?}", scales);
        }
    }

    #[test]
    fn line_is_torn_where_addresses_are_left_out_and_only_there() {
        let axis = axis(&[0..10, 10..20, 30..40], 100.0);
        assert_eq!(axis.tears.len(), 1);
        assert_eq!(axis.tears[0].x, axis.stretches[1].x + axis.stretches[1].w);
        assert_eq!(super::axis(&[], 100.0), Axis { stretches: vec![], tears: vec![] });
    }

    #[test]
    fn too_many_stretches_make_the_line_longer() {
        let ranges: Vec<_> = (0..10_u64).map(|index| index..index + 1).collect();
        let last = axis(&ranges, 10.0).stretches[9];
        assert_eq!(last.x + last.w, 10.0 * LEAST);
    }
}
