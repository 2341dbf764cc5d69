//! `[5]` Where everything goes: sizes first, addresses second.
//!
//! *On entry*
//! * every size.
//!
//! *On exit*
//! * every segment has a range of whole pages inside the crash region, and none overlap;
//! * the order is elfcorehdr, hole, kernel, initrd, boot parameters, command line, purgatory.
//!
//! The hole is for the running kernel. It takes the image's control pages (page tables, relocation
//! code, a copy of VMCOREINFO) first-fit from the memory between the segments
//! (`kimage_alloc_crash_control_pages`, kernel/kexec_core.c). The order stays the same even if
//! another would fit, so that the memory between hole and kernel adds to the hole.

pub(crate) mod black_box; // what a reset must leave
pub mod room; // memory that a capture kernel needs in addition to its image

use handoff::PAGE_SIZE;

use crate::machine::Machine;
use crate::phys::{PhysRange, align_up};

/// Lowest address for a bzImage (`MIN_KERNEL_LOAD_ADDR`, arch/x86/kernel/kexec-bzimage64.c).
const LOWEST_KERNEL: u64 = 0x10_0000;

/// Bytes for the control pages of any image: page tables for RAM with 1 GiB pages, the control
/// page, VMCOREINFO. About ten pages in practice.
const HOLE: u64 = 1 << 20;

/// Bytes in addition without 1 GiB pages: one page table per GiB of RAM
/// (`kernel_ident_mapping_init`, arch/x86/mm/ident_map.c).
const HOLE_PER_GIB: u64 = 4 << 10;
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Bytes that a suggested size leaves for the capture kernel to run in. That is generous: Debian's
/// service, with an initrd of 35 MB unpacked, saved a dump with 50 MiB ([`room`]).
pub(crate) const ROOM_TO_RUN: u64 = 128 * MIB;
/// Suggested sizes are multiples of this (`CRASH_ALIGN`, arch/x86/include/asm/crash_reserve.h).
const SUGGESTION_STEP: u64 = 16 * MIB;

/// Why there is no place for the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The image needs more than the crash region has.
    #[error(
        "the crash region {region} is too small: the image needs {needed} bytes ({} MiB), but the \
         region has {have} bytes ({} MiB); boot this kernel with crashkernel={suggested_mib}M or \
         more, which leaves the capture kernel memory to run in",
        needed.div_ceil(MIB), have / MIB
    )]
    RegionTooSmall {
        /// The region.
        region: PhysRange,
        /// Bytes from the region's start to the end of the last segment.
        needed: u64,
        /// Bytes in the region.
        have: u64,
        /// A size for `crashkernel=`, in MiB.
        suggested_mib: u64,
    },
    /// A size is so large that addresses do not fit 64 bits. The file or the snapshot is damaged.
    #[error(
        "{what} of {size:#x} bytes does not fit the address space: copy the kernel again; if this \
         is a snapshot, take it again"
    )]
    Overflow {
        /// The segment, for the message.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
    },
    /// The kernel's header has an impossible alignment.
    #[error(
        "the capture kernel's alignment is {alignment:#x}, which is not a power of two: it is \
         damaged; copy it again"
    )]
    Alignment {
        /// The alignment.
        alignment: u64,
    },
    /// The crash region does not begin at a page boundary, or begins at 0, which the purgatory
    /// rejects.
    #[error(
        "the crash region {region} must begin at a multiple of {PAGE_SIZE} above 0: if this is a \
         snapshot, take it again"
    )]
    RegionMisplaced {
        /// The region.
        region: PhysRange,
    },
}

/// The sizes that decide the layout, in bytes. They need not be whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The elfcorehdr, with room for the program headers that the kernel may add later.
    pub elfcorehdr: u64,
    /// The memory that stays free after the elfcorehdr.
    pub hole: u64,
    /// The capture kernel.
    pub kernel: KernelNeeds,
    /// The initrd, if there is one.
    pub initrd: Option<u64>,
    /// boot_params and the setup_data after it.
    pub boot_params: u64,
    /// The command line with its NUL.
    pub command_line: u64,
    /// The purgatory, with the digests that it compares.
    pub purgatory: PurgatoryNeeds,
}

/// Size and alignment of the purgatory's segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PurgatoryNeeds {
    /// Its length in memory.
    pub len: u64,
    /// Alignment of its first byte, a power of two.
    pub alignment: u64,
}

/// Size and constraints of the capture kernel's segment (boot.rst: `init_size`, `kernel_alignment`,
/// `pref_address`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelNeeds {
    /// Bytes that it uses before it reads its memory map.
    pub len: u64,
    /// Alignment of its first byte. At any other address it moves itself up, out of its segment.
    pub alignment: u64,
    /// Its lowest address. Below it, it moves itself up as well.
    pub pref_address: u64,
}

