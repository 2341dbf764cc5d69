//! `[6b]` The boot parameters: the page with the places of everything that a boot loader passes to
//! a kernel, and the setup_data after it.
//!
//! *On entry* every other segment has its place. *On exit* one segment:
//!
//! ```text
//! ┌────────────────────┬──────────┬──────────┬────────────────────┬─────┐
//! │ struct boot_params │ RNG_SEED │ E820_EXT │ EFI runtime map    │ EFI │
//! │ 4096 bytes         │ 32 bytes │          │ 40 bytes a range   │     │
//! └────────────────────┴──────────┴──────────┴────────────────────┴─────┘
//! ```
//!
//! The list of setup_data is EFI → E820_EXT → RNG_SEED. Each is there only if it has content.
//!
//! All other fields stay zero, as boot.rst requires. If the page were a copy of the file, its
//! `sentinel` would be 0xff, and the kernel would clear half of it (`sanitize_boot_params`,
//! arch/x86/include/asm/bootparam_utils.h).

mod e820; // the memory map
mod efi; // EFI runtime services
mod segment; // the page, and the setup_data after it

use handoff::black_box::{MAX_LOG_COPIES, MAX_RECORDS};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::REPORT_IT;
use crate::kernel::CaptureKernel;
use crate::kernel::bzimage::{SETUP_HEADER_AT, XLF_5LEVEL};
use crate::kernel::uapi::{
    BootE820Entry, BootParams, E820_MAX_ENTRIES_ZEROPAGE, EfiMemoryDesc, EfiSetupData,
};
use crate::machine::Machine;
use crate::phys::{PhysRange, align_up};
use crate::request::Request;
use segment::Segment;

/// Kexec's number among boot loaders, version 0 (boot.rst, "type_of_loader"). With 0 the kernel
/// ignores the initrd.
const TYPE_OF_LOADER_KEXEC: u8 = 0xd0;
/// Fewest entries of a memory map that Linux up to 6.12 accepts (`append_e820_table`,
/// arch/x86/kernel/e820.c).
const LEAST_E820_ENTRIES: usize = 2;

/// Everything that decides the segment's content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The request.
    pub request: &'a Request,
    /// The capture kernel.
    pub kernel: &'a CaptureKernel<'a>,
    /// Physical address of the segment.
    pub at: u64,
    /// The command line's segment.
    pub command_line: PhysRange,
    /// The initrd's bytes, not its whole pages.
    pub initrd: Option<PhysRange>,
    /// The elfcorehdr's segment.
    pub elfcorehdr: PhysRange,
    /// The region that must contain everything.
    pub crash_region: PhysRange,
    /// The memory of the black box, which the capture kernel must not use.
    pub black_box: &'a [PhysRange],
}

/// The segment's length, in whole pages, before anything has its place. [`build`] returns at most
/// as many bytes.
pub(crate) fn segment_len(machine: &Machine, request: &Request) -> u64 {
    // The elfcorehdr's hole splits at most one range in two. Each range of the black box does, and
    // has an entry itself.
    let black_box = request.black_box.map_or(0, |_| MAX_RECORDS + MAX_LOG_COPIES);
    let entries = e820::entries(machine, None, &[]).len() + 1 + 2 * black_box;
    let mut len = size_of::<BootParams>();
    if let Some(efi) = machine.efi.as_ref().filter(|_| !request.noefi) {
        len = segment::padded(len + efi.runtime_map.len() * size_of::<EfiMemoryDesc>());
        len += segment::node_len(size_of::<EfiSetupData>());
    }
    len += segment::node_len(
        entries.saturating_sub(E820_MAX_ENTRIES_ZEROPAGE) * size_of::<BootE820Entry>(),
    );
    len += request.rng_seed.map_or(0, |seed| segment::node_len(seed.len()));
    align_up(len as u64, handoff::PAGE_SIZE).expect("far from 2^64")
}

