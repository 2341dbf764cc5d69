//! Shows from outside that a peer's purgatory was bound correctly.
//!
//! It is bound at two addresses. The results may differ in addresses only, in as many as its
//! relocations ask for. The registers must be in the order in which the loader writes them.

use std::fmt;

use loader::purgatory::foreign::ENTRY_REGS;
use loader::purgatory::relocatable::Relocatable;
use object::elf::{FileHeader64, R_X86_64_64, SHF_ALLOC};
use object::read::elf::{FileHeader, SectionHeader};
use object::{LittleEndian, Object, ObjectSymbol, SectionIndex};

use super::{Defect, Peer, read};
use crate::Error as RunnerError;

/// Where kernels put purgatories: below 4 GiB, and above. Both are pages, and differ in the lowest
/// bits that pages can differ in.
const ADDRESSES: [u64; 2] = [0x1000_0000, 0x7f_4321_f000];
/// Thus an address in one image differs from that in the other in its second byte, whatever its own
/// value, and not in its first.
const FIRST_DIFFERENCE: usize = 1;
const _: () = assert!(
    (ADDRESSES[1] - ADDRESSES[0]).trailing_zeros() >= 8
        && (ADDRESSES[1] - ADDRESSES[0]).trailing_zeros() < 16
);

/// Why it was not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that does not depend on the address changes with it.
    #[error(
        "bound elsewhere, its bytes at {at:#x} change from {one:#x} to {other:#x}, which is not by the distance"
    )]
    Change {
        /// Offset in the image.
        at: usize,
        /// The eight bytes at the first address.
        one: u64,
        /// The eight bytes at the second.
        other: u64,
    },
    /// Not every address changes, or more does.
    #[error(
        "{found} of its words change with the address, but it has {expected} relocations of type R_X86_64_64"
    )]
    Count {
        /// Words that change.
        found: usize,
        /// Relocations.
        expected: usize,
    },
    /// Its registers are in another order than the loader writes them.
    #[error("its label {register} is {found:?} words after {ENTRY_REGS} instead of {expected}")]
    Register {
        /// Which.
        register: &'static str,
        /// Where it is; none if it is absent.
        found: Option<usize>,
        /// Where the loader writes it.
        expected: usize,
    },
    /// It cannot be read, although the loader can.
    #[error("its relocations cannot be read")]
    Elf(#[from] object::Error),
}

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof {
    /// Bytes of the object.
    pub object_len: u64,
    /// Bytes that are copied.
    pub file_len: u64,
    /// Bytes in memory.
    pub len: u64,
    /// Addresses in it.
    pub addresses: usize,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object_len, file_len, len, addresses } = self;
        write!(
            f,
            "{object_len} bytes; bound: {file_len} in the file, {len} in memory, {addresses} addresses"
        )
    }
}

impl Peer {
    /// Binds it at two addresses, and looks at what comes out, and at its labels.
    pub fn prove(&self) -> Result<Proof, RunnerError> {
        let object = read(&self.object)?;
        let foreign = self.parse()?;
        let program = foreign.program();
        let addresses = self.addresses(program).map_err(|defect| self.error(defect))?;
        let expected = relocations(&object).map_err(|error| self.error(Error::Elf(error)))?;
        if addresses != expected {
            return Err(self.error(Error::Count { found: addresses, expected }));
        }
        self.registers_agree(&object).map_err(|defect| self.error(defect))?;
        Ok(Proof {
            object_len: object.len() as u64,
            file_len: program.file_len(),
            len: program.len(),
            addresses,
        })
    }

    /// How many words change with the address.
    fn addresses(&self, program: &Relocatable) -> Result<usize, Defect> {
        let [first, second] = ADDRESSES;
        let (one, other) = (program.bind(first)?.into_bytes(), program.bind(second)?.into_bytes());
        let (mut at, mut addresses) = (0, 0);
        while let Some(same) =
            one[at..].iter().zip(&other[at..]).position(|(one, other)| one != other)
        {
            let start = (at + same).saturating_sub(FIRST_DIFFERENCE);
            let word = |image: &[u8]| {
                image
                    .get(start..)
                    .and_then(|rest| rest.first_chunk())
                    .map_or(0, |w| u64::from_le_bytes(*w))
            };
            let (before, after) = (word(&one), word(&other));
            if after.wrapping_sub(before) != second - first {
                return Err(Error::Change { at: start, one: before, other: after }.into());
            }
            (at, addresses) = (start + 8, addresses + 1);
        }
        Ok(addresses)
    }

    /// Each register is where the object's own assembler has put a label of its name. What else the
    /// loader writes it has found already.
    fn registers_agree(&self, object: &[u8]) -> Result<(), Defect> {
        let file = object::File::parse(object).map_err(Error::Elf)?;
        let at = |name| {
            let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name))?;
            Some((symbol.section_index()?, symbol.address()))
        };
        let table = at(ENTRY_REGS);
        for (expected, register) in self.contract.registers.into_iter().enumerate() {
            let found = table
                .zip(at(register))
                .filter(|(table, label)| table.0 == label.0 && table.1 <= label.1);
            let found = found.map(|(table, label)| (label.1 - table.1) as usize / size_of::<u64>());
            if found != Some(expected) {
                return Err(Error::Register { register, found, expected }.into());
            }
        }
        Ok(())
    }
}

/// How many relocations of loaded sections write an address, read without the loader.
fn relocations(object: &[u8]) -> Result<usize, object::Error> {
    let header = FileHeader64::<LittleEndian>::parse(object)?;
    let sections = header.sections(LittleEndian, object)?;
    let mut count = 0;
    for section in sections.iter() {
        let Some((entries, _)) = section.rela(LittleEndian, object)? else { continue };
        let changed = sections.section(SectionIndex(section.sh_info(LittleEndian) as usize))?;
        if changed.sh_flags(LittleEndian).contains(SHF_ALLOC) {
            count += entries
                .iter()
                .filter(|entry| entry.r_type(LittleEndian, false) == R_X86_64_64)
                .count();
        }
    }
    Ok(count)
}
