//! In what the boot parameters of both images may differ, and why.

use std::ops::Range;

/// Where in the boot parameters the two may differ, and why: offsets, the field, the reason.
/// docs/kexec-compared.md has them as well.
pub const EXPLAINED: &[(Range<usize>, &str, &str)] = &[
    (
        0x020..0x024,
        "screen_info: cl_magic, cl_offset",
        "the command line for protocols before 2.02; only kexec-tools writes it",
    ),
    (0x1d0..0x1d4, "efi_info: efi_memmap", "where the runtime map is"),
    (
        0x1e8..0x1e9,
        "e820_entries",
        "with --hotplug kexec-tools leaves a sliver of RAM between elfcorehdr and backup",
    ),
    (0x1ec..0x1ed, "secure_boot", "the running kernel's; kexec-tools leaves it unset"),
    (0x1f2..0x1f4, "root_flags", "the file's; kexec-tools asks for a read-only root"),
    (0x1fc..0x1fe, "root_dev", "the file's; kexec-tools names /dev/hda"),
    (
        0x1ff..0x200,
        "boot_flag",
        "the file's; kexec-tools clears its second byte, as `aux_device_info`",
    ),
    (0x218..0x21c, "ramdisk_image", "where the initrd is"),
    (0x228..0x22c, "cmd_line_ptr", "where the command line is"),
    (0x250..0x258, "setup_data", "where the list begins"),
];

/// The same where kexec-tools passes on the whole machine's memory map.
pub const EXPLAINED_BY_MAP: &[(Range<usize>, &str, &str)] = &[
    (
        0x002..0x004,
        "screen_info: ext_mem_k",
        "how much memory is above 1 MiB in that map; with --pass-memmap-cmdline alone",
    ),
    (0x1e0..0x1e4, "alt_mem_k", "the same, for more memory"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_explained_difference_is_in_the_docs() {
        let page = include_str!("../../../../../docs/kexec-compared.md");
        for (range, field, reason) in EXPLAINED.iter().chain(EXPLAINED_BY_MAP) {
            let row = format!("| {:#05x} | {field} | {reason} |", range.start);
            assert!(page.contains(&row), "docs/kexec-compared.md lacks: {row}");
        }
    }
}
