//! Where in the purgatory's segment a function begins, so that one can be damaged from outside.

use object::read::elf::{ElfFile64, ElfSymbol64};
use object::{LittleEndian, Object, ObjectSegment, ObjectSymbol, SymbolKind};

use crate::error::Error;

/// How much of a function is compared with what is found in memory.
const BEGINNING: u64 = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Bytes from the start of the purgatory's segment to its first instruction.
    pub offset: u64,
    /// Its first bytes, which no relocation changes: the purgatory is position-independent.
    pub beginning: Vec<u8>,
}

/// The only function with `name` in its mangled name.
pub fn function(elf: &[u8], name: &str) -> Result<Function, Error> {
    let file = ElfFile64::<LittleEndian>::parse(elf)
        .map_err(|error| Error::unreadable("the purgatory's file", error))?;
    let named = |symbol: &ElfSymbol64<'_, '_, LittleEndian>| {
        symbol.kind() == SymbolKind::Text && symbol.name().is_ok_and(|symbol| symbol.contains(name))
    };
    let found: Vec<u64> = file.symbols().filter(named).map(|symbol| symbol.address()).collect();
    // The linker script puts the purgatory at 0, so an address is an offset.
    let code = |address| {
        file.segments().find_map(|segment| segment.data_range(address, BEGINNING).ok().flatten())
    };
    match (found.as_slice(), found.first().copied().and_then(code)) {
        (&[offset], Some(code)) => Ok(Function { offset, beginning: code.to_vec() }),
        _ => Err(Error::Failed(format!(
            "functions of the purgatory with {name:?} in their names: expected one with its code, \
             found {found:#x?}"
        ))),
    }
}

/// Bytes from the start of the purgatory's segment to the symbol with exactly this name, or to what
/// is called so in a module, if there is one. (Rust's v0 mangling ends with the name's length and
/// the name.)
pub fn symbol(elf: &[u8], name: &str) -> Option<u64> {
    let file = ElfFile64::<LittleEndian>::parse(elf).ok()?;
    let mangled = format!("{}{name}", name.len());
    let is_called =
        |symbol: &str| symbol == name || symbol.starts_with("_R") && symbol.ends_with(&mangled);
    file.symbols().find(|symbol| symbol.name().is_ok_and(is_called)).map(|symbol| symbol.address())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn first_landmark() -> u32 {
        std::hint::black_box(1)
    }

    #[inline(never)]
    fn second_landmark() -> u32 {
        std::hint::black_box(2)
    }

    #[test]
    fn function_is_found_in_a_real_program_and_must_be_the_only_one() {
        assert_eq!(first_landmark() + second_landmark(), 3);
        let itself = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let (first, second) = (
            function(&itself, "first_landmark").unwrap(),
            function(&itself, "second_landmark").unwrap(),
        );
        assert_ne!(first.offset, second.offset);
        assert_eq!(first.beginning.len() as u64, BEGINNING);
        assert!(function(&itself, "_landmark").is_err() && function(&itself, "none_such").is_err());
    }
}