/// The range of every segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The region that holds them all.
    pub crash_region: PhysRange,
    /// The elfcorehdr, at the very start of the region.
    pub elfcorehdr: PhysRange,
    /// The memory that stays free for control pages. There may be more, because of the kernel's
    /// alignment.
    pub hole: PhysRange,
    /// The capture kernel, with all of `init_size`.
    pub kernel: PhysRange,
    /// The initrd, if there is one.
    pub initrd: Option<PhysRange>,
    /// boot_params and setup_data.
    pub boot_params: PhysRange,
    /// The command line.
    pub command_line: PhysRange,
    /// The purgatory.
    pub purgatory: PhysRange,
}

impl Placed {
    /// Every segment, ascending.
    pub fn segments(&self) -> Vec<PhysRange> {
        let Self { elfcorehdr, kernel, initrd, boot_params, command_line, purgatory, .. } = *self;
        let after = [boot_params, command_line, purgatory];
        [elfcorehdr, kernel].into_iter().chain(initrd).chain(after).collect()
    }
}

/// Bytes that must stay free for the kernel's control pages on this machine.
pub(crate) fn hole_for(machine: &Machine) -> u64 {
    hole(machine.cpu.gbpages, &machine.system_ram)
}

/// The same, from the two facts that decide it: whether the CPUs have 1 GiB pages, and where RAM
/// is.
pub(crate) fn hole(gbpages: bool, system_ram: &[PhysRange]) -> u64 {
    if gbpages {
        return HOLE;
    }
    // The tables map everything up to the highest address, so the sum of the ranges would be too
    // little.
    let top = system_ram.iter().map(|range| range.end()).max().unwrap_or(0);
    HOLE + top.div_ceil(GIB) * HOLE_PER_GIB
}

/// Gives every segment its range in `region`.
pub(crate) fn place(needs: &Needs, region: PhysRange) -> Result<Placed, Error> {
    let KernelNeeds { alignment, pref_address, .. } = needs.kernel;
    if !alignment.is_power_of_two() {
        return Err(Error::Alignment { alignment });
    }
    if region.start() == 0 || !region.start().is_multiple_of(PAGE_SIZE) {
        return Err(Error::RegionMisplaced { region });
    }
    let mut upwards = Upwards { at: region.start() };
    let elfcorehdr = upwards.take("the elfcorehdr", needs.elfcorehdr)?;
    let hole = upwards.take("the hole for control pages", needs.hole)?;
    upwards.skip_to(
        "the capture kernel's preferred address",
        pref_address.max(LOWEST_KERNEL),
        alignment.max(PAGE_SIZE),
    )?;
    let kernel = upwards.take("the capture kernel", needs.kernel.len)?;
    let initrd = needs.initrd.map(|len| upwards.take("the initrd", len)).transpose()?;
    let boot_params = upwards.take("boot_params", needs.boot_params)?;
    let command_line = upwards.take("the command line", needs.command_line)?;
    upwards.skip_to("the purgatory's alignment", 0, needs.purgatory.alignment.max(PAGE_SIZE))?;
    let purgatory = upwards.take("the purgatory", needs.purgatory.len)?;
    if upwards.at > region.end() {
        let needed = upwards.at - region.start();
        return Err(Error::RegionTooSmall {
            region,
            needed,
            have: region.len(),
            suggested_mib: suggested_mib(needed),
        });
    }
    Ok(Placed {
        crash_region: region,
        elfcorehdr,
        hole,
        kernel,
        initrd,
        boot_params,
        command_line,
        purgatory,
    })
}

/// A size for `crashkernel=`, in MiB, for an image of `needed` bytes.
pub fn suggested_mib(needed: u64) -> u64 {
    needed.saturating_add(ROOM_TO_RUN).div_ceil(SUGGESTION_STEP) * (SUGGESTION_STEP / MIB)
}

/// Hands out addresses from low to high, in whole pages.
struct Upwards {
    at: u64,
}

impl Upwards {
    fn take(&mut self, what: &'static str, size: u64) -> Result<PhysRange, Error> {
        let overflow = Error::Overflow { what, size };
        let len = align_up(size, PAGE_SIZE).ok_or_else(|| overflow.clone())?;
        let range = PhysRange::with_len(self.at, len).ok_or(overflow)?;
        self.at = range.end();
        Ok(range)
    }

    fn skip_to(&mut self, what: &'static str, lowest: u64, alignment: u64) -> Result<(), Error> {
        let overflow = Error::Overflow { what, size: lowest.max(alignment) };
        self.at = align_up(self.at.max(lowest), alignment).ok_or(overflow)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
