//! `[3c]` Foreign purgatories: which loader's contract an object follows, and the symbols of that
//! contract.
//!
//! *On entry*
//! * an object that can be bound.
//!
//! *On exit*
//! * it has every symbol of its contract, with the size that its own loader writes. So
//!   [`Foreign::bind`] fails only for its address or for too many regions.
//!
//! The name of the table of regions decides the contract.

use digest::Digest;
use handoff::PAGE_SIZE;

use super::relocatable::Relocatable;
use crate::phys::PhysRange;
use crate::request::InputFile;

mod contract; // the symbols of each loader
mod error; // why an object cannot be used

use contract::{CONTRACTS, ENTRY_REGISTERS, Value};
pub use contract::{Contract, ENTRY_REGS, KEXEC_TOOLS, LINUX, REGIONS, STACK_END};
pub use error::Error;

/// A foreign purgatory with every symbol that its own loader writes.
#[derive(Clone, Debug)]
pub struct Foreign {
    contract: &'static Contract,
    program: Relocatable,
}

/// The values that the loader writes into its symbols.
#[derive(Clone, Debug)]
pub struct SymbolValues<'a> {
    /// The regions that it digests, in this order, including the zeroes after each file.
    pub regions: &'a [PhysRange],
    /// SHA-256 of all regions, concatenated.
    pub digest: Digest,
    /// Physical address of the capture kernel's 64-bit entry point.
    pub kernel_entry: u64,
    /// Physical address of boot_params.
    pub boot_params: u64,
    /// Physical address of the NUL that ends the command line.
    pub command_line_end: u64,
    /// First I/O port of the 8250 that it prints on; `None` if it does not print.
    pub console: Option<u16>,
}

impl Foreign {
    /// Takes the file apart and determines its contract.
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

    /// The contract that it follows.
    pub fn contract(&self) -> &'static Contract {
        self.contract
    }

    /// The object, before it is bound.
    pub fn program(&self) -> &Relocatable {
        &self.program
    }

    /// The alignment of its physical address: at least a page, as for every segment.
    pub fn alignment(&self) -> u64 {
        self.program.alignment().max(PAGE_SIZE)
    }

    /// Its bytes for the physical address `address`: relocated, with its symbols written.
    pub fn bind(&self, address: u64, values: &SymbolValues<'_>) -> Result<Vec<u8>, Error> {
        if values.regions.len() > REGIONS {
            return Err(Error::TooManyRegions {
                path: self.program.path().to_owned(),
                found: values.regions.len(),
            });
        }
        let mut bound = self.program.bind(address)?;
        for written in self.contract.written {
            let bytes = match written.value {
                Value::Registers => {
                    let registers = self.registers(
                        bound.get(written.symbol)?,
                        bound.address_of(STACK_END)?,
                        values,
                    );
                    registers.into_iter().flat_map(u64::to_le_bytes).collect()
                }
                Value::Regions => table(values.regions),
                Value::Digest => values.digest.to_vec(),
                Value::CommandLineEnd => values.command_line_end.to_le_bytes().to_vec(),
                Value::Console => vec![values.console.is_some().into()],
                Value::Port => values.console.unwrap_or_default().to_le_bytes().to_vec(),
                Value::Yes => vec![1],
                Value::Nothing => vec![0; written.len as usize],
            };
            bound.set(written.symbol, &bytes)?;
        }
        Ok(bound.into_bytes())
    }

    /// The registers with which the capture kernel is entered. `startup_64` needs RIP and RSI. RSP
    /// and RBX are set as both loaders set them; the rest stays as built (`bzImage64_load`,
    /// arch/x86/kernel/kexec-bzimage64.c; `do_bzImage64_load`, kexec/arch/x86_64/kexec-bzImage64.c
    /// of kexec-tools).
    fn registers(
        &self,
        built: &[u8],
        stack_end: u64,
        values: &SymbolValues<'_>,
    ) -> [u64; ENTRY_REGISTERS] {
        let (words, _) = built.as_chunks();
        let mut registers = [0; ENTRY_REGISTERS];
        for ((register, name), word) in registers.iter_mut().zip(self.contract.registers).zip(words)
        {
            *register = match name {
                "rip" => values.kernel_entry,
                "rsi" => values.boot_params,
                "rsp" => stack_end,
                "rbx" => 0,
                _ => u64::from_le_bytes(*word),
            };
        }
        registers
    }
}

/// Start and length of each region. Unused slots have length 0, so they add nothing to the digest.
fn table(regions: &[PhysRange]) -> Vec<u8> {
    let mut table: Vec<u8> = regions
        .iter()
        .flat_map(|region| [region.start(), region.len()])
        .flat_map(u64::to_le_bytes)
        .collect();
    table.resize(REGIONS * 2 * size_of::<u64>(), 0);
    table
}

#[cfg(test)]
mod tests;
