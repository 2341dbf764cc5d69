//! `[8]` What the CPU recorded about a machine check: the banks of its machine-check architecture
//! (SDM vol. 3B, "Machine-check architecture"). The banks are not cleared, so that firmware
//! and the next kernel can log them.

use core::arch::asm;

use handoff::Permissions;

/// IA32_MCG_CAP, whose lowest byte is the number of banks.
const MCG_CAP: u32 = 0x179;
/// IA32_MCG_STATUS.
const MCG_STATUS: u32 = 0x17a;
/// IA32_MCG_STATUS: the interrupted program can be restarted.
const RESTART_IP_VALID: u64 = 1 << 0;
/// IA32_MC0_STATUS. Those of the other banks follow, [`STRIDE`] apart.
const MC0_STATUS: u32 = 0x401;
/// From IA32_MCi_STATUS to IA32_MCi_ADDR.
const TO_ADDRESS: u32 = 1;
/// From one bank's registers to the next one's.
const STRIDE: u32 = 4;
/// Banks that have these registers (SDM vol. 4, "Architectural MSRs").
const MAX_BANKS: u32 = 32;
/// IA32_MCi_STATUS: the bank has recorded an error.
const VALID: u64 = 1 << 63;
/// IA32_MCi_STATUS: the error was not corrected.
const UNCORRECTED: u64 = 1 << 61;
/// IA32_MCi_STATUS: the error may have corrupted the CPU's state.
const CONTEXT_CORRUPT: u64 = 1 << 57;
/// IA32_MCi_STATUS: IA32_MCi_ADDR says where.
const ADDRESS_VALID: u64 = 1 << 58;

/// A bank that has recorded an error.
#[derive(Clone, Copy, Debug)]
pub struct Bank {
    /// Its number.
    pub number: u32,
    /// IA32_MCi_STATUS.
    pub status: u64,
    /// IA32_MCi_ADDR, where it is valid: for an error of memory, a physical address.
    pub address: Option<u64>,
}

/// Every bank that has recorded an error; none if the block forbids MSR access.
pub fn banks(permissions: Permissions) -> impl Iterator<Item = Bank> {
    let count = if permissions.allow(Permissions::MSR) {
        (rdmsr(MCG_CAP) as u8 as u32).min(MAX_BANKS)
    } else {
        0
    };
    (0..count).filter_map(|number| {
        let register = MC0_STATUS + number * STRIDE;
        let status = rdmsr(register);
        let address = (status & ADDRESS_VALID != 0).then(|| rdmsr(register + TO_ADDRESS));
        (status & VALID != 0).then_some(Bank { number, status, address })
    })
}

/// Whether this program can continue after a machine check: the CPU says that its state is intact.
/// If so, the next machine check can be delivered. Never if the block forbids MSR access.
///
/// The banks keep what they recorded. If the failed memory is part of the image, verifying it
/// raises another machine check.
pub fn recover(permissions: Permissions) -> bool {
    let corrupt = |bank: Bank| bank.status & UNCORRECTED != 0 && bank.status & CONTEXT_CORRUPT != 0;
    let intact = permissions.allow(Permissions::MSR)
        && rdmsr(MCG_STATUS) & RESTART_IP_VALID != 0
        && !banks(permissions).any(corrupt);
    if intact {
        end_machine_check();
    }
    intact
}

/// Clears IA32_MCG_STATUS, in which MCIP makes the next machine check reset the machine.
#[inline(never)] // `cargo xtask audit` knows MSR access by this name
fn end_machine_check() {
    // SAFETY: a machine check was raised, so the CPU has this register, in which only 0 may be
    // written. It does not affect memory.
    unsafe {
        asm!(
            "wrmsr", in("ecx") MCG_STATUS, in("eax") 0, in("edx") 0,
            options(att_syntax, nomem, nostack, preserves_flags)
        )
    };
}

/// Reads a model-specific register.
#[inline(never)] // `cargo xtask audit` knows MSR access by this name
fn rdmsr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: a machine check was raised, so the CPU has these registers, and IA32_MCG_CAP counts
    // the banks. Reading them does not affect memory.
    unsafe {
        asm!(
            "rdmsr", in("ecx") register, out("eax") low, out("edx") high,
            options(att_syntax, nomem, nostack, preserves_flags)
        )
    };
    u64::from(high) << 32 | u64::from(low)
}
