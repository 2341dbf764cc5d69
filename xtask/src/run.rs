//! Real kernels, real panics: the commands that boot machines, and the peers' purgatories.

pub mod qemu; // scenarios and the fault matrix
pub mod peers; // the purgatories of kexec-tools and Linux
pub mod linux_tree; // a Linux built with our purgatory
pub mod fixture; // files under tests/fixtures that a real kernel wrote
