//! `[0]` The symbols that Linux and the build write, and what happens, step by step.

use handoff::OnCorrupt;
use purgatory::arch::{self, Registers, TrapFrame, UartPorts};
use purgatory::console::Console;
use purgatory::drop_in::regions::{REGIONS, Table};
use purgatory::drop_in::{check, stop};
use purgatory::reading::READING;

// Names, sizes and the order of the registers: arch/x86/include/asm/kexec.h and
// include/linux/purgatory.h.
purgatory::written_by_host! {
    /// The registers of the kernel: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15, rip (`struct
    /// kexec_entry64_regs`).
    ENTRY_REGS: [u64; 17] as "entry64_regs" = [0; 17];
    /// Start and length of each region (`struct kexec_sha_region`).
    REGION_TABLE: Table as "purgatory_sha_regions" = [[0; 2]; REGIONS];
    /// Their digest.
    DIGEST: [u64; 4] as "purgatory_sha256_digest" = [0; 4];
    /// What to do if a region is corrupt; `cargo xtask build` writes it.
    ON_CORRUPT: u8 as "purgatory_on_corrupt" = OnCorrupt::Halt as u8;
    /// First port of the UART to print on, or 0 for none; `cargo xtask build` writes it.
    CONSOLE: u16 as "purgatory_console" = 0;
}

/// The console that the build asked for.
fn console() -> Console<UartPorts> {
    Console::new(check::uart(CONSOLE.get()))
}

/// Called once by `entry.S`, on our own stack, with SSE on.
pub fn tell(_stack_on_entry: u64) -> ! {
    READING.clear();
    purgatory();
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8_to_r15 @ .., rip] = ENTRY_REGS.words();
    arch::enter(&Registers { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8_to_r15, rip })
}

/// Verifies the regions, and returns if they are as loaded. Exported under the name that the
/// kernel's own function has.
#[unsafe(no_mangle)]
extern "sysv64" fn purgatory() {
    check::verify(&mut console(), &REGION_TABLE, &DIGEST, &ON_CORRUPT);
}

/// Called by `trap.S` on a stack of its own.
pub fn exception(frame: &mut TrapFrame, fault_address: u64) {
    stop::exception(frame, fault_address, console, &ON_CORRUPT);
}
