//! Statics that are written before this program runs: by the host's loader, which finds them by
//! symbol, or by `cargo xtask build`.

use core::cell::UnsafeCell;

use super::regions::{REGIONS, Table};

/// A value in the image that the compiler must not assume to know.
#[repr(transparent)]
pub struct Written<T>(UnsafeCell<T>);

// SAFETY: only one thread of Rust code exists, so nothing is shared.
unsafe impl<T: Copy> Sync for Written<T> {}

impl<T: Copy> Written<T> {
    /// With the value in the file.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value now.
    pub fn get(&self) -> T {
        // SAFETY: a live static, read as its own type. Volatile, because the compiler knows only
        // the value in the file.
        unsafe { self.0.get().read_volatile() }
    }

    /// Writes the value.
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`; no reference to it exists.
        unsafe { self.0.get().write_volatile(value) };
    }
}

impl<const N: usize> Written<[u64; N]> {
    /// The value now, read in a loop: a volatile read of the array would be unrolled into one
    /// instruction for each word.
    pub fn words(&self) -> [u64; N] {
        let mut words = [0; N];
        let first: *const u64 = self.0.get().cast();
        for (index, word) in words.iter_mut().enumerate() {
            // SAFETY: `index` is below N, so the address stays inside the array.
            let address = unsafe { first.add(index) };
            // SAFETY: as in `get`.
            *word = unsafe { address.read_volatile() };
        }
        words
    }
}

impl Written<Table> {
    /// As `words`, for a table of pairs.
    pub fn pairs(&self) -> Table {
        let mut table = [[0; 2]; REGIONS];
        let first: *const u64 = self.0.get().cast();
        for (index, word) in table.as_flattened_mut().iter_mut().enumerate() {
            // SAFETY: `index` is below twice REGIONS, so the address stays inside the table.
            let address = unsafe { first.add(index) };
            // SAFETY: as in `get`.
            *word = unsafe { address.read_volatile() };
        }
        table
    }
}

/// Defines statics that are known by a name in the finished object. The linker script collects
/// `.contract`.
#[macro_export]
macro_rules! written_by_host {
    ($($(#[$meta:meta])* $name:ident: $type:ty as $symbol:literal = $value:expr;)+) => {
        $(
            $(#[$meta])*
            #[used]
            #[unsafe(export_name = $symbol)]
            #[unsafe(link_section = ".contract")]
            pub static $name: $crate::drop_in::written::Written<$type> =
                $crate::drop_in::written::Written::new($value);
        )+
    };
}
