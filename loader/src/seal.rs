//! [7] The digests: after this nothing about the image can change.
//!
//! *On entry* every segment's bytes and place. *On exit* a [`Sealed`], which has no mutating method, with what the purgatory will
//! compare them with. A block is sealed when it is bound ([`crate::bind`]).

use std::fmt::Debug;

use digest::Engine;

use crate::describe::Described;
use crate::purgatory::Purgatory;

mod leaves; // for ours: one digest per leaf
mod whole; // for others': one over everything

/// A purgatory, by what it compares the segments with.
pub(crate) trait Seal: Purgatory {
    /// The digests that it compares.
    type Seals: Debug;

    /// Digests what it verifies.
    fn seal(described: &Described<'_, Self>, engine: Engine) -> Self::Seals;
}

/// Everything, with its digests.
#[derive(Debug)]
pub(crate) struct Sealed<'r, P: Seal> {
    described: Described<'r, P>,
    seals: P::Seals,
}

/// Digests what the purgatory verifies.
pub(crate) fn seal<P: Seal>(described: Described<'_, P>, engine: Engine) -> Sealed<'_, P> {
    let seals = P::seal(&described, engine);
    Sealed { described, seals }
}

impl<'r, P: Seal> Sealed<'r, P> {
    /// What was digested.
    pub fn described(&self) -> &Described<'r, P> {
        &self.described
    }

    /// The digests.
    pub fn seals(&self) -> &P::Seals {
        &self.seals
    }
}
