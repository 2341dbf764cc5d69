//! `[0]` The symbols that kexec writes, and what happens, step by step.

use handoff::OnCorrupt;
use handoff::text::Text;
use purgatory::arch::{self, Registers, TrapFrame, UartPorts};
use purgatory::console::Console;
use purgatory::drop_in::regions::{REGIONS, Table};
use purgatory::drop_in::{check, jump_back, memory, stop};
use purgatory::reading::READING;

purgatory::written_by_host! {
    /// The registers of the next kernel: rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8 to r15, rip
    /// (`struct entry64_regs`, kexec/arch/x86_64/kexec-x86_64.h). Linux has another order.
    ENTRY_REGS: [u64; 17] as "entry64_regs" = [0; 17];
    /// Start and length of each region (`struct sha256_region`).
    REGION_TABLE: Table as "sha256_regions" = [[0; 2]; REGIONS];
    /// Their digest.
    DIGEST: [u64; 4] as "sha256_digest" = [0; 4];
    /// What to do if a region is corrupt; `cargo xtask build` writes it.
    ON_CORRUPT: u8 as "purgatory_on_corrupt" = OnCorrupt::Halt as u8;
    /// Not 0: nothing is verified (`--no-checks`).
    SKIP_CHECKS: u32 as "skip_checks" = 0;
    /// Not 0: the next kernel is for a crash.
    PANIC_KERNEL: u8 as "panic_kernel" = 0;
    /// Where low memory is copied to, or 0 for nowhere.
    BACKUP_START: u64 as "backup_start" = 0;
    /// Where it is copied from.
    BACKUP_SRC_START: u64 as "backup_src_start" = 0;
    /// How many bytes.
    BACKUP_SRC_SIZE: u64 as "backup_src_size" = 0;
    /// Where the next kernel's command line ends, with room after it.
    CMDLINE_END: u64 as "cmdline_end" = 0;
    /// Where the old kernel is entered on a jump back, or 0 if there is none. Read from the stack
    /// on entry; no option sets it.
    JUMP_BACK_ENTRY: u64 as "jump_back_entry" = 0;
    /// Not 0: print on a UART (`--console-serial`).
    CONSOLE_SERIAL: u8 as "console_serial" = 0;
    /// Its first port (`--serial`).
    SERIAL_BASE: u16 as "serial_base" = 0x3f8;
    /// Its speed, or 0 to leave it (`--serial-baud`).
    SERIAL_BAUD: u32 as "serial_baud" = 0;
    /// `--console-vga`: accepted, but nothing is printed there.
    CONSOLE_VGA: u8 as "console_vga" = 0;
    /// `--reset-vga`: accepted, but nothing is reset.
    RESET_VGA: u8 as "reset_vga" = 0;
}

/// The console that kexec's options ask for.
fn console() -> Console<UartPorts> {
    let mut uart = (CONSOLE_SERIAL.get() != 0).then(|| check::uart(SERIAL_BASE.get())).flatten();
    if let (Some(uart), baud @ 1..) = (&mut uart, SERIAL_BAUD.get()) {
        uart.set_up(baud);
    }
    Console::new(uart)
}

/// Called once by `entry.S`, on our own stack, with SSE on. On top of the stack on entry is the
/// return address. It is 0 unless the kernel supports a jump back (`relocate_kernel`,
/// arch/x86/kernel/relocate_kernel_64.S).
pub fn tell(stack_on_entry: u64) -> ! {
    READING.clear();
    JUMP_BACK_ENTRY.set(memory::word(stack_on_entry));
    purgatory();
    let [rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8_to_r15 @ .., rip] = ENTRY_REGS.words();
    arch::enter(&Registers { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8_to_r15, rip })
}

/// Verifies the regions, then does what follows; returns if all is well. Exported under the name
/// that kexec-tools' own function has.
#[unsafe(no_mangle)]
extern "sysv64" fn purgatory() {
    let mut console = console();
    if SKIP_CHECKS.get() == 0 {
        check::verify(&mut console, &REGION_TABLE, &DIGEST, &ON_CORRUPT);
    } else {
        console.line().text("I'm in purgatory, verifying nothing (--no-checks)");
    }
    // After the verification, because the digest covers the zeroes that are there until now.
    let backup = BACKUP_START.get();
    if PANIC_KERNEL.get() != 0 && backup != 0 {
        arch::copy(BACKUP_SRC_START.get(), backup, BACKUP_SRC_SIZE.get());
    }
    let (entry, end) = (JUMP_BACK_ENTRY.get(), CMDLINE_END.get());
    if entry != 0 && end != 0 {
        let words = jump_back::argument(entry);
        arch::copy(words.as_ptr().addr() as u64, end, words.len() as u64);
    }
}

/// Called by `trap.S` on a stack of its own.
pub fn exception(frame: &mut TrapFrame, fault_address: u64) {
    stop::exception(frame, fault_address, console, &ON_CORRUPT);
}
