//! The peers' way: one SHA-256 over all regions behind one another, zeroes included, by a C function that returns if it is right and
//! stands still for ever if it is not.

use std::error::Error;

use digest::{Digest, Engine, Sha256};
use loader::phys::PhysRange;
use loader::purgatory::foreign::{Contract, Foreign, Told};
use loader::request::InputFile;

use super::{Part, Verifier};
use crate::call;
use crate::memory::Memory;

/// The function that verifies, in either peer.
const FUNCTION: &str = "purgatory";

/// A peer's purgatory, bound, in memory of its own.
pub struct Whole {
    _code: Memory,
    function: u64,
}

impl Whole {
    /// Binds `purgatory`, which is for the loader of `contract`, and tells it to verify `parts`. It prints nothing, so it touches no port.
    pub fn new(
        purgatory: &InputFile,
        contract: &'static Contract,
        parts: &[Part],
        memory: &Memory,
    ) -> Result<Self, Box<dyn Error>> {
        let foreign = Foreign::parse(purgatory)?;
        if foreign.contract() != contract {
            return Err(format!("this purgatory is like {}, not {}", foreign.contract().whose, contract.whose).into());
        }
        let mut code = Memory::new(0, foreign.program().len())?;
        let regions: Option<Vec<PhysRange>> = parts.iter().map(|part| PhysRange::with_len(part.start, part.mem_len)).collect();
        let told = Told {
            regions: &regions.ok_or("a part lies at the end of the address space")?,
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
