//! Ranges of physical addresses: intersection, subtraction, merging and alignment.

use std::fmt;

/// End of the low 1 MiB. The kernel keeps real-mode trampolines there and nothing worth dumping
/// (`reserve_real_mode`, arch/x86/realmode/init.c).
pub(crate) const LOW_1M: u64 = 1 << 20;

/// A half-open range of physical addresses, `start <= end`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysRange {
    start: u64,
    end: u64,
}

impl PhysRange {
    /// The range from `start` up to but not including `end`, or `None` when `end < start`.
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start <= end { Some(Self { start, end }) } else { None }
    }

    /// `len` bytes from `start`, or `None` when the end does not fit 64 bits.
    pub const fn with_len(start: u64, len: u64) -> Option<Self> {
        match start.checked_add(len) {
            Some(end) => Some(Self { start, end }),
            None => None,
        }
    }

    /// The first address.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// One past the last address.
    pub const fn end(self) -> u64 {
        self.end
    }

    /// Its length in bytes.
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether it has no byte.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether all of `other` is inside of it.
    pub const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether at least one byte is in both.
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end && !self.is_empty() && !other.is_empty()
    }

    /// The bytes that are in both; `None` if there are none.
    pub(crate) fn intersection(self, other: Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Self { start, end })
    }

    /// Its bytes that are not in `other`: zero, one or two non-empty ranges, ascending.
    pub fn minus(self, other: Self) -> impl Iterator<Item = Self> {
        let below = Self { start: self.start, end: self.end.min(other.start).max(self.start) };
        let above = Self { start: self.start.max(other.end).min(self.end), end: self.end };
        let parts = if self.overlaps(other) {
            [below, above]
        } else {
            [self, Self { start: self.end, end: self.end }]
        };
        parts.into_iter().filter(|part| !part.is_empty())
    }
}

/// The ranges of `from` without the bytes of `holes`, in the order of `from`, without empty ranges.
///
/// The holes are sorted once, and each range searches its own. A machine with 3840 hot-added blocks
/// has thousands of both.
pub fn subtract(from: &[PhysRange], holes: &[PhysRange]) -> Vec<PhysRange> {
    let holes = merged(holes.to_vec());
    let mut left = Vec::with_capacity(from.len());
    for &range in from {
        let mut start = range.start;
        let first = holes.partition_point(|hole| hole.end <= range.start);
        for hole in holes[first..].iter().take_while(|hole| hole.start < range.end) {
            left.extend(PhysRange::new(start, hole.start));
            start = hole.end;
        }
        left.extend(PhysRange::new(start, range.end));
    }
    left.retain(|range| !range.is_empty());
    left
}

/// The same bytes as ascending, disjoint ranges: touching and overlapping ones are joined, empty
/// ones dropped.
pub(crate) fn merged(mut ranges: Vec<PhysRange>) -> Vec<PhysRange> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable();
    let mut joined: Vec<PhysRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// `value` rounded up to a multiple of `alignment`, a power of two; `None` if that does not fit 64
/// bits.
pub(crate) const fn align_up(value: u64, alignment: u64) -> Option<u64> {
    match value.checked_add(alignment - 1) {
        Some(sum) => Some(sum & !(alignment - 1)),
        None => None,
    }
}

/// As /proc/iomem writes it: the last address is included.
impl fmt::Display for PhysRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(out, "{:#x} (empty)", self.start);
        }
        write!(out, "{:#x}-{:#x}", self.start, self.end - 1)
    }
}

impl fmt::Debug for PhysRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Few addresses, so that ranges touch, overlap, enclose each other and are empty.
    fn ranges() -> impl Strategy<Value = Vec<PhysRange>> {
        vec((0u64..40, 0u64..12).prop_map(|(start, len)| range(start, start + len)), 0..8)
    }

    proptest! {
        #[test]
        fn subtraction_keeps_each_byte_that_is_in_no_hole(from in ranges(), holes in ranges()) {
            let bytes = |ranges: &[PhysRange]| -> Vec<u64> {
                ranges.iter().flat_map(|range| range.start()..range.end()).collect()
            };
            let gone = bytes(&holes);
            let kept: Vec<u64> =
                bytes(&from).into_iter().filter(|byte| !gone.contains(byte)).collect();
            let left = subtract(&from, &holes);
            prop_assert_eq!(bytes(&left), kept);
            prop_assert!(left.iter().all(|range| !range.is_empty()));
        }
    }

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(start, end).unwrap()
    }

    #[test]
    fn subtraction_leaves_both_sides_of_a_hole() {
        assert_eq!(
            range(0, 10).minus(range(3, 5)).collect::<Vec<_>>(),
            [range(0, 3), range(5, 10)]
        );
        assert_eq!(range(0, 10).minus(range(0, 10)).count(), 0);
        assert_eq!(range(0, 10).minus(range(10, 12)).collect::<Vec<_>>(), [range(0, 10)]);
        assert_eq!(range(4, 10).minus(range(0, 6)).collect::<Vec<_>>(), [range(6, 10)]);
        assert_eq!(range(0, 10).minus(range(5, 5)).collect::<Vec<_>>(), [range(0, 10)]);
        assert_eq!(
            subtract(&[range(0, 10), range(20, 30)], &[range(5, 25)]),
            [range(0, 5), range(25, 30)]
        );
    }

    #[test]
    fn touching_ranges_are_joined() {
        assert_eq!(
            merged(vec![range(5, 9), range(0, 5), range(20, 21), range(7, 8), range(3, 3)]),
            [range(0, 9), range(20, 21)]
        );
    }

    #[test]
    fn wrapping_ranges_cannot_be_made() {
        assert_eq!(PhysRange::new(2, 1), None);
        assert_eq!(PhysRange::with_len(u64::MAX, 2), None);
        assert_eq!(align_up(u64::MAX, 4096), None);
        assert_eq!(align_up(4097, 4096), Some(8192));
    }
}