/// Whether the capture kernel gets EFI runtime services.
pub(crate) fn passes_efi(machine: &Machine, request: &Request, kernel: &CaptureKernel<'_>) -> bool {
    efi::to_pass(machine, request, kernel).is_some()
}

/// Physical address of the ACPI RSDP, if the running kernel knows it.
pub(crate) fn acpi_rsdp(machine: &Machine) -> Option<u64> {
    let passed = running(machine).ok().map(|running| running.acpi_rsdp_addr.get());
    [passed, machine.efi.as_ref().map(|efi| efi.acpi_rsdp)]
        .into_iter()
        .flatten()
        .find(|&address| address != 0)
}

/// The segment's bytes. The memory after them, up to [`segment_len`], is zero.
pub(crate) fn build(inputs: &Inputs<'_>) -> Result<Vec<u8>, Error> {
    let &Inputs {
        machine,
        request,
        kernel,
        at,
        command_line,
        initrd,
        elfcorehdr,
        crash_region,
        black_box,
    } = inputs;
    if machine.cpu.la57 && kernel.xloadflags & XLF_5LEVEL == 0 {
        return Err(Error::FiveLevels { xloadflags: kernel.xloadflags });
    }
    let own = PhysRange::with_len(at, segment_len(machine, request)).ok_or(Error::Wraps { at })?;
    let parts = [
        Some(("boot parameters", own)),
        Some(("command line", command_line)),
        initrd.map(|range| ("initrd", range)),
    ];
    for (name, range) in parts.into_iter().flatten().chain([("elfcorehdr", elfcorehdr)]) {
        if !crash_region.contains(range) {
            return Err(Error::Outside { name, range, crash_region });
        }
    }

    let running = running(machine)?;
    let mut params = BootParams::new_zeroed();
    let header =
        params.as_mut_bytes().get_mut(SETUP_HEADER_AT..SETUP_HEADER_AT + kernel.setup_header.len());
    header
        .ok_or(Error::SetupHeader { len: kernel.setup_header.len() })?
        .copy_from_slice(&kernel.setup_header);

    params.hdr.type_of_loader = TYPE_OF_LOADER_KEXEC;
    // None of its bits matter to a kernel that is entered in 64-bit mode.
    params.hdr.loadflags = 0;
    (params.hdr.cmd_line_ptr, params.ext_cmd_line_ptr) = split(command_line.start());
    let initrd_span = initrd.map_or((0, 0), |range| (range.start(), range.len()));
    (params.hdr.ramdisk_image, params.ext_ramdisk_image) = split(initrd_span.0);
    (params.hdr.ramdisk_size, params.ext_ramdisk_size) = split(initrd_span.1);

    // Facts that only the firmware or the first boot loader knew.
    params.screen_info = running.screen_info;
    params.screen_info.ext_mem_k = 0.into();
    params.acpi_rsdp_addr = U64::new(acpi_rsdp(machine).unwrap_or(0));
    params.secure_boot = running.secure_boot;
    params.hdr.hardware_subarch = running.hdr.hardware_subarch;
    params.eddbuf_entries = running.eddbuf_entries;
    params.eddbuf = running.eddbuf;
    params.edd_mbr_sig_buf_entries = running.edd_mbr_sig_buf_entries;
    params.edd_mbr_sig_buffer = running.edd_mbr_sig_buffer;

    let mut segment = Segment::new(at, size_of::<BootParams>());
    let mut head = 0;
    if let Some(seed) = request.rng_seed {
        head = segment.node(segment::Kind::RngSeed, &seed, head);
    }
    let (table, overflow) = memory_map(machine, elfcorehdr, black_box)?;
    params.e820_table[..table.len()].copy_from_slice(&table);
    params.e820_entries = table.len() as u8;
    if !overflow.is_empty() {
        head = segment.node(segment::Kind::E820Ext, overflow.as_bytes(), head);
    }
    if let Some(passed) = efi::to_pass(machine, request, kernel) {
        let map: Vec<EfiMemoryDesc> = passed.runtime_map.iter().map(efi::descriptor).collect();
        params.efi_info =
            efi::info(&running.efi_info, segment.append(map.as_bytes()), map.as_bytes().len());
        head = segment.node(segment::Kind::Efi, efi::tables(passed).as_bytes(), head);
    }
    params.hdr.setup_data = U64::new(head);
    Ok(segment.finish(params.as_bytes()))
}

