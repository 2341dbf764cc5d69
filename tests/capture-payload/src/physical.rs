//! Physical memory, as the checks see it.

use zerocopy::FromBytes;

/// Memory by physical address.
pub trait Physical {
    /// The `len` bytes from `start`. `None` if the range wraps, is wider than the CPU's addresses,
    /// or overlaps what the payload writes.
    fn bytes(&self, start: u64, len: u64) -> Option<&[u8]>;

    /// The `T` at `start`.
    fn read<T: FromBytes>(&self, start: u64) -> Option<T> {
        T::read_from_bytes(self.bytes(start, size_of::<T>() as u64)?).ok()
    }
}
