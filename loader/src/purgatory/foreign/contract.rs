//! The symbols by which each loader configures its purgatory.
//!
//! The kernel's and kexec-tools' contracts differ in names, in the order of the registers, and in
//! the additional options of kexec-tools.

use crate::purgatory::relocatable::{Error, Relocatable};

/// Symbol of the seventeen registers with which the next kernel is entered.
pub const ENTRY_REGS: &str = "entry64_regs";
/// Symbol at the end of the stack with which the next kernel is entered.
pub const STACK_END: &str = "stack_end";
/// How many regions either purgatory can verify (`KEXEC_SEGMENT_MAX`,
/// arch/x86/purgatory/purgatory.c; `SHA256_REGIONS`, kexec/kexec-sha256.h of kexec-tools).
pub const REGIONS: usize = 16;

/// How many registers [`ENTRY_REGS`] holds.
pub(super) const ENTRY_REGISTERS: usize = 17;
const REGISTERS_LEN: u64 = 8 * ENTRY_REGISTERS as u64;
const TABLE_LEN: u64 = 16 * REGIONS as u64;
const DIGEST_LEN: u64 = handoff::DIGEST_LEN as u64;

/// Everything that a loader writes into its purgatory.
#[derive(Debug, PartialEq, Eq)]
pub struct Contract {
    /// The project: `linux` or `kexec-tools`.
    pub name: &'static str,
    /// The project as a possessive, for sentences.
    pub whose: &'static str,
    /// Every symbol that is written.
    pub written: &'static [Written],
    /// The order of the registers in [`ENTRY_REGS`].
    pub registers: [&'static str; ENTRY_REGISTERS],
}

/// A symbol that the loader writes.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub symbol: &'static str,
    /// Its size in bytes.
    pub len: u64,
    pub(super) value: Value,
}

/// The value of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// [`ENTRY_REGISTERS`] times u64.
    Registers,
    /// [`REGIONS`] times start and length, two u64 each.
    Regions,
    /// SHA-256 of the regions' bytes.
    Digest,
    /// Address of the command line's NUL.
    CommandLineEnd,
    /// Whether there is an 8250 to print on.
    Console,
    /// Its first I/O port.
    Port,
    /// 1.
    Yes,
    /// Zeroes, which disable or mean none.
    Nothing,
}

const fn written(symbol: &'static str, len: u64, value: Value) -> Written {
    Written { symbol, len, value }
}

/// The kernel's (`bzImage64_load`, arch/x86/kernel/kexec-bzimage64.c;
/// `kexec_calculate_store_digests`, kernel/kexec_file.c).
pub static LINUX: Contract = Contract {
    name: "linux",
    whose: "the kernel's",
    written: &[
        written(ENTRY_REGS, REGISTERS_LEN, Value::Registers),
        written("purgatory_sha_regions", TABLE_LEN, Value::Regions),
        written("purgatory_sha256_digest", DIGEST_LEN, Value::Digest),
    ],
    // `struct kexec_entry64_regs`, arch/x86/include/asm/kexec.h: as instructions number them.
    registers: [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip",
    ],
};

/// kexec-tools' (`do_bzImage64_load`, `update_purgatory`, `arch_update_purgatory`; sizes in
/// purgatory/ and its arch/ directories).
pub static KEXEC_TOOLS: Contract = Contract {
    name: "kexec-tools",
    whose: "kexec-tools'",
    written: &[
        written(ENTRY_REGS, REGISTERS_LEN, Value::Registers),
        written("sha256_regions", TABLE_LEN, Value::Regions),
        written("sha256_digest", DIGEST_LEN, Value::Digest),
        // It appends a parameter there if it can return to the previous kernel. After a panic it
        // cannot.
        written("cmdline_end", 8, Value::CommandLineEnd),
        written("skip_checks", 4, Value::Nothing),
        // After a panic it copies low memory to a backup, unless the size is 0
        // (`crashdump_backup_memory`). No backup is needed: Linux reserves the lowest megabyte
        // itself since 5.5 and leaves it out of the elfcorehdr.
        written("panic_kernel", 1, Value::Yes),
        written("backup_src_start", 8, Value::Nothing),
        written("backup_src_size", 8, Value::Nothing),
        written("backup_start", 8, Value::Nothing),
        written("reset_vga", 1, Value::Nothing),
        written("console_vga", 1, Value::Nothing),
        written(CONSOLE_SERIAL, 1, Value::Console),
        written("serial_base", 2, Value::Port),
        // 0 keeps the port's rate.
        written("serial_baud", 4, Value::Nothing),
    ],
    // `entry64_regs`, purgatory/arch/x86_64/entry64.S: nearly in alphabetical order.
    registers: [
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip",
    ],
};

const CONSOLE_SERIAL: &str = "console_serial";

/// All contracts.
pub(super) static CONTRACTS: [&Contract; 2] = [&LINUX, &KEXEC_TOOLS];

impl Contract {
    /// Symbol of the table of regions, which identifies the contract.
    pub fn regions(&self) -> &'static str {
        self.symbol_of(Value::Regions)
    }

    /// Symbol of the regions' digest.
    pub fn digest(&self) -> &'static str {
        self.symbol_of(Value::Digest)
    }

    /// Whether the purgatory can print on an 8250.
    pub fn prints(&self) -> bool {
        self.written.iter().any(|written| written.value == Value::Console)
    }

    fn symbol_of(&self, value: Value) -> &'static str {
        let symbol = self.written.iter().find(|written| written.value == value);
        symbol.expect("regions and digest are part of every contract").symbol
    }

    /// Checks that all symbols exist and have the size of their values.
    pub(super) fn check(&self, program: &Relocatable) -> Result<(), Error> {
        program.symbol(STACK_END)?;
        self.written.iter().try_for_each(|written| program.takes(written.symbol, written.len))
    }
}
