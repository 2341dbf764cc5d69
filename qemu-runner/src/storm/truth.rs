//! Whether the image is true: whether an elfcorehdr in the crash region describes the memory that is there, all of it and nothing else.
//!
//! It is looked for by what it is, not by where somebody says it is. Stale ones lie around, for kexec_load(2) does not wipe what an earlier
//! image left; but none of them can describe memory that has come since. Whether an image is armed at all is not to be seen here.

use std::ops::Range;

use crate::elfcore::ElfCore;
use crate::error::Error;
use crate::iomem::{Iomem, merged};
use crate::ram::Ram;

/// What an elfcorehdr begins with: magic, 64 bits, little-endian, version 1 (ELF specification, "ELF Identification").
const MAGIC: [u8; 7] = *b"\x7fELF\x02\x01\x01";
/// PAGE_SIZE: where segments begin.
const PAGE: u64 = 4096;
/// Enough for an ELF header and a thousand program headers.
const HEADER_LEN: u64 = 64 << 10;

/// What must be described.
pub struct Truth {
    region: Range<u64>,
    iomem: Iomem,
    expected: Vec<Range<u64>>,
    known: Vec<u64>,
    looks: u32,
}

/// So many looks at the known places before the whole region is searched again.
const LOOKS_PER_SEARCH: u32 = 10;

impl Truth {
    /// The truth about the memory of this map, to be found in this crash region.
    pub fn of(iomem: &Iomem, region: Range<u64>) -> Self {
        Self { region, expected: iomem.dumped(), iomem: iomem.clone(), known: Vec::new(), looks: 0 }
    }

    /// Whether it is there now.
    pub fn holds(&mut self, ram: &Ram) -> Result<bool, Error> {
        if self.looks.is_multiple_of(LOOKS_PER_SEARCH) {
            self.known = ram.find(&self.region, &MAGIC)?;
            self.known.retain(|address| address.is_multiple_of(PAGE));
        }
        self.looks += 1;
        for &address in &self.known {
            let len = HEADER_LEN.min(self.region.end - address) as usize;
            // What begins like one may be something else, or half written.
            if let Ok(core) = ElfCore::parse(&ram.read(address, len)?)
                && self.is_described_by(&core)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether these headers describe the memory. The low MiB, of which kexec-tools keeps a copy in the crash region, is nobody's.
    fn is_described_by(&self, core: &ElfCore) -> bool {
        self.iomem.dumpable(&merged(&core.memory())) == self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elfcore::Load;

    fn core(ranges: &[Range<u64>]) -> ElfCore {
        let load = |range: &Range<u64>| Load { offset: range.start, physical: range.clone(), is_text: false };
        ElfCore { loads: ranges.iter().map(load).collect(), note_headers: 1 }
    }

    fn truth() -> Truth {
        let text = "00100000-3fffffff : System RAM\n  01000000-01ffffff : Kernel code\n  30000000-3fffffff : Crash kernel\n\
                    100000000-107ffffff : System RAM\n108000000-10fffffff : System RAM";
        Truth::of(&Iomem::parse(text).unwrap(), 0x3000_0000..0x4000_0000)
    }

    #[test]
    fn headers_are_true_if_they_describe_all_memory_and_nothing_else() {
        let boot = 0x10_0000..0x3000_0000;
        assert!(truth().is_described_by(&core(&[boot.clone(), 0x1_0000_0000..0x1_1000_0000])));
        assert!(!truth().is_described_by(&core(&[boot.clone(), 0x1_0000_0000..0x1_0800_0000])));
        assert!(!truth().is_described_by(&core(&[boot, 0x1_0000_0000..0x1_1800_0000])));
    }

    #[test]
    fn copy_of_the_low_mib_makes_no_difference() {
        let ranges = [0..0xa0000, 0x10_0000..0x3000_0000, 0x1_0000_0000..0x1_1000_0000];
        assert!(truth().is_described_by(&core(&ranges)));
    }
}
