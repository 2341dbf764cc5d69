//! `[6]` Where the next kernel can jump back into the old one, as a parameter on its command line
//! (`x86_setup_jump_back_entry`, purgatory/arch/i386/purgatory-x86.c of kexec-tools).

use handoff::text::Text;

/// Bytes that kexec-tools leaves after the command line (`PURGATORY_CMDLINE_SIZE`, kexec/kexec.h).
pub const ROOM: usize = 64;

/// The parameter, with a space before it and zeroes after it.
pub fn argument(entry: u64) -> [u8; ROOM] {
    let mut paper = Paper { bytes: [0; ROOM], len: 0 };
    paper.text(" kexec_jump_back_entry=").hex(entry);
    paper.bytes
}

struct Paper {
    bytes: [u8; ROOM],
    len: usize,
}

impl Text for Paper {
    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_parameter_fits_and_is_terminated() {
        let words = b" kexec_jump_back_entry=0xffffffffffffffff\0";
        assert_eq!(argument(u64::MAX)[..words.len()], *words);
        assert_eq!(argument(0x1234)[..30], *b" kexec_jump_back_entry=0x1234\0");
    }
}
