//! `[0]` The purgatory in Linux: takes the place of arch/x86/purgatory/purgatory.ro, between the
//! image that kexec_file_load(2) loaded and its kernel.
//!
//! *On entry* holds what kdump/main.rs lists, except for the block. No host says which instructions
//! are allowed, where to print or how to end. So this program executes only instructions that every
//! x86-64 machine and guest allows, plus those that the build asked for.
//!
//! *On exit*, one of these holds:
//! * The kernel is entered with the registers in `entry64_regs`, and SHA-256 of the concatenated
//!   regions in `purgatory_sha_regions` is `purgatory_sha256_digest`. Without regions, the digest
//!   of the empty message passes.
//! * This CPU hangs, as under the kernel's own purgatory (`purgatory`,
//!   arch/x86/purgatory/purgatory.c), or the machine is reset if the build asked for that.

#![cfg_attr(target_os = "purgatory", no_std, no_main)]

#[cfg(target_os = "purgatory")]
mod story;

#[cfg(target_os = "purgatory")]
purgatory::program!(tell: story::tell, exception: story::exception);

#[cfg(not(target_os = "purgatory"))]
fn main() {
    eprintln!(
        "error: purgatory-linux is a freestanding program; build it with `cargo xtask build`"
    );
    std::process::exit(2);
}
