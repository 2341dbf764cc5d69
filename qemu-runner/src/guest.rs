//! What a guest is made of: the machine that a scenario asks for, and both user spaces.

pub mod setup; // what a scenario asks for
pub mod initramfs; // a user space as an archive
pub mod uki; // kernel, initrd and command line in one file
