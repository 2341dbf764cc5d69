//! [5] Where everything goes: sizes first, addresses second.
//!
//! *On entry* every size is known. *On exit* every segment has a range inside the crash region: page-aligned, overlapping no
//! other, in the order elfcorehdr, hole, kernel, initrd, boot parameters, command line, purgatory.
//!
//! The hole is not ours: the kernel takes the control pages of the image (page tables, the relocation code, the copy of the
//! VMCOREINFO) first-fit from what the segments leave free (`kimage_alloc_crash_control_pages`, kernel/kexec_core.c).

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

/// What a capture kernel and its user space need to run in, beside the image: the difference between the size that is needed and
/// the size that is suggested.
const ROOM_TO_RUN: u64 = 128 * MIB;
/// Suggestions are multiples of this: `CRASH_ALIGN`, arch/x86/include/asm/crash_reserve.h.
const SUGGESTION_STEP: u64 = 16 * MIB;

/// Why there is no place for the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The image needs more than the crash region has.
    #[error(
        "the crash region {region} is too small: the image needs {needed} bytes ({} MiB) and the region has {have} bytes ({} MiB); \
         boot this kernel with crashkernel={suggested_mib}M or more, which leaves the capture kernel memory to run in",
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
    #[error("{what} of {size:#x} bytes does not fit the address space: the file or the machine's description is damaged")]
    Overflow {
        /// Which segment.
        what: &'static str,
        /// Its size.
        size: u64,
    },
    /// The kernel's header asks for an impossible alignment.
    #[error("the capture kernel asks for alignment {alignment:#x}, which is not a power of two: its file is damaged")]
    Alignment {
        /// What it asks for.
        alignment: u64,
    },
    /// The crash region does not begin at a page.
    #[error("the crash region {region} does not begin at a page of {PAGE_SIZE} bytes: the machine's description is damaged")]
    RegionUnaligned {
        /// The region.
        region: PhysRange,
    },
}

/// The sizes that decide everything, in bytes; none need be whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
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
    /// Of the purgatory with the leaf table and the copy of the elfcorehdr.
    pub purgatory: u64,
}

/// What the capture kernel asks of its place (boot.rst: `init_size`, `kernel_alignment`, `pref_address`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelNeeds {
    /// Bytes it runs in before it knows its memory map.
    pub len: u64,
    /// Alignment of its first byte. At any other address it moves itself upwards, out of its segment.
    pub alignment: u64,
    /// Lowest address; below it, it moves itself upwards, too.
    pub pref_address: u64,
}

/// The place of every segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
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
pub fn hole_for(machine: &Machine) -> u64 {
    if machine.cpu.gbpages {
        return HOLE;
    }
    // The tables map up to the highest address, so the last one counts and not the sum.
    let top = machine.system_ram.iter().map(|range| range.end()).max().unwrap_or(0);
    HOLE + top.div_ceil(GIB) * HOLE_PER_GIB
}

/// Gives every segment its place in `region`.
pub fn place(needs: &Needs, region: PhysRange) -> Result<Placed, Error> {
    let KernelNeeds { alignment, pref_address, .. } = needs.kernel;
    if !alignment.is_power_of_two() {
        return Err(Error::Alignment { alignment });
    }
    if !region.start().is_multiple_of(PAGE_SIZE) {
        return Err(Error::RegionUnaligned { region });
    }
    let mut upwards = Upwards { at: region.start() };
    let elfcorehdr = upwards.take("the elfcorehdr", needs.elfcorehdr)?;
    let hole = upwards.take("the hole for control pages", needs.hole)?;
    upwards.skip_to(pref_address.max(LOWEST_KERNEL), alignment.max(PAGE_SIZE))?;
    let kernel = upwards.take("the capture kernel", needs.kernel.len)?;
    let initrd = needs.initrd.map(|len| upwards.take("the initrd", len)).transpose()?;
    let boot_params = upwards.take("boot_params", needs.boot_params)?;
    let command_line = upwards.take("the command line", needs.command_line)?;
    let purgatory = upwards.take("the purgatory", needs.purgatory)?;
    if upwards.at > region.end() {
        let needed = upwards.at - region.start();
        let suggested = needed.saturating_add(ROOM_TO_RUN).div_ceil(SUGGESTION_STEP) * (SUGGESTION_STEP / MIB);
        return Err(Error::RegionTooSmall { region, needed, have: region.len(), suggested_mib: suggested });
    }
    Ok(Placed { crash_region: region, elfcorehdr, hole, kernel, initrd, boot_params, command_line, purgatory })
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

    fn skip_to(&mut self, lowest: u64, alignment: u64) -> Result<(), Error> {
        let overflow = Error::Overflow { what: "the capture kernel's preferred address", size: lowest };
        self.at = align_up(self.at.max(lowest), alignment).ok_or(overflow)?;
        Ok(())
    }
}

