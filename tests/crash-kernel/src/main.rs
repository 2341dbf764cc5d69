//! A kernel that exists to crash: [0] its story.
//!
//! What we know on entry: the `bootloader` crate has switched to long mode on one CPU, mapped all physical memory at
//! [`orders::map::DIRECT_MAP`], and put the runner's orders into its ramdisk, be it only to await others at [`orders::map::ORDERS`].
//!
//! What holds on exit: the machine's facts stand on COM2, the image that was ordered lies in the crash region as kexec_load(2) would have
//! put it, the steps have happened, and the purgatory was entered in the state in which Linux enters it.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod harness; // [1] lines on COM2, and the end of a run
#[cfg(target_os = "none")]
mod exceptions; // [2] our own mistakes end the run
#[cfg(target_os = "none")]
mod memory; // [3] what the firmware gave us
#[cfg(target_os = "none")]
mod tsc; // [4] how fast time passes
#[cfg(target_os = "none")]
mod timeout; // waits that end
#[cfg(target_os = "none")]
mod apic; // what a CPU sends to another
#[cfg(target_os = "none")]
mod smp; // [5] the other CPUs
#[cfg(target_os = "none")]
mod describe; // [6] facts
#[cfg(target_os = "none")]
mod ramdisk; // [7] what is to happen
#[cfg(target_os = "none")]
mod load; // [8] the image
#[cfg(target_os = "none")]
mod idmap; // [9] the identity map, made at load time
#[cfg(target_os = "none")]
mod steps; // [10] what happens before the panic
#[cfg(target_os = "none")]
mod hotplug; // memory and CPUs that come and go
#[cfg(target_os = "none")]
mod elfcorehdr; // the header that is rewritten then
#[cfg(target_os = "none")]
mod panic; // [11] the end of the others
#[cfg(target_os = "none")]
mod notes; // [12] what the crashed CPUs leave
#[cfg(target_os = "none")]
mod jump; // [13] into the purgatory
#[cfg(target_os = "none")]
mod story;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("crash-kernel: this is a freestanding program; `cargo xtask qemu bare` builds and runs it");
    std::process::exit(2);
}
