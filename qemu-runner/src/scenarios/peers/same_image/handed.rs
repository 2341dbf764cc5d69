//! What a capture kernel is handed: boot parameters, command line, memory map, initrd and
//! elfcorehdr, read out of the machine's memory.

use std::ops::Range;

use crate::error::{Error, check};
use crate::evidence::elfcore::{ElfCore, HEADER_LEN};
use crate::stage::First;

/// `struct boot_params` (arch/x86/include/uapi/asm/bootparam.h): a page, and in it, by offset,
const PAGE: usize = 4096;
const EXT_RAMDISK_IMAGE: usize = 0x0c0;
const EXT_CMD_LINE_PTR: usize = 0x0c8;
const E820_ENTRIES: usize = 0x1e8;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const CMD_LINE_PTR: usize = 0x228;
pub const E820_TABLE: usize = 0x2d0;
/// Bytes of a `struct boot_e820_entry`, and the type of usable memory.
const E820_ENTRY: usize = 20;
const E820_RAM: u32 = 1;
/// Longest command line that is looked for.
const LONGEST_LINE: usize = 4096;
/// How much of the kernel is compared: less than any has.
const COMPARED: usize = 8 << 20;

pub struct Handed {
    pub params: Vec<u8>,
    pub line: String,
    /// The memory map: range and type.
    pub e820: Vec<(Range<u64>, u32)>,
    pub initrd: Vec<u8>,
    /// The elfcorehdr's address, and what it tells to dump.
    pub elfcorehdr: u64,
    pub dumped: Vec<Range<u64>>,
    pub kernel: Vec<u8>,
}

impl Handed {
    /// The words of the command line, without where the elfcorehdr is and what only ours has.
    pub fn words(&self) -> String {
        let own = |word: &&str| {
            !word.is_empty()
                && !["elfcorehdr=", "purgatory.report="].iter().any(|own| word.starts_with(own))
        };
        let mut words: Vec<_> = self.line.split(' ').filter(own).collect();
        // The loader puts it after elfcorehdr=, the peer before.
        words.sort_by_key(|word| word.starts_with("acpi_rsdp="));
        words.join(" ")
    }

    /// Leaves out words that begin so; there must be one.
    pub fn drop_words(&mut self, prefix: &str) -> Result<(), Error> {
        let all: Vec<_> = self.line.split(' ').collect();
        let kept: Vec<_> = all.iter().copied().filter(|word| !word.starts_with(prefix)).collect();
        check!(kept.len() < all.len(), "the peer's line: expected {prefix}, found {}", self.line)?;
        self.line = kept.join(" ");
        Ok(())
    }

    /// The memory map without what begins in `region`.
    pub fn outside(&self, region: &Range<u64>) -> Vec<(Range<u64>, u32)> {
        self.e820.iter().filter(|(range, _)| !region.contains(&range.start)).cloned().collect()
    }

    /// What of `region` the memory map calls RAM.
    pub fn inside(&self, region: &Range<u64>) -> Vec<Range<u64>> {
        let ram = self
            .e820
            .iter()
            .filter(|(range, kind)| region.contains(&range.start) && *kind == E820_RAM);
        ram.map(|(range, _)| range.clone()).collect()
    }

    /// Reads what is in memory: boot parameters and kernel at these addresses, and where the boot
    /// parameters lead.
    pub fn read(first: &First<'_, '_>, params: u64, kernel: u64) -> Result<Self, Error> {
        let ram = &first.vm.ram;
        let params = ram.read(params, PAGE)?;
        let word =
            |at: usize| u32::from_le_bytes(params[at..at + 4].try_into().expect("four bytes"));
        let split = |low, high| u64::from(word(low)) | u64::from(word(high)) << 32;
        let line = ram.read(split(CMD_LINE_PTR, EXT_CMD_LINE_PTR), LONGEST_LINE)?;
        let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let initrd =
            ram.read(split(RAMDISK_IMAGE, EXT_RAMDISK_IMAGE), word(RAMDISK_SIZE) as usize)?;
        let table = params[E820_TABLE..].chunks_exact(E820_ENTRY).take(params[E820_ENTRIES].into());
        let long = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let e820 = table.map(|entry| {
            let (start, len) = (long(&entry[..8]), long(&entry[8..16]));
            (start..start + len, u32::from_le_bytes(entry[16..].try_into().expect("four bytes")))
        });
        let e820 = e820.collect();
        let unintelligible = || Error::unreadable("elfcorehdr= in a command line", &line);
        let word = line
            .split(' ')
            .find_map(|word| word.strip_prefix("elfcorehdr="))
            .ok_or_else(unintelligible)?;
        let elfcorehdr = match (word.strip_prefix("0x"), word.strip_suffix('K')) {
            (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
            (None, Some(digits)) => digits.parse::<u64>().ok().map(|kib| kib << 10),
            (None, None) => None,
        };
        let elfcorehdr = elfcorehdr.ok_or_else(unintelligible)?;
        let dumped = ElfCore::parse(&ram.read(elfcorehdr, HEADER_LEN)?)?.memory();
        let kernel = ram.read(kernel, COMPARED)?;
        Ok(Self { params, line, e820, initrd, elfcorehdr, dumped, kernel })
    }
}
