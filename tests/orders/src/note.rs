//! The crash note: the crash kernel's facts at its panic, with which the payload compares.
//!
//! It is the descriptor of one ELF note (name [`NAME`], type [`TYPE`]) in the PT_NOTE at
//! [`crate::map::CRASH_NOTE`], which the payload finds as /proc/vmcore finds vmcoreinfo: through
//! the elfcorehdr. Each CPU that the kernel knows to be online at the panic fills its own note with
//! an NT_PRSTATUS named `CORE` whose `pr_pid` (offset 32) is its local APIC id; the notes of other
//! CPUs stay zero.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{PhysSpan, SealedSpan};

/// The note's name, with its NUL.
pub const NAME: [u8; 12] = *b"CRASHKERNEL\0";
/// The note's type: `kd`.
pub const TYPE: u32 = 0x6b64;
/// Room in the note for ranges of RAM, and for ranges of reserved memory.
pub const MAX_RAM: usize = 16;
/// Room in the note for sealed spans.
pub const MAX_SEALED: usize = 32;

/// Offset of `pr_pid` in `struct elf_prstatus` (include/linux/elfcore.h) on x86-64.
pub const PR_PID: usize = 32;
/// `sizeof(struct elf_prstatus)` on x86-64.
pub const PRSTATUS_LEN: usize = 336;

/// The eight bytes that the crash kernel plants at `address`, one of [`CrashNote::markers`]: a
/// place in RAM with no other use.
pub const fn marker(address: u64) -> u64 {
    address ^ 0x6b64_756d_7021_6b64
}

/// What non-maskable interrupts do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize, serde::Deserialize))]
pub enum Nmi {
    /// None arrives.
    None = 1,
    /// The panic happens in the NMI handler: NMIs are blocked, and a second one is latched. It must
    /// reach the payload at its first IRET.
    Latched = 2,
    /// Another CPU, which could not be stopped, sends them endlessly once the purgatory is ready
    /// (the eight bytes at `Crash::nmi_ready` are no longer zero).
    Storm = 3,
}

impl Nmi {
    /// The one with this number in the crash note.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::None, Self::Latched, Self::Storm].into_iter().find(|nmi| *nmi as u32 == number)
    }
}

/// The descriptor.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CrashNote {
    /// CR0 as the purgatory is entered.
    pub cr0: U64,
    /// CR3 as the purgatory is entered.
    pub cr3: U64,
    /// CR4 as the purgatory is entered.
    pub cr4: U64,
    /// EFER.
    pub efer: U64,
    /// DR7 as the purgatory is entered.
    pub dr7: U64,
    /// Local APIC id of the CPU that panics.
    pub apic_id: U32,
    /// Number of online CPUs.
    pub online_cpus: U32,
    /// Number of possible CPUs: that many PT_NOTEs precede this one's.
    pub possible_cpus: U32,
    /// An [`Nmi`].
    pub nmi: U32,
    /// The elfcorehdr's segment.
    pub elfcorehdr: PhysSpan,
    /// Where the initrd was loaded: its bytes.
    pub initrd: PhysSpan,
    /// Where the command line was loaded: its bytes, with the NUL.
    pub command_line: PhysSpan,
    /// 1 if the crash kernel had written the elfcorehdr by the panic, 0 if the loader had.
    pub rewritten: U32,
    /// Number of used entries in `ram`.
    pub ram_count: U32,
    /// Number of used entries in `reserved`.
    pub reserved_count: U32,
    /// Number of used entries in `markers`.
    pub marker_count: U32,
    /// Number of used entries in `sealed`.
    pub sealed_count: U32,
    /// The crash kernel's text, which has a PT_LOAD of its own.
    pub text: PhysSpan,
    /// The virtual address at which the text is mapped.
    pub text_virtual: U64,
    /// RAM without the low MiB and the crash region, ascending, at the last write of the elfcorehdr
    /// by kernel or loader. Its PT_LOADs must be these. A DIMM that was being removed then is still
    /// included, as in Linux.
    pub ram: [PhysSpan; MAX_RAM],
    /// Memory that the firmware does not call RAM, ascending. It is no RAM in the capture kernel's
    /// memory map either.
    pub reserved: [PhysSpan; MAX_RAM],
    /// Addresses at which [`marker`] was planted.
    pub markers: [U64; MAX_RAM],
    /// The sealed spans of the orders.
    pub sealed: [SealedSpan; MAX_SEALED],
}
