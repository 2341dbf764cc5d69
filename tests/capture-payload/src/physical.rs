//! Physical memory, as the checks see it.

use zerocopy::FromBytes;

/// Memory by physical address.
pub trait Physical {
    /// The `len` bytes from `start`; `None` where there can be none (the address wraps or is wider than the CPU's) or where the
    /// payload itself is writing.
    fn bytes(&self, start: u64, len: u64) -> Option<&[u8]>;

    /// What is at `start`, as a `T`.
    fn read<T: FromBytes>(&self, start: u64) -> Option<T> {
        T::read_from_bytes(self.bytes(start, size_of::<T>() as u64)?).ok()
    }
}
