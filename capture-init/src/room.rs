//! How much of a filesystem a dump may fill.
//!
//! *On entry* what statvfs(3) says of the filesystem. *On exit* the most bytes that /init writes.
//! `status` asks this as well, so that it promises no more room than /init uses.

/// What a capture leaves free on the filesystem: a twentieth of what is free, and no more than
/// this. /init could take even the blocks that are reserved for root, and the system must boot
/// again.
const MOST_LEFT_FREE: u64 = 64 << 20;

/// Bytes that a capture may write to a filesystem with this many blocks `available` to other users
/// (`f_bavail`), of this length (`f_frsize`).
pub fn room(available: u64, block_len: u64) -> u64 {
    let free = available.saturating_mul(block_len);
    free - MOST_LEFT_FREE.min(free / 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twentieth_or_64_mib_stay_free() {
        for (mib, expected) in [(0, 0), (20, 19), (1280, 1216), (100 << 10, (100 << 10) - 64)] {
            assert_eq!(room(mib, 1 << 20), expected << 20, "{mib}");
        }
    }
}
