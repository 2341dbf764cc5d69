//! A kernel that exists to crash: [0] its story.
//!
//! *On entry*: the `bootloader` crate has switched one CPU to long mode and mapped all physical
//! memory at [`orders::map::DIRECT_MAP`]. The ramdisk holds the runner's orders, which may be to
//! await others at [`orders::map::ORDERS`].
//!
//! *On exit*:
//! * COM2 has the machine's facts.
//! * The ordered image is in the crash region, as kexec_load(2) would load it.
//! * The steps were executed.
//! * The purgatory was entered in the state in which Linux enters it.

#![cfg_attr(target_os = "none", no_std, no_main, feature(abi_x86_interrupt))]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod harness; // [1] lines on COM2, and the end of a run
#[cfg(target_os = "none")]
mod exceptions; // [2] our own faults end the run
#[cfg(target_os = "none")]
mod memory; // [3] physical memory
#[cfg(target_os = "none")]
mod tsc; // [4] the frequency of the time-stamp counter
#[cfg(target_os = "none")]
mod timeout; // bounded waits
#[cfg(target_os = "none")]
mod apic; // messages between CPUs
#[cfg(target_os = "none")]
mod smp; // [5] the other CPUs
#[cfg(target_os = "none")]
mod describe; // [6] the machine's facts
#[cfg(target_os = "none")]
mod ramdisk; // [7] the orders
#[cfg(target_os = "none")]
mod load; // [8] the image
#[cfg(target_os = "none")]
mod idmap; // [9] the identity map, made at load time
#[cfg(target_os = "none")]
mod steps; // [10] the steps before the panic
#[cfg(target_os = "none")]
mod hotplug; // memory and CPUs that come and go
#[cfg(target_os = "none")]
mod elfcorehdr; // its rewrite on hotplug
#[cfg(target_os = "none")]
mod panic; // [11] the panic
#[cfg(target_os = "none")]
mod notes; // [12] the notes of the crashed CPUs
#[cfg(target_os = "none")]
mod jump; // [13] into the purgatory
#[cfg(target_os = "none")]
mod story;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "crash-kernel: this is a freestanding program; `cargo xtask qemu bare` builds and runs it"
    );
    std::process::exit(2);
}
