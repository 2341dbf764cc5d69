//! [0] The story: what happens between a Linux kernel's panic and its crash dump.
//!
//! What we know on entry (`machine_kexec`, arch/x86/kernel/machine_kexec_64.c): one CPU runs, any CPU; interrupts are off, NMIs
//! are not; memory is mapped one to one, writable and executable; SSE is off; GDT and IDT are invalid or the old kernel's;
//! the stack is a page we do not own. `arch/x86_64/entry.S` turns that into a world in which Rust may run.
//!
//! What we ensure on exit: the capture kernel is entered as Documentation/arch/x86/boot.rst asks, with every loaded byte
//! verified or its corruption reported; or the machine is reset or stopped, after saying why where there is a console. Only a second
//! exception, or one while SSE is off at either end, resets without a word.

#![cfg_attr(target_os = "purgatory", no_std, no_main)]

#[cfg(target_os = "purgatory")]
mod arch;
#[cfg(target_os = "purgatory")]
mod memory;
#[cfg(target_os = "purgatory")]
mod story;
#[cfg(target_os = "purgatory")]
mod stop;

#[cfg(not(target_os = "purgatory"))]
fn main() {
    eprintln!("purgatory: this is a freestanding program; build it with `cargo xtask build`");
    std::process::exit(2);
}
