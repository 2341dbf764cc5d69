//! `[1b]` The machine's memory: every file that says where RAM, firmware and the running kernel
//! are.

pub(super) mod iomem; // /proc/iomem: ranges by name
pub(super) mod meminfo; // /proc/meminfo: how much RAM the kernel manages
pub(super) mod kcore; // /proc/kcore: where the running kernel is
pub(super) mod efi; // /sys/firmware/efi: what EFI firmware left
