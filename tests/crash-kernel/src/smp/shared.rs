//! The value of an enum in an atomic byte.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU8, Ordering::SeqCst};

/// The value of an enum, for all CPUs to read and write.
pub struct Shared<T> {
    number: AtomicU8,
    what: PhantomData<fn() -> T>,
}

/// An enum that can be shared; `numbered!` makes one.
pub trait Numbered: Copy + 'static {
    /// Every value; its index is its number.
    const ALL: &'static [Self];

    /// The value's number.
    fn number(self) -> u8;
}

impl<T: Numbered> Shared<T> {
    /// Shares the value with number 0.
    pub const fn new() -> Self {
        Self { number: AtomicU8::new(0), what: PhantomData }
    }

    /// The value.
    pub fn get(&self) -> T {
        T::ALL[usize::from(self.number.load(SeqCst))]
    }

    /// Replaces the value, and returns the old one.
    pub fn swap(&self, new: T) -> T {
        T::ALL[usize::from(self.number.swap(new.number(), SeqCst))]
    }
}

/// Defines an enum that can be shared.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $crate::smp::shared::Numbered for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn number(self) -> u8 {
                self as u8
            }
        }
    };
}
pub(super) use numbered;
