//! `[9b]` How the purgatory verifies the image: the configuration that was written into it.

use digest::Digest;
use handoff::Block;

use super::SegmentKind;
use crate::machine::ConfidentialGuest;
use crate::machine::printk::Unresolved;
use crate::phys::PhysRange;
use crate::purgatory::foreign::Contract;
use crate::purgatory::settings::Settings;

/// The purgatory's configuration, by kind.
#[derive(Clone, Debug)]
pub enum Verification {
    /// Our purgatory verifies leaf by leaf. Its configuration is the block.
    ByBlock(Box<ByBlock>),
    /// A foreign purgatory compares whole segments with one digest. Its configuration is in
    /// symbols.
    BySymbols(BySymbols),
}

/// Our purgatory's configuration.
#[derive(Clone, Debug)]
pub struct ByBlock {
    /// The block, filled in.
    pub block: Block,
    /// The block's memory.
    pub block_at: PhysRange,
    /// The settings in the block.
    pub settings: Settings,
    /// By how many bytes the command line is too long for the report. If it is not 0, nothing reads
    /// the report.
    pub report_lacks: usize,
    /// Why the black box has no copy of the kernel log; `None` if it has one, or if there is no
    /// black box.
    pub no_log: Option<NoLog>,
}

/// Why the kernel log will not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLog {
    /// Its memory is unknown.
    #[error(transparent)]
    Unresolved(Unresolved),
    /// The capture kernel needs the memory.
    #[error("the crash region has no room for it beside the capture kernel; reserve more")]
    NoRoom,
}

/// A foreign purgatory's configuration.
#[derive(Clone, Debug)]
pub struct BySymbols {
    /// The contract that it follows.
    pub contract: &'static Contract,
    /// The regions that are digested, including zeroes, in this order.
    pub regions: Vec<(SegmentKind, PhysRange)>,
    /// SHA-256 of all regions, concatenated.
    pub digest: Digest,
    /// First I/O port of the UART that it prints on; `None` if it does not print.
    pub console: Option<u16>,
    /// The confidential guest that the image is for; `None` on an ordinary machine.
    pub confidential: Option<ConfidentialGuest>,
}

impl Verification {
    /// The image's identity: the block's seal, or the digest of all regions.
    pub fn identity(&self) -> Digest {
        match self {
            Self::ByBlock(ours) => ours.block.seal,
            Self::BySymbols(foreign) => foreign.digest,
        }
    }
}
