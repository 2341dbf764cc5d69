//! The setup header's values (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
//! `bare/header.S` writes them into the file, and the checks compare boot_params with them.

/// Offset of the header in the file and in `struct boot_params`.
pub const START: usize = 0x1f1;
/// Its end in protocol 2.15: after `kernel_info_offset`.
pub const END: usize = 0x26c;
/// Offset of the 64-bit entry point in the payload (boot.rst, "64-bit Boot Protocol").
pub const ENTRY_OFFSET: u64 = 0x200;

/// Sectors of 512 bytes between the boot sector and the payload, which payload.ld puts at 0x1000.
pub const SETUP_SECTS: u8 = 7;
/// Protocol 2.15, as of Linux 5.4 and later.
pub const VERSION: u16 = 0x020f;
/// `LOADED_HIGH`: a bzImage.
pub const LOADFLAGS: u8 = 1 << 0;
/// `XLF_KERNEL_64`, `XLF_CAN_BE_LOADED_ABOVE_4G`, `XLF_5LEVEL`, `XLF_5LEVEL_ENABLED`: the flags
/// that hold.
pub const XLOADFLAGS: u16 = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6;
/// CONFIG_PHYSICAL_ALIGN of distributions.
pub const KERNEL_ALIGNMENT: u32 = 2 << 20;
/// Its binary logarithm.
pub const MIN_ALIGNMENT: u8 = KERNEL_ALIGNMENT.trailing_zeros() as u8;
/// LOAD_PHYSICAL_ADDR of distributions.
pub const PREF_ADDRESS: u64 = 16 << 20;
/// COMMAND_LINE_SIZE - 1 on x86.
pub const CMDLINE_SIZE: u32 = 2047;
/// As Linux has it on x86-64.
pub const INITRD_ADDR_MAX: u32 = 0x7fff_ffff;

/// Whether a boot loader writes the header's byte at this offset in `struct boot_params`, so that
/// it may differ from the file (boot.rst: the fields of type "write" and "modify" that kexec
/// knows).
pub const fn is_loaders(offset: usize) -> bool {
    matches!(offset,
        0x210            // type_of_loader
        | 0x211          // loadflags
        | 0x218..0x220   // ramdisk_image, ramdisk_size
        | 0x228..0x22c   // cmd_line_ptr
        | 0x23c..0x240   // hardware_subarch
        | 0x250..0x258   // setup_data
    )
}
