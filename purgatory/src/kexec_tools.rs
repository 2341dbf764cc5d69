//! [0] The purgatory in kexec-tools, in the place of its purgatory.ro: between `kexec -p` or `kexec -l` and the next kernel.
//!
//! What we know on entry is what linux.rs knows, and by symbols what kexec's options ask for. What we ensure on exit is the same,
//! and: low memory was put where the elfcorehdr says, when the next kernel is for a crash; where the old kernel may be gone back
//! to stands on the command line, when it may.
//!
//! Order of events and meaning of the symbols: purgatory/purgatory.c, purgatory/arch/x86_64/ and purgatory/arch/i386/ of
//! kexec-tools.

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
    use handoff::text::Text;
    use purgatory::console::Console;
    use purgatory::jump_back;
    use purgatory::reading::READING;
    use purgatory::regions::{REGIONS, Table};

    use crate::arch::{self, Registers, UartPorts};
    use crate::drop_in::{self, memory, written};

    written::symbols! {
        /// The registers of the next kernel: rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8 to r15, rip (`struct entry64_regs`,
        /// kexec/arch/x86_64/kexec-x86_64.h): not the order of Linux.
        ENTRY_REGS: [u64; 17] as "entry64_regs" = [0; 17];
        /// Start and length of each region (`struct sha256_region`).
        REGION_TABLE: Table as "sha256_regions" = [[0; 2]; REGIONS];
        /// Their digest.
        DIGEST: [u64; 4] as "sha256_digest" = [0; 4];
        /// Not 0: nothing is verified (`--no-checks`).
        SKIP_CHECKS: u32 as "skip_checks" = 0;
        /// Not 0: the next kernel is for a crash.
        PANIC_KERNEL: u8 as "panic_kernel" = 0;
        /// Where low memory is put; 0 for nowhere.
        BACKUP_START: u64 as "backup_start" = 0;
        /// Where it lies.
        BACKUP_SRC_START: u64 as "backup_src_start" = 0;
        /// How many bytes.
        BACKUP_SRC_SIZE: u64 as "backup_src_size" = 0;
        /// Where the next kernel's command line ends, with room behind.
        CMDLINE_END: u64 as "cmdline_end" = 0;
        /// Where a kernel that is gone back to is entered, 0 if it is not; from our own stack on entry, by no option.
        JUMP_BACK_ENTRY: u64 as "jump_back_entry" = 0;
        /// Not 0: print on a UART (`--console-serial`).
        CONSOLE_SERIAL: u8 as "console_serial" = 0;
        /// Its first port (`--serial`).
        SERIAL_BASE: u16 as "serial_base" = 0x3f8;
        /// Its speed, 0 to leave it (`--serial-baud`).
        SERIAL_BAUD: u32 as "serial_baud" = 0;
        /// `--console-vga`: taken, and nothing is printed there.
        CONSOLE_VGA: u8 as "console_vga" = 0;
        /// `--reset-vga`: taken, and nothing is reset.
        RESET_VGA: u8 as "reset_vga" = 0;
    }

    /// The console that kexec's options ask for.
    pub fn console() -> Console<UartPorts> {
        let mut uart = (CONSOLE_SERIAL.get() != 0).then(|| drop_in::uart(SERIAL_BASE.get())).flatten();
        if let (Some(uart), baud @ 1..) = (&mut uart, SERIAL_BAUD.get()) {
            uart.set_up(baud);
        }
        Console::new(uart)
    }

    /// Called once by `entry.S`, on our own stack, with SSE on. What lies on the stack on entry is the return address: 0, unless
    /// the kernel wants to be gone back to (`relocate_kernel`, arch/x86/kernel/relocate_kernel_64.S).
    pub extern "sysv64" fn tell(stack_on_entry: u64) -> ! {
        READING.clear();
        JUMP_BACK_ENTRY.set(memory::word(stack_on_entry));
        purgatory();
        let [rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8_to_r15 @ .., rip] = ENTRY_REGS.words();
        arch::enter(&Registers { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8_to_r15, rip })
    }

    /// Verifies, and does what comes after; comes back if all is well. Known by name, as in kexec-tools' own.
    #[unsafe(no_mangle)]
    extern "sysv64" fn purgatory() {
        let mut console = console();
        if SKIP_CHECKS.get() == 0 {
            drop_in::verify(&mut console, &REGION_TABLE, &DIGEST);
        } else {
            console.line().text("I'm in purgatory, verifying nothing, as told");
        }
        // Behind the verification, because the digest covers the zeroes that are there until now.
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
}

#[cfg(not(target_os = "purgatory"))]
fn main() {
    eprintln!("purgatory-kexec-tools: this is a freestanding program; build it with `cargo xtask build`");
    std::process::exit(2);
}
