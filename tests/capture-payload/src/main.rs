//! The payload's own part: what brings a CPU from boot.rst's entry point to Rust, and what the checks need of a machine.
//!
//! On entry: 64-bit mode, RSI = boot_params, nothing else that is believed. On exit: a line on COM2 for every check, and QEMU ends
//! with the exit status of an [`orders::Ending`].

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("capture-payload: this is a freestanding program; build it for x86_64-payload.json");
    std::process::exit(2);
}
