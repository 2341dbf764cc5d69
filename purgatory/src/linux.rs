//! [0] The purgatory in Linux, in the place of arch/x86/purgatory/purgatory.ro: between `kexec_file_load(2)`'s image and its
//! kernel.
//!
//! What we know on entry is what main.rs knows, but for the block: nobody says what may be executed, where to print, or how to
//! end. So nothing is that not every x86-64 machine and guest lets us execute, unless it was asked for when this program was
//! built.
//!
//! What we ensure on exit: the kernel is entered with the registers in `entry64_regs`, and SHA-256 of the regions in
//! `purgatory_sha_regions`, one behind the other, was `purgatory_sha256_digest`; or this CPU stands still for ever, as with the
//! kernel's own (`purgatory`, arch/x86/purgatory/purgatory.c), but for what was asked for. No regions, and the digest of nothing,
//! are a pass.

#![cfg_attr(target_os = "purgatory", no_std, no_main)]

#[cfg(target_os = "purgatory")]
#[allow(dead_code, reason = "shared with main.rs, which uses other parts of it")]
mod arch;
#[cfg(target_os = "purgatory")]
#[allow(dead_code, reason = "each host uses what its contract needs")]
mod drop_in;

#[cfg(target_os = "purgatory")]
pub use {drop_in::exception, story::console, story::tell};

#[cfg(target_os = "purgatory")]
mod story {
    use purgatory::console::Console;
    use purgatory::reading::READING;
    use purgatory::regions::{REGIONS, Table};

    use crate::arch::{self, Registers, UartPorts};
    use crate::drop_in::{self, written};

    // Names, sizes and the order of the registers: arch/x86/include/asm/kexec.h and include/linux/purgatory.h.
    written::symbols! {
        /// The registers of the kernel: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15, rip (`struct kexec_entry64_regs`).
        ENTRY_REGS: [u64; 17] as "entry64_regs" = [0; 17];
        /// Start and length of each region (`struct kexec_sha_region`).
        REGION_TABLE: Table as "purgatory_sha_regions" = [[0; 2]; REGIONS];
        /// Their digest.
        DIGEST: [u64; 4] as "purgatory_sha256_digest" = [0; 4];
        /// Port of the UART on which it speaks, 0 for none; `cargo xtask build` writes it.
        CONSOLE: u16 as "purgatory_console" = 0;
    }

    /// The console that was asked for when this program was built.
    pub fn console() -> Console<UartPorts> {
        Console::new(drop_in::uart(CONSOLE.get()))
    }

    /// Called once by `entry.S`, on our own stack, with SSE on.
    pub extern "sysv64" fn tell(_stack_on_entry: u64) -> ! {
        READING.clear();
        purgatory();
        let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8_to_r15 @ .., rip] = ENTRY_REGS.words();
        arch::enter(&Registers { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8_to_r15, rip })
    }

    /// Verifies; comes back if all is well. Known by name, as in the kernel's own, for whoever calls it where it lies.
    #[unsafe(no_mangle)]
    extern "sysv64" fn purgatory() {
        drop_in::verify(&mut console(), &REGION_TABLE, &DIGEST);
    }
}

#[cfg(not(target_os = "purgatory"))]
fn main() {
    eprintln!("purgatory-linux: this is a freestanding program; build it with `cargo xtask build`");
    std::process::exit(2);
}
