//! `[0]` The story: what happens between a Linux kernel's panic and its crash dump.
//!
//! What we know on entry (`machine_kexec`, arch/x86/kernel/machine_kexec_64.c): one CPU runs, any CPU; interrupts are off, NMIs
//! are not; memory is mapped one to one, writable and executable; SSE is off; GDT and IDT are invalid or the old kernel's;
//! the stack is a page we do not own. `arch/x86_64/entry.S` turns that into a world in which Rust may run.
//!
//! What we ensure on exit: the capture kernel is entered as Documentation/arch/x86/boot.rst asks, with every loaded byte but the
//! elfcorehdr's, which is in no digest, verified or its corruption reported, and the elfcorehdr such that a /proc/vmcore can come
//! of it, or reported; or the machine is reset or stopped, after saying why where there is a console. Without a word it resets at a second
//! exception, or at one while SSE is off at either end; and in the first instructions, until our IDT is there, an exception or NMI
//! takes the kernel's way: it resets (Linux 6.12) or stops for ever (7.2).

#![cfg_attr(target_os = "purgatory", no_std, no_main)]

#[cfg(target_os = "purgatory")]
mod memory;
#[cfg(target_os = "purgatory")]
mod story;
#[cfg(target_os = "purgatory")]
mod stop;

#[cfg(target_os = "purgatory")]
purgatory::program!(tell: story::tell, exception: stop::exception);

#[cfg(not(target_os = "purgatory"))]
fn main() {
    eprintln!("purgatory: this is a freestanding program; build it with `cargo xtask build`");
    std::process::exit(2);
}
