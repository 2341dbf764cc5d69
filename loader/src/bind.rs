//! [8] The purgatory is bound to its address and told what to verify, and the segment becomes bytes.
//!
//! *On entry* everything is digested. *On exit* an [`Image`], which can only be looked at and submitted.

use std::borrow::Cow;

use digest::Engine;

use crate::image::{Image, Segment, SegmentKind, Verification};
use crate::purgatory::Error;
use crate::seal::{Seal, Sealed};

mod block; // ours, by its block
mod symbols; // others', by their symbols

/// A purgatory, by how it is told what to verify.
pub(crate) trait Bind: Seal {
    /// Makes its segment's bytes.
    fn bind(sealed: &Sealed<'_, Self>, engine: Engine) -> Result<Bound, Error>;
}

/// A purgatory for one address.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Physical address of its entry point.
    pub entry: u64,
    /// Its segment's bytes.
    pub bytes: Vec<u8>,
    /// What it was told.
    pub verification: Verification,
}

/// Binds the purgatory and lays out every segment.
pub(crate) fn bind<'r, P: Bind>(sealed: Sealed<'r, P>, engine: Engine) -> Result<Image<'r>, Error> {
    let Bound { entry, bytes, verification } = P::bind(&sealed, engine)?;
    let described = sealed.described();
    let placed = described.placed();
    let mut segments = described.segments();
    segments.push(Segment::new(SegmentKind::Purgatory, placed.purgatory, Cow::Owned(bytes)));
    let dropped = described.dropped();
    Ok(Image::new(entry, placed.crash_region, segments, verification, dropped))
}

#[cfg(test)]
mod tests;
