//! Whether an elfcorehdr in the crash region describes exactly the memory that is there.
//!
//! It is found by its contents, not at a reported address. Stale ones remain in the region, because
//! kexec_load(2) does not erase an earlier image, but none of them describes memory that came
//! later. Whether an image is armed cannot be seen here.

use std::ops::Range;

use crate::error::Error;
use crate::evidence::elfcore::ElfCore;
use crate::evidence::iomem::{Iomem, merged};
use crate::machine::ram::Ram;

/// How an elfcorehdr begins: magic, 64 bits, little-endian, version 1 (ELF, "ELF Identification").
const MAGIC: [u8; 7] = *b"\x7fELF\x02\x01\x01";
const PAGE: u64 = 4096;
/// Enough for an ELF header and a thousand program headers.
const HEADER_LEN: u64 = 64 << 10;
/// Looks at the known places before the whole region is searched again.
const LOOKS_PER_SEARCH: u32 = 10;

/// What must be described, and where it may be.
pub struct Truth {
    region: Range<u64>,
    iomem: Iomem,
    expected: Vec<Range<u64>>,
    known: Vec<u64>,
    looks: u32,
}

impl Truth {
    /// The memory of this map, to be described in this crash region.
    pub fn of(iomem: &Iomem, region: Range<u64>) -> Self {
        let expected = iomem.dumped();
        Self { region, expected, iomem: iomem.clone(), known: Vec::new(), looks: 0 }
    }

    pub fn holds(&mut self, ram: &Ram) -> Result<bool, Error> {
        if self.looks.is_multiple_of(LOOKS_PER_SEARCH) {
            self.known = ram.find(&self.region, &MAGIC)?;
            self.known.retain(|address| address.is_multiple_of(PAGE));
        }
        self.looks += 1;
        for &address in &self.known {
            let len = HEADER_LEN.min(self.region.end - address) as usize;
            // Something else may begin the same way, or a header may be half written.
            if let Ok(core) = ElfCore::parse(&ram.read(address, len)?)
                && self.is_described_by(&core)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether these headers describe the memory. The low MiB does not count: kexec-tools keeps a
    /// copy of it in the crash region.
    fn is_described_by(&self, core: &ElfCore) -> bool {
        self.iomem.dumpable(&merged(&core.memory())) == self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::elfcore::Load;

    #[test]
    fn headers_must_describe_all_memory_and_nothing_else_but_the_low_mib() {
        let text = "00100000-3fffffff : System RAM\n  01000000-01ffffff : Kernel code\n  \
                    30000000-3fffffff : Crash kernel\n100000000-107ffffff : System RAM\n\
                    108000000-10fffffff : System RAM";
        let truth = Truth::of(&Iomem::parse(text).unwrap(), 0x3000_0000..0x4000_0000);
        let holds = |ranges: &[Range<u64>]| {
            let load = |range: &Range<u64>| Load {
                offset: range.start,
                physical: range.clone(),
                is_text: false,
            };
            let loads = ranges.iter().map(load).collect();
            truth.is_described_by(&ElfCore { loads, note_headers: 1 })
        };
        let boot = 0x10_0000..0x3000_0000;
        assert!(holds(&[boot.clone(), 0x1_0000_0000..0x1_1000_0000]));
        assert!(!holds(&[boot.clone(), 0x1_0000_0000..0x1_0800_0000]));
        assert!(!holds(&[boot.clone(), 0x1_0000_0000..0x1_1800_0000]));
        assert!(holds(&[0..0xa0000, boot, 0x1_0000_0000..0x1_1000_0000]));
    }
}
