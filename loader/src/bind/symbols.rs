//! `[8b]` A foreign purgatory: the object is relocated, and the symbols that its own loader writes
//! are written.

use digest::Engine;

use super::{Bind, Bound};
use crate::image::{BySymbols, Verification};
use crate::phys::PhysRange;
use crate::purgatory::foreign::{self, SymbolValues};
use crate::purgatory::{Error, Foreign};
use crate::seal::Sealed;

impl Bind for Foreign {
    fn bind(sealed: &Sealed<'_, Self>, _: Engine) -> Result<Bound, Error> {
        Ok(bind(sealed)?)
    }
}

/// Relocates the object and writes its symbols. The zeroes after its bytes are not needed, because
/// the kernel fills the segment with zeroes.
fn bind(sealed: &Sealed<'_, Foreign>) -> Result<Bound, foreign::Error> {
    let described = sealed.described();
    let placed = described.placed();
    let purgatory = described.purgatory();
    let at = placed.purgatory.start();
    let command_line = &described.command_line().bytes;
    let regions: Vec<PhysRange> =
        sealed.seals().regions().iter().map(|(_, range)| *range).collect();
    let console = described.settings().console;
    let bytes = purgatory.bind(
        at,
        &SymbolValues {
            regions: &regions,
            digest: sealed.seals().value(),
            kernel_entry: placed.kernel.start() + described.kernel().entry_offset,
            boot_params: placed.boot_params.start(),
            command_line_end: placed.command_line.start() + command_line.len() as u64 - 1,
            console,
        },
    )?;
    let foreign = BySymbols {
        contract: purgatory.contract(),
        regions: sealed.seals().regions().to_vec(),
        digest: sealed.seals().value(),
        console,
        confidential: described.settings().confidential,
    };
    Ok(Bound {
        entry: at + purgatory.program().entry(),
        bytes,
        verification: Verification::BySymbols(foreign),
    })
}
