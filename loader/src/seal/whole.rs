//! [7b] For others' purgatories: one SHA-256 over whole segments, one behind the other in ascending order, the zeroes behind each
//! file included (`update_purgatory`, kexec/kexec.c of kexec-tools; `kexec_calculate_store_digests`, kernel/kexec_file.c).
//!
//! Left out are the purgatory's own segment, in which the digest is written, and the elfcorehdr if the kernel keeps it current. If it
//! does not, nobody but a fault changes it, and it is digested like everything else.

use digest::{Digest, Engine, Sha256};

use crate::describe::Described;
use crate::image::SegmentKind;
use crate::phys::PhysRange;
use crate::purgatory::Foreign;
use crate::seal::Seal;

/// Zeroes are digested in pieces of this size.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// What is digested, and its digest.
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
        for segment in segments.iter().filter(|segment| elfcorehdr || segment.kind() != SegmentKind::Elfcorehdr) {
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

    /// What is digested, in this order.
    pub fn regions(&self) -> &[(SegmentKind, PhysRange)] {
        &self.regions
    }

    /// SHA-256 of all of it.
    pub fn value(&self) -> Digest {
        self.digest
    }
}
