//! Which instructions of the purgatory were executed, from QEMU's log.
//!
//! With one instruction in each translation block (`-accel tcg,one-insn-per-tb=on`), `-d in_asm`
//! logs an instruction just before its first execution. `-dfilter` leaves out the rest of the
//! machine. So the addresses in the log are the addresses that ran.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSegment};

use crate::error::{Error, check};

/// Longest x86 instruction in bytes (SDM vol. 2A, "Instruction prefixes").
pub const LONGEST: u64 = 15;

/// The addresses of the instructions that the log says were executed inside `purgatory`.
pub fn executed(log: &str, purgatory: &Range<u64>) -> BTreeSet<u64> {
    // `0x0000000013ff3000:  fa    cli`; the ninth byte of an instruction and those after it stand
    // on a line without a mnemonic.
    let is_byte = |word: &str| word.len() == 2 && u8::from_str_radix(word, 16).is_ok();
    let address = |line: &str| {
        let (address, rest) = line.strip_prefix("0x")?.split_once(':')?;
        let goes_on = rest.split_whitespace().all(is_byte);
        if goes_on { None } else { u64::from_str_radix(address, 16).ok() }
    };
    log.lines().filter_map(address).filter(|address| purgatory.contains(address)).collect()
}

/// The instructions of the purgatory in `elf`, bound at `purgatory`, at these addresses.
pub fn instructions(
    elf: &[u8],
    purgatory: &Range<u64>,
    executed: &BTreeSet<u64>,
) -> Result<Vec<Instruction>, Error> {
    let file = ElfFile64::<LittleEndian>::parse(elf)
        .map_err(|error| Error::unreadable("the purgatory's file", error))?;
    let base = purgatory.start;
    check!(!executed.is_empty(), "no instruction of the purgatory at {base:#x} is in the log")?;
    let decode = |&address: &u64| {
        // The linker script puts the purgatory at 0, so an address in the file is an offset.
        let offset = address - base;
        let bytes = file.segments().find_map(|segment| {
            let end = segment.address() + segment.data().ok()?.len() as u64;
            let len = end.checked_sub(offset)?.min(LONGEST);
            segment.data_range(offset, len).ok().flatten()
        });
        let instruction =
            Decoder::with_ip(64, bytes.unwrap_or_default(), address, DecoderOptions::NONE).decode();
        check!(
            !instruction.is_invalid(),
            "the log says that {address:#x} was executed, where the purgatory has no instruction"
        )?;
        Ok(instruction)
    };
    executed.iter().map(decode).collect()
}

/// What an instruction does that a block can forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forbidden {
    Cpuid,
    PortIo,
    Hlt,
    Msr,
    /// A debug register is read or written.
    Debug,
}

/// What of this needs a permission.
pub fn needs_permission(instruction: &Instruction) -> Option<Forbidden> {
    let debug = instruction.op0_register().is_dr() || instruction.op1_register().is_dr();
    match instruction.mnemonic() {
        Mnemonic::Cpuid => Some(Forbidden::Cpuid),
        Mnemonic::In | Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => Some(Forbidden::PortIo),
        Mnemonic::Out | Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => {
            Some(Forbidden::PortIo)
        }
        Mnemonic::Hlt => Some(Forbidden::Hlt),
        Mnemonic::Rdmsr | Mnemonic::Wrmsr => Some(Forbidden::Msr),
        _ if debug => Some(Forbidden::Debug),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "----------------\nIN: \n0x13ff3000:  fa                       cli      \n\n\
        ----------------\nIN: \n0x13ff3001:  0f a2                    cpuid    \n\n\
        0x13ff3003:  48 b8 00 ff ff ff ff ff  movabsq  $0x7fffffffffffff00, %rax\n0x13ff300b:  ff \
        7f\n\n0x00007c05:  e6 f4  outb  %al, $0xf4\n";

    #[test]
    fn addresses_inside_the_purgatory_are_read_from_the_log() {
        let purgatory = 0x13ff_3000..0x13ff_f000;
        assert_eq!(
            executed(LOG, &purgatory),
            BTreeSet::from([0x13ff_3000, 0x13ff_3001, 0x13ff_3003])
        );
    }

    #[test]
    fn every_instruction_that_can_be_forbidden_is_recognised() {
        let cases: [(&[u8], Option<Forbidden>); 9] = [
            (b"\x0f\xa2", Some(Forbidden::Cpuid)),
            (b"\xec", Some(Forbidden::PortIo)),
            (b"\xee", Some(Forbidden::PortIo)),
            (b"\xf4", Some(Forbidden::Hlt)),
            (b"\x0f\x32", Some(Forbidden::Msr)),
            (b"\x0f\x30", Some(Forbidden::Msr)),
            (b"\x0f\x23\xf8", Some(Forbidden::Debug)),
            (b"\x0f\x31", None),
            (b"\xf3\x90", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(
                needs_permission(&Decoder::new(64, bytes, DecoderOptions::NONE).decode()),
                expected,
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn a_log_without_the_purgatory_proves_nothing() {
        let itself = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(instructions(&itself, &(0x1000..0x2000), &BTreeSet::new()).is_err());
        let beyond = BTreeSet::from([u64::MAX - 1]);
        assert!(instructions(&itself, &(0x1000..u64::MAX), &beyond).is_err());
    }
}
