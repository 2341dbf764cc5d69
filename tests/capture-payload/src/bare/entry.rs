//! Passes `entry.S` its constants.

use core::arch::global_asm;
use core::mem::{offset_of, size_of};

use capture_payload::EntryState;
use capture_payload::entry_state::{General, Segment, TableRegister};

const WORD: usize = size_of::<u64>();

/// Where a general register is saved.
const fn general(register: General) -> usize {
    offset_of!(EntryState, general) + register as usize * WORD
}

/// Where a selector is saved.
const fn selector(segment: Segment) -> usize {
    offset_of!(EntryState, selectors) + segment as usize * WORD
}

/// IA32_EFER (SDM vol. 4).
const MSR_EFER: u32 = 0xc000_0080;

/// CR4.OSFXSR: STMXCSR exists (SDM vol. 3A, "Control registers").
const CR4_OSFXSR: u64 = 1 << 9;

// entry.S saves the general registers in the order of `General`, one word each.
const _: () = assert!(general(General::R15) == offset_of!(EntryState, general) + 15 * WORD);

global_asm!(
    include_str!("entry.S"),
    STATE_LEN = const size_of::<EntryState>(),
    STATE_WORDS = const size_of::<EntryState>() / WORD,
    RAX = const general(General::Rax),
    RCX = const general(General::Rcx),
    RDX = const general(General::Rdx),
    RBX = const general(General::Rbx),
    RSP = const general(General::Rsp),
    RBP = const general(General::Rbp),
    RSI = const general(General::Rsi),
    RDI = const general(General::Rdi),
    R8 = const general(General::R8),
    R9 = const general(General::R9),
    R10 = const general(General::R10),
    R11 = const general(General::R11),
    R12 = const general(General::R12),
    R13 = const general(General::R13),
    R14 = const general(General::R14),
    R15 = const general(General::R15),
    CS = const selector(Segment::Cs),
    DS = const selector(Segment::Ds),
    ES = const selector(Segment::Es),
    SS = const selector(Segment::Ss),
    FS = const selector(Segment::Fs),
    GS = const selector(Segment::Gs),
    RFLAGS = const offset_of!(EntryState, rflags),
    CR0 = const offset_of!(EntryState, cr0),
    CR3 = const offset_of!(EntryState, cr3),
    CR4 = const offset_of!(EntryState, cr4),
    EFER = const offset_of!(EntryState, efer),
    DR0 = const offset_of!(EntryState, addresses),
    DR7 = const offset_of!(EntryState, dr7),
    MXCSR = const offset_of!(EntryState, mxcsr),
    CR4_OSFXSR = const CR4_OSFXSR,
    GDTR = const offset_of!(EntryState, gdtr) + offset_of!(TableRegister, limit),
    IDTR = const offset_of!(EntryState, idtr) + offset_of!(TableRegister, limit),
    DIRTY = const offset_of!(EntryState, dirty),
    NOT_ZERO = const offset_of!(EntryState, not_zero),
    MSR_EFER = const MSR_EFER,
    BOOT_CS = const super::interrupts::BOOT_CS,
    BOOT_DS = const super::interrupts::BOOT_DS,
    tell = sym super::tell,
    options(att_syntax)
);
