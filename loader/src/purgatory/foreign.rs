//! [3c] Whose loader another's purgatory was built for, and what that loader tells it.
//!
//! *On entry* an object that can be bound. *On exit* one that has every symbol of its contract, with the size that its own loader writes,
//! so that [`Foreign::bind`] can fail only for its address or for too many regions. The contract follows from what the table of regions is
//! called; who has built the object does not matter.

use digest::Digest;
use handoff::PAGE_SIZE;

use super::relocatable::Relocatable;
use crate::phys::PhysRange;
use crate::request::InputFile;

mod contract; // the symbols of either loader
mod error; // why it cannot be told

use contract::{CONTRACTS, ENTRY_REGISTERS, Value};
pub use contract::{Contract, ENTRY_REGS, KEXEC_TOOLS, LINUX, REGIONS, STACK_END};
pub use error::Error;

/// Another's purgatory, which can be told everything that its own loader would tell it.
#[derive(Clone, Debug)]
pub struct Foreign {
    contract: &'static Contract,
    program: Relocatable,
}

/// What it is told.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// What it digests, zeroes behind the files included, in this order.
    pub regions: &'a [PhysRange],
    /// SHA-256 of all of them, one behind the other.
    pub digest: Digest,
    /// Physical address of the capture kernel's 64-bit entry point.
    pub kernel_entry: u64,
    /// Physical address of boot_params.
    pub boot_params: u64,
    /// Physical address of the NUL that ends the command line.
    pub command_line_end: u64,
    /// First I/O port of the 8250 that it prints on, if it can.
    pub console: Option<u16>,
}

impl Foreign {
    /// Takes the file apart and finds out whose loader it was built for.
    pub fn parse(file: &InputFile) -> Result<Self, Error> {
        let program = Relocatable::parse(file)?;
        let kept = CONTRACTS.iter().filter(|contract| program.symbol(contract.regions()).is_ok());
        match kept.copied().collect::<Vec<_>>()[..] {
            [contract] => {
                contract.check(&program)?;
                Ok(Self { contract, program })
            }
            [] => Err(Error::NoContract { path: file.path.clone() }),
            _ => Err(Error::Ambiguous { path: file.path.clone() }),
        }
    }

    /// What its own loader tells it, and by which symbols.
    pub fn contract(&self) -> &'static Contract {
        self.contract
    }

    /// The object.
    pub fn program(&self) -> &Relocatable {
        &self.program
    }

    /// What its address in memory must be a multiple of: whole pages at least, as for every segment.
    pub fn alignment(&self) -> u64 {
        self.program.alignment().max(PAGE_SIZE)
    }

    /// The bytes that are copied to `address`: relocated, then told.
    pub fn bind(&self, address: u64, told: &Told<'_>) -> Result<Vec<u8>, Error> {
        if told.regions.len() > REGIONS {
            return Err(Error::TooManyRegions { path: self.program.path().to_owned(), found: told.regions.len() });
        }
        let mut bound = self.program.bind(address)?;
        for written in self.contract.written {
            let bytes = match written.value {
                Value::Registers => {
                    let registers = self.registers(bound.get(written.symbol)?, bound.address_of(STACK_END)?, told);
                    registers.into_iter().flat_map(u64::to_le_bytes).collect()
                }
                Value::Regions => table(told.regions),
                Value::Digest => told.digest.to_vec(),
                Value::CommandLineEnd => told.command_line_end.to_le_bytes().to_vec(),
                Value::Console => vec![told.console.is_some().into()],
                Value::Port => told.console.unwrap_or_default().to_le_bytes().to_vec(),
                Value::Yes => vec![1],
                Value::Nothing => vec![0; written.len as usize],
            };
            bound.set(written.symbol, &bytes)?;
        }
        Ok(bound.into_bytes())
    }

    /// The registers with which the capture kernel is entered: `startup_64` needs RIP and RSI; the others that both loaders set are
    /// set as they do, and the rest stays as it was built (`bzImage64_load`, arch/x86/kernel/kexec-bzimage64.c; `do_bzImage64_load`,
    /// kexec/arch/x86_64/kexec-bzImage64.c of kexec-tools).
    fn registers(&self, built: &[u8], stack_end: u64, told: &Told<'_>) -> [u64; ENTRY_REGISTERS] {
        let (words, _) = built.as_chunks();
        let mut registers = [0; ENTRY_REGISTERS];
        for ((register, name), word) in registers.iter_mut().zip(self.contract.registers).zip(words) {
            *register = match name {
                "rip" => told.kernel_entry,
                "rsi" => told.boot_params,
                "rsp" => stack_end,
                "rbx" => 0,
                _ => u64::from_le_bytes(*word),
            };
        }
        registers
    }
}

/// Start and length of each region; the slots behind them have no length, which is nothing to digest.
fn table(regions: &[PhysRange]) -> Vec<u8> {
    let mut table: Vec<u8> =
        regions.iter().flat_map(|region| [region.start(), region.len()]).flat_map(u64::to_le_bytes).collect();
    table.resize(REGIONS * 2 * size_of::<u64>(), 0);
    table
}

#[cfg(test)]
mod tests;
