//! `[7b]` A foreign purgatory's digest: one SHA-256 of whole segments in ascending order, including
//! the zeroes after each file (`update_purgatory`, kexec/kexec.c of kexec-tools;
//! `kexec_calculate_store_digests`, kernel/kexec_file.c).
//!
//! The purgatory's own segment is left out, because the digest is written into it. The elfcorehdr
//! is left out only if the kernel keeps it up to date.

use digest::{Digest, Engine, Sha256};

use crate::describe::Described;
use crate::image::SegmentKind;
use crate::phys::PhysRange;
use crate::purgatory::Foreign;
use crate::seal::Seal;

/// Zeroes are digested in pieces of this length.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// The regions that a foreign purgatory verifies, and their digest.
#[derive(Debug)]
pub struct Whole {
    regions: Vec<(SegmentKind, PhysRange)>,
    digest: Digest,
}

impl Seal for Foreign {
    type Seals = Whole;

    fn seal(described: &Described<'_, Self>, engine: Engine) -> Whole {
        Whole::digest(described, engine)
    }
}

impl Whole {
    /// Digests every segment that is verified.
    fn digest(described: &Described<'_, Foreign>, engine: Engine) -> Self {
        let mut regions = Vec::new();
        let mut hasher = Sha256::new(engine);
        let segments = described.segments();
        let elfcorehdr = described.settings().digests_elfcorehdr;
        for segment in segments
            .iter()
            .filter(|segment| elfcorehdr || segment.kind() != SegmentKind::Elfcorehdr)
        {
            regions.push((segment.kind(), segment.range()));
            hasher.update(segment.bytes());
            let mut zeroes = segment.range().len() - segment.bytes().len() as u64;
            while zeroes > 0 {
                let piece = zeroes.min(ZEROES.len() as u64);
                hasher.update(&ZEROES[..piece as usize]);
                zeroes -= piece;
            }
        }
        Self { regions, digest: hasher.finish() }
    }

    /// The regions that are digested, in this order.
    pub fn regions(&self) -> &[(SegmentKind, PhysRange)] {
        &self.regions
    }

    /// SHA-256 of all regions, concatenated.
    pub fn value(&self) -> Digest {
        self.digest
    }
}
