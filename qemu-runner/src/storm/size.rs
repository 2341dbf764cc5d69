//! How much memory comes, and in how many DIMMs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A memory block of x86-64 machines with less than 64 GiB at boot, in MiB
/// (`probe_memory_block_size`, arch/x86/mm/init_64.c).
pub const BLOCK_MIB: u64 = 128;
/// Most slots for DIMMs that QEMU gives a machine (`ACPI_MAX_RAM_SLOTS`, include/hw/acpi/acpi.h).
const MAX_DIMMS: u32 = 256;
/// Memory at boot, in MiB, without the page descriptors of added memory.
const BOOT_MEMORY_MIB: u64 = 1024;
/// MiB of a block's page descriptors: 64 bytes (`struct page`) for each 4 KiB. Some fit in memory
/// added before; this does not count on it.
const DESCRIPTORS_MIB: u64 = BLOCK_MIB * 64 / 4096;

/// A number of blocks, one or more in each DIMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Memory blocks of `BLOCK_MIB` each.
    pub blocks: u32,
    /// Blocks in each DIMM: one, unless QEMU has too few slots.
    pub blocks_per_dimm: u32,
}

/// A size that no machine can have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0} blocks do not fit into {MAX_DIMMS} slots evenly: name a positive multiple of {1}")]
pub struct Uneven(u32, u32);

impl Size {
    /// This number of blocks, in as many DIMMs as possible.
    pub fn of(blocks: u32) -> Result<Self, Uneven> {
        let blocks_per_dimm = blocks.div_ceil(MAX_DIMMS);
        if blocks == 0 || !blocks.is_multiple_of(blocks_per_dimm) {
            return Err(Uneven(blocks, blocks_per_dimm.max(1)));
        }
        Ok(Self { blocks, blocks_per_dimm })
    }

    /// Number of DIMMs.
    pub fn dimms(self) -> u32 {
        self.blocks / self.blocks_per_dimm
    }

    /// Bytes of each DIMM.
    pub fn dimm_bytes(self) -> u64 {
        (u64::from(self.blocks_per_dimm) * BLOCK_MIB) << 20
    }

    /// Bytes of all blocks.
    pub fn bytes(self) -> u64 {
        (u64::from(self.blocks) * BLOCK_MIB) << 20
    }

    /// MiB at boot that hold the descriptors of all blocks.
    pub fn boot_memory_mib(self) -> u64 {
        BOOT_MEMORY_MIB + u64::from(self.blocks) * DESCRIPTORS_MIB
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} blocks of {BLOCK_MIB} MiB in {} DIMMs", self.blocks, self.dimms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uneven_sizes_are_rejected() {
        assert_eq!(Size::of(0), Err(Uneven(0, 1)));
        assert!(Size::of(257).unwrap_err().to_string().contains("positive multiple of 2"));
        assert!(Size::of(258).is_ok());
    }
}
