//! `[0]` The story: what happens between a Linux kernel's panic and its crash dump.
//!
//! *On entry* (`machine_kexec`, arch/x86/kernel/machine_kexec_64.c):
//! * One CPU runs; it can be any CPU.
//! * Interrupts are off, but NMIs are not.
//! * Memory is mapped one to one, writable and executable.
//! * SSE is off. GDT and IDT are invalid or the old kernel's.
//! * The stack is a page that we do not own.
//!
//! `arch/x86_64/entry.S` turns that into a world in which Rust can run.
//!
//! *On exit*, one of these holds:
//! * The capture kernel is entered as Documentation/arch/x86/boot.rst asks. Every loaded byte was
//!   verified, or its corruption was reported. The elfcorehdr, which no digest covers, can give a
//!   /proc/vmcore, or its defect was reported.
//! * The machine is reset or halted, and the console says why.
//!
//! In both cases the black box, if the loader reserved one, says how far the run came. It says
//! nothing if the seal was broken.
//!
//! Three cases end without a message. A second exception, or one while SSE is off at either end,
//! resets the machine. An exception or NMI in the first instructions, before our IDT is loaded,
//! resets the machine (Linux 6.12) or hangs it (7.2).

#![cfg_attr(target_os = "purgatory", no_std, no_main)]

#[cfg(target_os = "purgatory")]
mod memory;
#[cfg(target_os = "purgatory")]
mod black_box;
#[cfg(target_os = "purgatory")]
mod story;
#[cfg(target_os = "purgatory")]
mod stop;

#[cfg(target_os = "purgatory")]
purgatory::program!(tell: story::tell, exception: stop::exception);

#[cfg(not(target_os = "purgatory"))]
fn main() {
    eprintln!("error: purgatory is a freestanding program; build it with `cargo xtask build`");
    std::process::exit(2);
}
