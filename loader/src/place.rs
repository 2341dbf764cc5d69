//! [5] Where everything goes: sizes first, addresses second.
//!
//! *On entry* every size is known. *On exit* every segment has a range inside the crash region: page-aligned, overlapping no
//! other, in the order elfcorehdr, hole, kernel, initrd, boot parameters, command line, purgatory. The order is kept even where another
//! would fit: what lies between the hole and the lowest place of the kernel stays free, which is more for the control pages.
//!
//! The hole is not ours: the kernel takes the control pages of the image (page tables, the relocation code, the copy of the
//! VMCOREINFO) first-fit from what the segments leave free (`kimage_alloc_crash_control_pages`, kernel/kexec_core.c).

pub mod room; // what a capture kernel needs besides its image

use handoff::PAGE_SIZE;

use crate::machine::Machine;
use crate::phys::{PhysRange, align_up};

/// Lowest address for a bzImage: `MIN_KERNEL_LOAD_ADDR`, arch/x86/kernel/kexec-bzimage64.c.
const LOWEST_KERNEL: u64 = 0x10_0000;

/// Control pages that every image may need: page tables of RAM with 1 GiB pages, the control page, VMCOREINFO. About ten in
/// practice; a mebibyte is cheap.
const HOLE: u64 = 1 << 20;

/// Without 1 GiB pages, one page table per GiB of RAM (`kernel_ident_mapping_init`, arch/x86/mm/ident_map.c).
const HOLE_PER_GIB: u64 = 4 << 10;
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// What a suggested size leaves beside the image. It is generous: Debian's service, with an initrd of 35 MB unpacked, saved a dump with 50 MiB
/// ([`crate::place::room`]).
pub(crate) const ROOM_TO_RUN: u64 = 128 * MIB;
/// Suggestions are multiples of this: `CRASH_ALIGN`, arch/x86/include/asm/crash_reserve.h.
const SUGGESTION_STEP: u64 = 16 * MIB;

/// Why there is no place for the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The image needs more than the crash region has.
    #[error(
        "the crash region {region} is too small: the image needs {needed} bytes ({} MiB), but the region has {have} bytes \
         ({} MiB); boot this kernel with crashkernel={suggested_mib}M or more, which leaves the capture kernel memory to \
         run in",
        needed.div_ceil(MIB), have / MIB
    )]
    RegionTooSmall {
        /// The region.
        region: PhysRange,
        /// Bytes from the region's start to the end of the last segment.
        needed: u64,
        /// Bytes in the region.
        have: u64,
        /// A size to reserve, in MiB.
        suggested_mib: u64,
    },
    /// A size is so large that addresses do not fit 64 bits: a damaged file or machine description.
    #[error(
        "{what} of {size:#x} bytes does not fit the address space: copy the kernel again; if this is a snapshot, take it \
         again"
    )]
    Overflow {
        /// Which segment.
        what: &'static str,
        /// Its size.
        size: u64,
    },
    /// The kernel's header asks for an impossible alignment.
    #[error("the capture kernel's alignment is {alignment:#x}, which is not a power of two: it is damaged; copy it again")]
    Alignment {
        /// What it asks for.
        alignment: u64,
    },
    /// The crash region does not begin at a page, or at 0, where the purgatory believes none.
    #[error("the crash region {region} must begin at a multiple of {PAGE_SIZE} above 0: if this is a snapshot, take it again")]
    RegionMisplaced {
        /// The region.
        region: PhysRange,
    },
}

/// The sizes that decide everything, in bytes; none need be whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Of the elfcorehdr, with room for what the kernel may write into it later.
    pub elfcorehdr: u64,
    /// To stay free after the elfcorehdr.
    pub hole: u64,
    /// Of the capture kernel.
    pub kernel: KernelNeeds,
    /// Of the initial RAM disk, if there is one.
    pub initrd: Option<u64>,
    /// Of boot_params and the setup_data behind it.
    pub boot_params: u64,
    /// Of the command line with its NUL.
    pub command_line: u64,
    /// Of the purgatory, with whatever it compares the others with.
    pub purgatory: PurgatoryNeeds,
}

/// What the purgatory asks of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PurgatoryNeeds {
    /// Bytes in memory.
    pub len: u64,
    /// Alignment of its first byte, a power of two.
    pub alignment: u64,
}

/// What the capture kernel asks of its place (boot.rst: `init_size`, `kernel_alignment`, `pref_address`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelNeeds {
    /// Bytes it runs in before it knows its memory map.
    pub len: u64,
    /// Alignment of its first byte. At any other address it moves itself upwards, out of its segment.
    pub alignment: u64,
    /// Lowest address; below it, it moves itself upwards, too.
    pub pref_address: u64,
}

/// The place of every segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The region that holds them all.
    pub crash_region: PhysRange,
    /// The elfcorehdr, at the very start of the region.
    pub elfcorehdr: PhysRange,
    /// What stays free for the kernel; a lower bound, since the kernel's alignment leaves more.
    pub hole: PhysRange,
    /// The capture kernel, whole `init_size`.
    pub kernel: PhysRange,
    /// The initial RAM disk.
    pub initrd: Option<PhysRange>,
    /// boot_params and setup_data.
    pub boot_params: PhysRange,
    /// The command line.
    pub command_line: PhysRange,
    /// The purgatory.
    pub purgatory: PhysRange,
}

/// How much must stay free for the kernel's control pages on this machine.
pub(crate) fn hole_for(machine: &Machine) -> u64 {
    hole(machine.cpu.gbpages, &machine.system_ram)
}

/// The same, from the two facts that decide it: whether there are 1 GiB pages, and where RAM is.
pub(crate) fn hole(gbpages: bool, system_ram: &[PhysRange]) -> u64 {
    if gbpages {
        return HOLE;
    }
    // The tables map up to the highest address, so the last one counts and not the sum.
    let top = system_ram.iter().map(|range| range.end()).max().unwrap_or(0);
    HOLE + top.div_ceil(GIB) * HOLE_PER_GIB
}

/// Gives every segment its place in `region`.
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
    upwards.skip_to("the capture kernel's preferred address", pref_address.max(LOWEST_KERNEL), alignment.max(PAGE_SIZE))?;
    let kernel = upwards.take("the capture kernel", needs.kernel.len)?;
    let initrd = needs.initrd.map(|len| upwards.take("the initrd", len)).transpose()?;
    let boot_params = upwards.take("boot_params", needs.boot_params)?;
    let command_line = upwards.take("the command line", needs.command_line)?;
    upwards.skip_to("the purgatory's alignment", 0, needs.purgatory.alignment.max(PAGE_SIZE))?;
    let purgatory = upwards.take("the purgatory", needs.purgatory.len)?;
    if upwards.at > region.end() {
        let needed = upwards.at - region.start();
        return Err(Error::RegionTooSmall { region, needed, have: region.len(), suggested_mib: suggested_mib(needed) });
    }
    Ok(Placed { crash_region: region, elfcorehdr, hole, kernel, initrd, boot_params, command_line, purgatory })
}

/// A size to reserve for an image of `needed` bytes, in MiB.
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