impl Placed {
    /// From the region's start to the end of the last segment: what the image takes of the region, holes included.
    pub fn span(&self) -> u64 {
        self.purgatory.end() - self.crash_region.start()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn needs() -> impl Strategy<Value = Needs> {
        let kernel = (1u64..100 << 20, 12u32..25, 0u64..64 << 20).prop_map(|(len, bits, pref_address)| KernelNeeds {
            len,
            alignment: 1 << bits,
            pref_address,
        });
        let sizes = (64u64..2 << 20, HOLE..64 << 20, 4096u64..65536, 1u64..65536, 4096u64..256 << 10);
        (kernel, prop::option::of(1u64..200 << 20), sizes).prop_map(
            |(kernel, initrd, (elfcorehdr, hole, boot_params, command_line, purgatory))| Needs {
                elfcorehdr,
                hole,
                kernel,
                initrd,
                boot_params,
                command_line,
                purgatory,
            },
        )
    }

    /// Regions as the kernel reserves them: 16 MiB aligned, below and above 4 GiB.
    fn region() -> impl Strategy<Value = PhysRange> {
        (1u64..4096, 1u64..64)
            .prop_map(|(start, len)| PhysRange::with_len(start * SUGGESTION_STEP, len * SUGGESTION_STEP).unwrap())
    }

    fn in_order(placed: &Placed) -> Vec<PhysRange> {
        let Placed { elfcorehdr, hole, kernel, initrd, boot_params, command_line, purgatory, .. } = *placed;
        [Some(elfcorehdr), Some(hole), Some(kernel), initrd, Some(boot_params), Some(command_line), Some(purgatory)]
            .into_iter()
            .flatten()
            .collect()
    }

    proptest! {
        #[test]
        fn segments_are_page_aligned_disjoint_and_inside_the_crash_region(needs in needs(), region in region()) {
            let Ok(placed) = place(&needs, region) else { return Ok(()) };
            let ranges = in_order(&placed);
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].end() <= pair[1].start(), "{:?} then {:?}", pair[0], pair[1]);
            }
            for range in ranges {
                prop_assert!(region.contains(range) && !range.is_empty());
                prop_assert_eq!(range.start() % PAGE_SIZE, 0);
                prop_assert_eq!(range.end() % PAGE_SIZE, 0);
            }
        }

        #[test]
        fn kernel_gets_what_its_header_asks_for(needs in needs(), region in region()) {
            let Ok(placed) = place(&needs, region) else { return Ok(()) };
            prop_assert_eq!(placed.kernel.start() % needs.kernel.alignment, 0);
            prop_assert!(placed.kernel.start() >= needs.kernel.pref_address.max(LOWEST_KERNEL));
            prop_assert!(placed.kernel.len() >= needs.kernel.len);
        }

        #[test]
        fn every_segment_is_as_large_as_its_need(needs in needs(), region in region()) {
            let Ok(placed) = place(&needs, region) else { return Ok(()) };
            prop_assert_eq!(placed.elfcorehdr.start(), region.start());
            prop_assert!(placed.elfcorehdr.len() >= needs.elfcorehdr);
            prop_assert!(placed.hole.len() >= needs.hole);
            prop_assert!(placed.kernel.start() - placed.elfcorehdr.end() >= needs.hole);
            prop_assert_eq!(placed.initrd.is_some(), needs.initrd.is_some());
            prop_assert!(placed.initrd.map_or(0, PhysRange::len) >= needs.initrd.unwrap_or(0));
            prop_assert!(placed.boot_params.len() >= needs.boot_params);
            prop_assert!(placed.command_line.len() >= needs.command_line);
            prop_assert!(placed.purgatory.len() >= needs.purgatory);
        }

        #[test]
        fn a_region_of_the_size_the_error_names_is_enough(needs in needs(), region in region()) {
            let Err(Error::RegionTooSmall { needed, have, suggested_mib, .. }) = place(&needs, region) else { return Ok(()) };
            prop_assert!(needed > have);
            prop_assert!(suggested_mib * MIB >= needed + ROOM_TO_RUN);
            let enough = PhysRange::with_len(region.start(), needed).unwrap();
            prop_assert!(place(&needs, enough).is_ok());
            let one_page_less = PhysRange::with_len(region.start(), needed - PAGE_SIZE).unwrap();
            prop_assert!(place(&needs, one_page_less).is_err());
        }
    }

    fn small() -> Needs {
        let kernel = KernelNeeds { len: 16 << 20, alignment: 2 << 20, pref_address: 16 << 20 };
        Needs {
            elfcorehdr: 917_680,
            hole: HOLE,
            kernel,
            initrd: Some(1),
            boot_params: 4096,
            command_line: 200,
            purgatory: 50_000,
        }
    }

    #[test]
    fn region_too_small_says_what_is_needed_and_what_to_do() {
        let region = PhysRange::with_len(0x3000_0000, 16 << 20).unwrap();
        let message = place(&small(), region).unwrap_err().to_string();
        assert!(message.contains("16777216 bytes (16 MiB)"), "{message}");
        assert!(message.contains("crashkernel=160M"), "{message}");
    }

    #[test]
    fn impossible_header_values_are_refused() {
        let region = PhysRange::with_len(0x3000_0000, 256 << 20).unwrap();
        let mut needs = small();
        needs.kernel.alignment = 3;
        assert_eq!(place(&needs, region), Err(Error::Alignment { alignment: 3 }));
        let mut needs = small();
        needs.kernel.pref_address = u64::MAX;
        assert!(matches!(place(&needs, region), Err(Error::Overflow { .. })));
        let mut needs = small();
        needs.initrd = Some(u64::MAX - 5);
        assert!(matches!(place(&needs, region), Err(Error::Overflow { .. })));
    }

    #[test]
    fn unaligned_region_is_refused() {
        let region = PhysRange::with_len(0x3000_0001, 256 << 20).unwrap();
        assert_eq!(place(&small(), region), Err(Error::RegionUnaligned { region }));
    }
}
