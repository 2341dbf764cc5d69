//! The library that the three programs in `bin/` share.
//!
//! Most of it is pure: bytes in, facts out. That part also runs on the host, under test, and
//! contains no `unsafe`. The rest touches the machine and exists in freestanding builds only.
//! Modules in order of execution.

#![no_std]
#![cfg_attr(target_os = "purgatory", deny(unsafe_code))]
#![cfg_attr(not(target_os = "purgatory"), forbid(unsafe_code))]

#[cfg(target_os = "purgatory")]
#[allow(unsafe_code, reason = "machine state")]
pub mod arch;
pub mod console;
pub mod span;
pub mod received;
pub mod engine;
pub mod black_box;
pub mod reading;
pub mod verify;
pub mod elfcorehdr;
pub mod policy;
pub mod drop_in;

/// Required by Rust, but never called: x86_64-purgatory.json sets the panic strategy
/// `immediate-abort`. A failed assertion is therefore #UD, and ends as an exception with its
/// address.
#[cfg(target_os = "purgatory")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    arch::halt(handoff::Permissions::NONE)
}
