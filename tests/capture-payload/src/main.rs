//! The payload: the way from boot.rst's entry point to Rust, and the machine access that the checks
//! need.
//!
//! *On entry*: 64-bit mode, RSI = boot_params. Nothing else is trusted.
//!
//! *On exit*: COM2 has a line for every check, and QEMU exits with the status of an
//! [`orders::Ending`].

#![cfg_attr(target_os = "none", no_std, no_main, feature(abi_x86_interrupt))]

#[cfg(target_os = "none")]
mod bare;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("capture-payload: this is a freestanding program; build it for x86_64-payload.json");
    std::process::exit(2);
}