fn running(machine: &Machine) -> Result<&BootParams, Error> {
    BootParams::ref_from_bytes(&machine.boot_params)
        .map_err(|_| Error::Running { len: machine.boot_params.len() })
}

/// The low and high half of an address, for fields that have a second one for addresses above 4
/// GiB.
fn split(value: u64) -> (U32, U32) {
    (U32::new(value as u32), U32::new((value >> 32) as u32))
}

/// The memory map: the entries that fit the page, and the rest.
fn memory_map(
    machine: &Machine,
    elfcorehdr: PhysRange,
    black_box: &[PhysRange],
) -> Result<(Vec<BootE820Entry>, Vec<BootE820Entry>), Error> {
    let entry = |entry: e820::Entry| BootE820Entry {
        addr: U64::new(entry.range.start()),
        size: U64::new(entry.range.len()),
        kind: U32::new(entry.kind as u32),
    };
    let mut table: Vec<_> =
        e820::entries(machine, Some(elfcorehdr), black_box).into_iter().map(entry).collect();
    if table.len() < LEAST_E820_ENTRIES {
        return Err(Error::MemoryMap { entries: table.len(), least: LEAST_E820_ENTRIES });
    }
    let overflow = table.split_off(table.len().min(E820_MAX_ENTRIES_ZEROPAGE));
    Ok((table, overflow))
}

/// Why there are no boot parameters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The capture kernel does not support the page tables with which it would be entered.
    #[error(
        "the running kernel uses five levels of page tables, but this capture kernel cannot be \
         entered with them (xloadflags {xloadflags:#06x} lack XLF_5LEVEL): use one built with \
         CONFIG_X86_5LEVEL, or boot the running kernel with no5lvl"
    )]
    FiveLevels {
        /// `xloadflags`.
        xloadflags: u16,
    },
    /// A segment is outside the crash region.
    #[error("the {name} at {range} is outside the crash region {crash_region}: {REPORT_IT}")]
    Outside {
        /// The segment's name.
        name: &'static str,
        /// Its range.
        range: PhysRange,
        /// The region that must contain it.
        crash_region: PhysRange,
    },
    /// The segment was placed at the end of the address space.
    #[error(
        "the boot parameters at {at:#x} do not fit below the end of the address space: {REPORT_IT}"
    )]
    Wraps {
        /// Its physical address.
        at: u64,
    },
    /// The setup header does not fit `struct boot_params`.
    #[error(
        "the capture kernel's setup header of {len} bytes does not fit struct boot_params: copy \
         the kernel again"
    )]
    SetupHeader {
        /// Its length in bytes.
        len: usize,
    },
    /// The running kernel's `struct boot_params` has the wrong size.
    #[error(
        "the running kernel's struct boot_params has {len} bytes instead of 4096: if this is a \
         snapshot, take it again"
    )]
    Running {
        /// Its length in bytes.
        len: usize,
    },
    /// The memory map has fewer entries than kernels accept.
    #[error(
        "the capture kernel's memory map would have {entries} range(s), but kernels ignore a map \
         with fewer than {least}: /proc/iomem shows no RAM below 1 MiB; if this is a snapshot, \
         take it again"
    )]
    MemoryMap {
        /// How many entries it has.
        entries: usize,
        /// The fewest that kernels accept.
        least: usize,
    },
}

#[cfg(test)]
mod tests;
