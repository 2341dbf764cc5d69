//! The peers' way: one SHA-256 over all regions behind one another, zeroes included, by a C function that returns if it is right and
//! stands still for ever if it is not.

use std::error::Error;

use digest::{Digest, Engine, Sha256};
use loader::purgatory::relocatable::Relocatable;
use loader::request::InputFile;

use super::{Part, Verifier};
use crate::call;
use crate::memory::Memory;

/// The function that verifies, in either peer.
const FUNCTION: &str = "purgatory";

/// What the peers call their table of regions and their digest.
pub struct Symbols {
    /// Sixteen pairs of address and length.
    pub regions: &'static str,
    /// Their digest.
    pub digest: &'static str,
}

/// kexec-tools' (purgatory/purgatory.c). Its console variables stay 0: it prints nothing, so it touches no port.
pub const KEXEC_TOOLS: Symbols = Symbols { regions: "sha256_regions", digest: "sha256_digest" };
/// The kernel's (arch/x86/purgatory/purgatory.c).
pub const LINUX: Symbols = Symbols { regions: "purgatory_sha_regions", digest: "purgatory_sha256_digest" };

/// A peer's purgatory, bound, in memory of its own.
pub struct Whole {
    _code: Memory,
    function: u64,
}

impl Whole {
    /// Binds `purgatory` and hands it `parts` by its own symbols.
    pub fn new(purgatory: &InputFile, symbols: &Symbols, parts: &[Part], memory: &Memory) -> Result<Self, Box<dyn Error>> {
        let relocatable = Relocatable::parse(purgatory)?;
        let mut code = Memory::new(0, relocatable.len())?;
        let mut bound = relocatable.bind(code.start())?;
        let regions: Vec<u8> = parts.iter().flat_map(|part| [part.start, part.mem_len]).flat_map(u64::to_le_bytes).collect();
        let mut table = bound.get(symbols.regions)?.to_vec();
        table.fill(0);
        table.get_mut(..regions.len()).ok_or("more regions than the peer takes")?.copy_from_slice(&regions);
        bound.set(symbols.regions, &table)?;
        bound.set(symbols.digest, &digest(parts, memory))?;
        let function = bound.address_of(FUNCTION)?;
        let (start, bytes) = (code.start(), bound.into_bytes());
        code.write(start, &bytes);
        Ok(Self { _code: code, function })
    }
}

/// The digest that its loader would have made.
fn digest(parts: &[Part], memory: &Memory) -> Digest {
    let mut hasher = Sha256::new(Engine::fastest());
    for part in parts {
        hasher.update(&memory.bytes()[(part.start - memory.start()) as usize..][..part.mem_len as usize]);
    }
    hasher.finish()
}

impl Verifier for Whole {
    fn prepare(&mut self, _: &mut Memory) {}

    fn verify(&mut self, _: &Memory) {
        call::call(self.function);
    }

    fn verdict(&self, _: &Memory) -> (bool, String) {
        (true, "returned".into())
    }
}
