//! `[8]` The purgatory's segment: the purgatory is bound to its address, and its configuration
//! written into it.
//!
//! *On entry*
//! * the content of all other segments, and the digests.
//!
//! *On exit*
//! * an [`Image`], which cannot be changed.

use std::borrow::Cow;

use digest::Engine;

use crate::image::{Image, Segment, SegmentKind, Verification};
use crate::purgatory::Error;
use crate::seal::{Seal, Sealed};

mod block; // ours: its block
mod symbols; // foreign: its symbols

/// A purgatory that can be bound to its address.
pub(crate) trait Bind: Seal {
    /// Makes its segment's bytes.
    fn bind(sealed: &Sealed<'_, Self>, engine: Engine) -> Result<Bound, Error>;
}

/// A purgatory that is bound to its address.
#[derive(Debug)]
pub(crate) struct Bound {
    /// Physical address of its entry point.
    pub entry: u64,
    /// Its segment's bytes.
    pub bytes: Vec<u8>,
    /// How it verifies the image.
    pub verification: Verification,
}

/// Binds the purgatory and puts all segments together.
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
