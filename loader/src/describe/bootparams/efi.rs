//! What the capture kernel gets of EFI: the runtime services, as the running kernel mapped them.

use zerocopy::little_endian::{U32, U64};

use super::{running, split};
use crate::kernel::CaptureKernel;
use crate::kernel::bzimage::XLF_EFI_KEXEC;
use crate::kernel::uapi::{EfiInfo, EfiMemoryDesc, EfiSetupData};
use crate::machine::{Efi, EfiMemoryDescriptor, Machine};
use crate::request::Request;

/// "A 64-bit kernel was entered by a 64-bit boot loader" (boot.rst, "EFI_LOADER_SIGNATURE" in
/// arch/x86/include/asm/efi.h).
const EFI64_LOADER_SIGNATURE: [u8; 4] = *b"EL64";

/// What is passed. All of these must hold:
/// * the firmware left runtime services, and the request does not withhold them;
/// * the running kernel was booted through the 64-bit EFI protocol;
/// * the capture kernel can use services that another kernel has already mapped (XLF_EFI_KEXEC).
pub(super) fn to_pass<'a>(
    machine: &'a Machine,
    request: &Request,
    kernel: &CaptureKernel<'_>,
) -> Option<&'a Efi> {
    let efi = machine.efi.as_ref().filter(|efi| !request.noefi && !efi.runtime_map.is_empty())?;
    let booted_by_efi = running(machine)
        .is_ok_and(|running| running.efi_info.efi_loader_signature == EFI64_LOADER_SIGNATURE);
    (booted_by_efi && kernel.xloadflags & XLF_EFI_KEXEC != 0).then_some(efi)
}

/// The running kernel's EFI information, with the runtime map in place of the full memory map. With
/// the full map, the capture kernel's KASLR would treat the crashed kernel's memory as free and
/// decompress itself over the dump (`process_efi_entries`, arch/x86/boot/compressed/kaslr.c).
pub(super) fn info(running: &EfiInfo, map_at: u64, map_len: usize) -> EfiInfo {
    let (efi_memmap, efi_memmap_hi) = split(map_at);
    let efi_memmap_size = U32::new(map_len as u32);
    let efi_memdesc_size = U32::new(size_of::<EfiMemoryDesc>() as u32);
    EfiInfo { efi_memmap, efi_memmap_hi, efi_memmap_size, efi_memdesc_size, ..*running }
}

pub(super) fn descriptor(descriptor: &EfiMemoryDescriptor) -> EfiMemoryDesc {
    EfiMemoryDesc {
        kind: U32::new(descriptor.kind),
        pad: U32::ZERO,
        phys_addr: U64::new(descriptor.phys_addr),
        virt_addr: U64::new(descriptor.virt_addr),
        num_pages: U64::new(descriptor.num_pages),
        attribute: U64::new(descriptor.attribute),
    }
}

/// Addresses that SetVirtualAddressMap turned into virtual ones in the system table, so that the
/// physical ones must be passed here.
pub(super) fn tables(efi: &Efi) -> EfiSetupData {
    EfiSetupData {
        fw_vendor: U64::new(efi.fw_vendor),
        unused: U64::ZERO,
        tables: U64::new(efi.config_table),
        smbios: U64::new(efi.smbios),
        reserved: [U64::ZERO; 8],
    }
}
