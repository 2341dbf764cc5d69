//! [9b] How the purgatory verifies the image: what it was told, in the way of its kind.

use digest::Digest;
use handoff::Block;

use super::SegmentKind;
use crate::machine::ConfidentialGuest;
use crate::phys::PhysRange;
use crate::purgatory::foreign::Contract;
use crate::purgatory::settings::Settings;

/// What the purgatory was told.
#[derive(Clone, Debug)]
pub enum Verification {
    /// Ours: leaf by leaf, with everything that stands in its block.
    ByBlock(Box<ByBlock>),
    /// Another's: whole segments against one digest.
    BySymbols(BySymbols),
}

/// What our purgatory was told.
#[derive(Clone, Debug)]
pub struct ByBlock {
    /// The block, filled in.
    pub block: Block,
    /// Where it lies.
    pub block_at: PhysRange,
    /// What it was made from.
    pub settings: Settings,
    /// By how many bytes the command line is too long for the report; nothing reads the report unless this is 0.
    pub report_lacks: usize,
}

/// What another's purgatory was told.
#[derive(Clone, Debug)]
pub struct BySymbols {
    /// Whose it is.
    pub contract: &'static Contract,
    /// What is digested, zeroes included, in this order.
    pub regions: Vec<(SegmentKind, PhysRange)>,
    /// SHA-256 of all of it.
    pub digest: Digest,
    /// First port of the UART that it prints on.
    pub console: Option<u16>,
    /// The confidential guest that it was made for, if it was.
    pub confidential: Option<ConfidentialGuest>,
}

impl Verification {
    /// What stands for the image: the block's seal, or the one digest.
    pub fn identity(&self) -> Digest {
        match self {
            Self::ByBlock(told) => told.block.seal,
            Self::BySymbols(told) => told.digest,
        }
    }
}
