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

use super::Peer;
use crate::error::{Error, check, check_eq, with_causes};
use crate::host;

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

#[derive(Debug)]
pub struct Proof {
    object_len: usize,
    /// Bytes that are copied.
    file_len: u64,
    /// Bytes in memory.
    len: u64,
    addresses: usize,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object_len, file_len, len, addresses } = self;
        write!(
            f,
            "{object_len} bytes; bound: {file_len} in the file, {len} in memory, {addresses} \
             addresses"
        )
    }
}

impl Peer {
    /// Binds it at two addresses, and looks at what comes out, and at its labels.
    pub fn prove(&self) -> Result<Proof, Error> {
        let object = host::read(&self.object)?;
        let foreign = self.parse()?;
        let program = foreign.program();
        let addresses = self.addresses(program)?;
        let unreadable = |error| Error::unreadable("the peer's object", error);
        let relocations = relocations(&object).map_err(unreadable)?;
        check_eq!(addresses, relocations, "words that change with the address")?;
        self.check_registers(&object::File::parse(&*object).map_err(unreadable)?)?;
        let (file_len, len) = (program.file_len(), program.len());
        Ok(Proof { object_len: object.len(), file_len, len, addresses })
    }

    /// How many words change with the address.
    fn addresses(&self, program: &Relocatable) -> Result<usize, Error> {
        let [first, second] = ADDRESSES;
        let bound = |at| {
            let image = program.bind(at).map_err(|error| self.error(with_causes(&error, ": ")))?;
            Ok::<_, Error>(image.into_bytes())
        };
        let (one, other) = (bound(first)?, bound(second)?);
        let (mut at, mut addresses) = (0, 0);
        while let Some(same) =
            one[at..].iter().zip(&other[at..]).position(|(one, other)| one != other)
        {
            let start = (at + same).saturating_sub(FIRST_DIFFERENCE);
            let word = |image: &[u8]| {
                let bytes = image.get(start..).and_then(|rest| rest.first_chunk());
                bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
            };
            let distance = word(&other).wrapping_sub(word(&one));
            check!(
                distance == second - first,
                "bound elsewhere, its bytes at {start:#x} change by {distance:#x}"
            )?;
            (at, addresses) = (start + 8, addresses + 1);
        }
        Ok(addresses)
    }

    /// Each register is where the object's own assembler has put a label of its name. What else the
    /// loader writes it has found already.
    fn check_registers(&self, file: &object::File<'_>) -> Result<(), Error> {
        let at = |name| {
            let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name))?;
            Some((symbol.section_index()?, symbol.address()))
        };
        let table = at(ENTRY_REGS);
        for (index, register) in self.contract.registers.into_iter().enumerate() {
            let expected =
                table.map(|(section, start)| (section, start + (index * size_of::<u64>()) as u64));
            let label = at(register);
            let found = label.is_some() && label == expected;
            check!(found, "label {register}: not word {index} of {ENTRY_REGS}, but {label:?}")?;
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
            let is_address = |kind| kind == R_X86_64_64;
            let kinds = entries.iter().map(|entry| entry.r_type(LittleEndian, false));
            count += kinds.filter(|kind| is_address(*kind)).count();
        }
    }
    Ok(count)
}
