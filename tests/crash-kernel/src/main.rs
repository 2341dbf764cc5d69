//! A kernel that exists to crash: [0] its story.
//!
//! *On entry*: QEMU has loaded it by the PVH boot protocol, which Linux's vmlinux and Xen's guests
//! also use. One CPU runs, in 32-bit mode. The ramdisk holds the runner's orders, which may be to
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
mod boot; // [1] 64-bit mode, memory map, ramdisk
#[cfg(target_os = "none")]
mod harness; // [2] lines on COM2, and the end of a run
#[cfg(target_os = "none")]
mod exceptions; // [3] our own faults end the run
#[cfg(target_os = "none")]
mod memory; // [4] physical memory
#[cfg(target_os = "none")]
mod tsc; // [5] the frequency of the time-stamp counter
#[cfg(target_os = "none")]
mod timeout; // bounded waits
#[cfg(target_os = "none")]
mod apic; // messages between CPUs
#[cfg(target_os = "none")]
mod smp; // [6] the other CPUs
#[cfg(target_os = "none")]
mod describe; // [7] the machine's facts
#[cfg(target_os = "none")]
mod ramdisk; // [8] the orders
#[cfg(target_os = "none")]
mod load; // [9] the image
#[cfg(target_os = "none")]
mod idmap; // [10] the identity map, made at load time
#[cfg(target_os = "none")]
mod steps; // [11] the steps before the panic
#[cfg(target_os = "none")]
mod hotplug; // memory and CPUs that come and go
#[cfg(target_os = "none")]
mod elfcorehdr; // its rewrite on hotplug
#[cfg(target_os = "none")]
mod panic; // [12] the panic
#[cfg(target_os = "none")]
mod notes; // [13] the notes of the crashed CPUs
#[cfg(target_os = "none")]
mod jump; // [14] into the purgatory
#[cfg(target_os = "none")]
mod story;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "crash-kernel: this is a freestanding program; `cargo xtask qemu bare` builds and runs it"
    );
    std::process::exit(2);
}
