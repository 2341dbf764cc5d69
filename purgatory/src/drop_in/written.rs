//! What somebody else writes before this program runs: the host's loader by symbol, or `cargo xtask build`.

use core::cell::UnsafeCell;

use super::regions::{REGIONS, Table};

/// A place in the image whose contents the compiler must not guess.
#[repr(transparent)]
pub struct Written<T>(UnsafeCell<T>);

// SAFETY: no second thread of Rust code exists to share it with.
unsafe impl<T: Copy> Sync for Written<T> {}

impl<T: Copy> Written<T> {
    /// With what is in the file.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// What is there now.
    pub fn get(&self) -> T {
        // SAFETY: a live static, read as the type that it has. Volatile, because the compiler knows only what is in the file.
        unsafe { self.0.get().read_volatile() }
    }

    /// Writes it, for the host to find or for ourselves.
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`; nothing else refers to it.
        unsafe { self.0.get().write_volatile(value) };
    }
}

impl<const N: usize> Written<[u64; N]> {
    /// What is there now, word by word: a volatile read of an array would be one instruction for each, written out.
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
    /// The same for a table of pairs.
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

/// Defines statics that are known by a name in the finished object. The linker script collects `.contract`.
#[macro_export]
macro_rules! written_by_host {
    ($($(#[$meta:meta])* $name:ident: $type:ty as $symbol:literal = $value:expr;)+) => {
        $(
            $(#[$meta])*
            #[used]
            #[unsafe(export_name = $symbol)]
            #[unsafe(link_section = ".contract")]
            pub static $name: $crate::drop_in::written::Written<$type> = $crate::drop_in::written::Written::new($value);
        )+
    };
}
