//! What the drop-ins share: the purgatories that take the places of those in Linux and in
//! kexec-tools.
//!
//! A drop-in has no handoff block. Its host's loader writes into symbols of the object instead, and
//! expects one digest over whole segments. Modules in order of execution.

#[cfg(target_os = "purgatory")]
#[allow(unsafe_code, reason = "volatile reads of what a loader wrote")]
pub mod written; // statics that the host's loader writes
#[cfg(target_os = "purgatory")]
#[allow(unsafe_code, reason = "physical memory as slices")]
pub mod memory;
pub mod regions; // what the hosts have verified
#[cfg(target_os = "purgatory")]
pub mod check; // the digest of all regions
pub mod jump_back; // the way back, on the next kernel's command line
#[cfg(target_os = "purgatory")]
pub mod stop; // the other ending
