//! [7] The digests: after this nothing about the image can change.
//!
//! *On entry* every segment's bytes and place. *On exit* a [`Sealed`], which has no mutating method, with what the purgatory will
//! compare them with. A block is sealed when it is bound ([`crate::bind`]).

use digest::Engine;

use crate::describe::Described;
use crate::purgatory::Purgatory;

mod leaves; // for ours: one digest per leaf
mod whole; // for others': one over everything

pub use leaves::{Leaves, leaf_count};
pub use whole::Whole;

/// Bytes of one SHA-256.
pub type Digest = [u8; handoff::DIGEST_LEN];

/// Everything, with its digests.
#[derive(Debug)]
pub struct Sealed<'r, P: Purgatory> {
    described: Described<'r, P>,
    seals: P::Seals,
}

/// Digests what the purgatory verifies.
pub fn seal<P: Purgatory>(described: Described<'_, P>, engine: Engine) -> Sealed<'_, P> {
    let seals = P::seal(&described, engine);
    Sealed { described, seals }
}

impl<'r, P: Purgatory> Sealed<'r, P> {
    /// What was digested.
    pub fn described(&self) -> &Described<'r, P> {
        &self.described
    }

    /// The digests.
    pub fn seals(&self) -> &P::Seals {
        &self.seals
    }
}
