//! `struct boot_params` and the structures that it refers to, with the kernel's names
//! (arch/x86/include/uapi/asm/bootparam.h, setup_data.h, include/uapi/linux/screen_info.h). Every
//! offset in those headers is asserted.

use std::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

macro_rules! uapi {
    ($($(#[$meta:meta])* struct $name:ident, $size:literal {
        $($at:literal $field:ident: $type:ty,)+
    })+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
            #[repr(C)]
            pub(crate) struct $name { $(pub $field: $type),+ }

            const _: () = {
                $(assert!(offset_of!($name, $field) == $at);)+
                assert!(size_of::<$name>() == $size);
            };
        )+
    };
}

/// `E820_MAX_ENTRIES_ZEROPAGE`.
pub(crate) const E820_MAX_ENTRIES_ZEROPAGE: usize = 128;
/// `EDD_MBR_SIG_MAX`.
const EDD_MBR_SIG_MAX: usize = 16;
/// `EDDMAXNR` times `sizeof(struct edd_info)`.
const EDDBUF_LEN: usize = 6 * 82;

uapi! {
    /// `struct boot_params`, "the zero page".
    struct BootParams, 0x1000 {
        0x000 screen_info: ScreenInfo,
        0x040 apm_bios_info: [u8; 0x14],
        0x054 pad2: [u8; 4],
        0x058 tboot_addr: U64,
        0x060 ist_info: [u8; 0x10],
        0x070 acpi_rsdp_addr: U64,
        0x078 pad3: [u8; 8],
        0x080 hd0_info: [u8; 0x10],
        0x090 hd1_info: [u8; 0x10],
        0x0a0 sys_desc_table: [u8; 0x10],
        0x0b0 olpc_ofw_header: [u8; 0x10],
        0x0c0 ext_ramdisk_image: U32,
        0x0c4 ext_ramdisk_size: U32,
        0x0c8 ext_cmd_line_ptr: U32,
        0x0cc pad4: [u8; 0x70],
        0x13c cc_blob_address: U32,
        0x140 edid_info: [u8; 0x80],
        0x1c0 efi_info: EfiInfo,
        0x1e0 alt_mem_k: U32,
        0x1e4 scratch: U32,
        0x1e8 e820_entries: u8,
        0x1e9 eddbuf_entries: u8,
        0x1ea edd_mbr_sig_buf_entries: u8,
        0x1eb kbd_status: u8,
        0x1ec secure_boot: u8,
        0x1ed pad5: [u8; 2],
        0x1ef sentinel: u8,
        0x1f0 pad6: u8,
        0x1f1 hdr: SetupHeader,
        0x26c pad7: [u8; 0x24],
        0x290 edd_mbr_sig_buffer: [U32; EDD_MBR_SIG_MAX],
        0x2d0 e820_table: [BootE820Entry; E820_MAX_ENTRIES_ZEROPAGE],
        0xcd0 pad8: [u8; 0x30],
        0xd00 eddbuf: [u8; EDDBUF_LEN],
        0xeec pad9: [u8; 0x114],
    }

    /// `struct screen_info`; only the field that is not copied has a name.
    struct ScreenInfo, 0x40 {
        0x00 orig_x_y: [u8; 2],
        0x02 ext_mem_k: U16,
        0x04 rest: [u8; 0x3c],
    }

    /// `struct efi_info`.
    struct EfiInfo, 0x20 {
        0x00 efi_loader_signature: [u8; 4],
        0x04 efi_systab: U32,
        0x08 efi_memdesc_size: U32,
        0x0c efi_memdesc_version: U32,
        0x10 efi_memmap: U32,
        0x14 efi_memmap_size: U32,
        0x18 efi_systab_hi: U32,
        0x1c efi_memmap_hi: U32,
    }

    /// `struct setup_header`; offsets count from 0x1f1.
    struct SetupHeader, 0x7b {
        0x00 setup_sects: u8,
        0x01 root_flags: U16,
        0x03 syssize: U32,
        0x07 ram_size: U16,
        0x09 vid_mode: U16,
        0x0b root_dev: U16,
        0x0d boot_flag: U16,
        0x0f jump: [u8; 2],
        0x11 header: [u8; 4],
        0x15 version: U16,
        0x17 realmode_swtch: U32,
        0x1b start_sys_seg: U16,
        0x1d kernel_version: U16,
        0x1f type_of_loader: u8,
        0x20 loadflags: u8,
        0x21 setup_move_size: U16,
        0x23 code32_start: U32,
        0x27 ramdisk_image: U32,
        0x2b ramdisk_size: U32,
        0x2f bootsect_kludge: U32,
        0x33 heap_end_ptr: U16,
        0x35 ext_loader_ver: u8,
        0x36 ext_loader_type: u8,
        0x37 cmd_line_ptr: U32,
        0x3b initrd_addr_max: U32,
        0x3f kernel_alignment: U32,
        0x43 relocatable_kernel: u8,
        0x44 min_alignment: u8,
        0x45 xloadflags: U16,
        0x47 cmdline_size: U32,
        0x4b hardware_subarch: U32,
        0x4f hardware_subarch_data: U64,
        0x57 payload_offset: U32,
        0x5b payload_length: U32,
        0x5f setup_data: U64,
        0x67 pref_address: U64,
        0x6f init_size: U32,
        0x73 handover_offset: U32,
        0x77 kernel_info_offset: U32,
    }

    /// `struct boot_e820_entry`.
    struct BootE820Entry, 20 {
        0 addr: U64,
        8 size: U64,
        16 kind: U32,
    }

    /// `struct setup_data` without `data`.
    struct SetupData, 16 {
        0 next: U64,
        8 kind: U32,
        12 len: U32,
    }

    /// `struct efi_setup_data` (arch/x86/include/asm/efi.h).
    struct EfiSetupData, 96 {
        0 fw_vendor: U64,
        8 unused: U64,
        16 tables: U64,
        24 smbios: U64,
        32 reserved: [U64; 8],
    }

    /// `efi_memory_desc_t`, EFI_MEMORY_DESCRIPTOR version 1 (UEFI specification, "GetMemoryMap").
    struct EfiMemoryDesc, 40 {
        0 kind: U32,
        4 pad: U32,
        8 phys_addr: U64,
        16 virt_addr: U64,
        24 num_pages: U64,
        32 attribute: U64,
    }
}
