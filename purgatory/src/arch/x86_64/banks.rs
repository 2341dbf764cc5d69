//! `[8]` What the CPU recorded about a machine check: the banks of its machine-check architecture
//! (SDM vol. 3B, "Machine-check architecture"). Nothing is cleared, so that firmware and the next
//! kernel can log it.

use core::arch::asm;

use handoff::Permissions;

/// IA32_MCG_CAP, whose lowest byte is the number of banks.
const MCG_CAP: u32 = 0x179;
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

/// Reads a model-specific register.
#[inline(never)] // `cargo xtask audit` knows MSR access by this name
fn rdmsr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: a machine check was raised, so the CPU has these registers, and IA32_MCG_CAP counts
    // the banks. Reading them does not affect memory.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(att_syntax, nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}
