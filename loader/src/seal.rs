//! `[7]` The digests. After this step nothing in the image can change.
//!
//! *On entry*
//! * every segment's bytes and range, except the purgatory's.
//!
//! *On exit*
//! * a [`Sealed`]: the same, with the digests that the purgatory will compare. It has no mutating
//!   method.
//!
//! Our purgatory's block is sealed later, when it is filled in ([`crate::bind`]).

use std::fmt::Debug;

use digest::Engine;

use crate::describe::Described;
use crate::purgatory::Purgatory;

mod leaves; // ours: one digest per leaf
mod whole; // foreign: one digest of everything

/// A purgatory, with the digests that it compares.
pub(crate) trait Seal: Purgatory {
    /// Its digests.
    type Seals: Debug;

    /// Digests everything that it verifies.
    fn seal(described: &Described<'_, Self>, engine: Engine) -> Self::Seals;
}

/// The content of every segment, and its digests.
#[derive(Debug)]
pub(crate) struct Sealed<'r, P: Seal> {
    described: Described<'r, P>,
    seals: P::Seals,
}

/// Digests everything that the purgatory verifies.
pub(crate) fn seal<P: Seal>(described: Described<'_, P>, engine: Engine) -> Sealed<'_, P> {
    let seals = P::seal(&described, engine);
    Sealed { described, seals }
}

impl<'r, P: Seal> Sealed<'r, P> {
    /// The content that was digested.
    pub fn described(&self) -> &Described<'r, P> {
        &self.described
    }

    /// The digests.
    pub fn seals(&self) -> &P::Seals {
        &self.seals
    }
}
