//! A part of one of the ring's arrays: descriptors, infos, or text.

/// Consecutive elements of an array that is used as a ring. The part may begin anywhere in the
/// array, and continue at the array's start after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The elements.
    pub bytes: &'a [u8],
    /// Place in the array of the first element; of text, in bytes.
    pub first: u64,
}

impl<'a> Part<'a> {
    /// The whole array.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self { bytes, first: 0 }
    }

    /// `count` elements of `len` bytes each, from place `at` of an array of `2^bits` elements, if
    /// the part has them and they do not cross the array's end.
    pub(crate) fn get(&self, at: u64, count: u64, len: usize, bits: u32) -> Option<&'a [u8]> {
        let total = 1u64 << bits;
        let at = at & (total - 1);
        if count > total - at {
            return None;
        }
        let skipped = at.wrapping_sub(self.first) & (total - 1);
        let start = usize::try_from(skipped).ok()?.checked_mul(len)?;
        let bytes = usize::try_from(count).ok()?.checked_mul(len)?;
        self.bytes.get(start..start.checked_add(bytes)?)
    }
}

/// A little-endian integer of up to 8 bytes; `None` past the end.
pub(crate) fn integer(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    Some(field.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_that_wraps_is_found_by_places_of_the_array() {
        // Places 6, 7, 0, 1 of an array of 8.
        let part = Part { bytes: b"aabbccdd", first: 6 };
        let get = |at, count| part.get(at, count, 2, 3);
        assert_eq!(get(6, 1), Some(&b"aa"[..]));
        assert_eq!(get(8, 2), Some(&b"ccdd"[..]));
        assert_eq!(get(7, 2), None, "it would cross the array's end");
        assert_eq!(get(1, 2), None);
        assert_eq!(get(2, 1), None);
        assert_eq!(get(5, 1), None);
    }
}
