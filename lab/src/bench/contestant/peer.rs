//! The peers' way: one SHA-256 over all regions, zeros included, by a C function. It returns if the
//! digest is right, and hangs if it is not.

use anyhow::{Context, Result};
use digest::{Digest, Engine, Sha256};
use loader::phys::PhysRange;
use loader::purgatory::foreign::{Foreign, SymbolValues};
use loader::request::InputFile;

use super::super::{call, memory::Memory};
use super::{Part, Verify};

/// The function that verifies, in both peers.
const FUNCTION: &str = "purgatory";

/// A peer's purgatory, bound, in memory of its own.
pub struct Peer {
    _code: Memory,
    function: u64,
}

impl Peer {
    /// Binds `purgatory` and has it verify `parts`. It has no console, so it touches no port.
    pub fn new(purgatory: &InputFile, parts: &[Part], memory: &Memory) -> Result<Self> {
        let foreign = Foreign::parse(purgatory)?;
        let mut code = Memory::new(0, foreign.program().len())?;
        let range = |part: &Part| PhysRange::with_len(part.start, part.mem_len);
        let regions: Option<Vec<PhysRange>> = parts.iter().map(range).collect();
        let told = SymbolValues {
            regions: &regions.context("a part is at the end of the address space")?,
            digest: digest(parts, memory),
            // It returns before it would enter a kernel.
            kernel_entry: 0,
            boot_params: 0,
            command_line_end: 0,
            console: None,
        };
        let start = code.start();
        code.write(start, &foreign.bind(start, &told)?);
        let function = start + foreign.program().symbol(FUNCTION)?.offset();
        Ok(Self { _code: code, function })
    }
}

/// The digest that its own loader would have stored.
fn digest(parts: &[Part], memory: &Memory) -> Digest {
    let mut hasher = Sha256::new(Engine::fastest());
    parts.iter().for_each(|part| hasher.update(memory.at(part.start, part.mem_len)));
    hasher.finish()
}

impl Verify for Peer {
    fn verify(&mut self, _: &Memory) {
        call::call(self.function);
    }

    fn verdict(&self, _: &Memory) -> (bool, String) {
        (true, "returned".into())
    }
}
