//! Little-endian integers from a file, in a type so wide that no sum of them wraps.

/// The `len` bytes at `at`; `None` past the end.
pub fn word(bytes: &[u8], at: u128, len: u128) -> Option<u128> {
    let end = at.checked_add(len)?;
    let field = bytes.get(usize::try_from(at).ok()?..usize::try_from(end).ok()?)?;
    Some(field.iter().rev().fold(0, |value, &byte| value << 8 | u128::from(byte)))
}

/// The first `LEN` bytes, padded with zeroes, and the rest.
pub fn prefix<const LEN: usize>(data: &[u8]) -> ([u8; LEN], &[u8]) {
    let (head, rest) = data.split_at(data.len().min(LEN));
    let mut padded = [0; LEN];
    padded[..head.len()].copy_from_slice(head);
    (padded, rest)
}
