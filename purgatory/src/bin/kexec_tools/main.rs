//! `[0]` The purgatory in kexec-tools: takes the place of its purgatory.ro, between `kexec -p` or
//! `kexec -l` and the next kernel.
//!
//! *On entry* holds what linux/main.rs lists, and the symbols hold what kexec's options asked for.
//!
//! *On exit* holds what linux/main.rs lists, and:
//! * If the next kernel is for a crash, low memory was copied to where the elfcorehdr says that it
//!   is.
//! * If the next kernel may jump back to the old one, the command line says where.
//!
//! Order of events and meaning of the symbols: purgatory/purgatory.c, purgatory/arch/x86_64/ and
//! purgatory/arch/i386/ of kexec-tools.

#![cfg_attr(target_os = "purgatory", no_std, no_main)]

#[cfg(target_os = "purgatory")]
mod story;

#[cfg(target_os = "purgatory")]
purgatory::program!(tell: story::tell, exception: story::exception);

#[cfg(not(target_os = "purgatory"))]
fn main() {
    eprintln!(
        "error: purgatory-kexec-tools is a freestanding program; build it with `cargo xtask build`"
    );
    std::process::exit(2);
}
