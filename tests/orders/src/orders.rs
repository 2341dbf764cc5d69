//! The file of orders: [`MAGIC`], then an [`Orders`] in postcard's format. It is the ramdisk, or is
//! at [`crate::map::ORDERS`].

use alloc::vec::Vec;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::note::Nmi;

/// The first eight bytes of the file.
pub const MAGIC: [u8; 8] = *b"kdorders";

/// What the crash kernel does.
#[derive(Debug, Serialize, Deserialize)]
pub enum Orders<'a> {
    /// Print `awaiting orders` and wait for others at [`crate::map::ORDERS`].
    Await,
    /// Take the image, follow the steps, panic.
    #[serde(borrow)]
    Crash(Crash<'a>),
}

impl<'a> Orders<'a> {
    /// The file.
    pub fn to_file(&self) -> Vec<u8> {
        postcard::to_extend(self, Vec::from(MAGIC)).expect("a Vec takes every byte")
    }

    /// The orders that a file begins with, or why there are none.
    pub fn from_file(file: &'a [u8]) -> Result<Self, postcard::Error> {
        let orders = file.strip_prefix(&MAGIC).ok_or(postcard::Error::DeserializeBadEncoding)?;
        postcard::take_from_bytes(orders).map(|(orders, _)| orders)
    }
}

/// Everything that the crash kernel must know.
#[derive(Debug, Serialize, Deserialize)]
pub struct Crash<'a> {
    /// Descriptor tables as the purgatory is entered.
    pub tables: Tables,
    /// What non-maskable interrupts do.
    pub nmi: Nmi,
    /// Whether to enter the purgatory with CR4.LA57 and five levels of page tables.
    pub la57: bool,
    /// The CPU that panics: 0 is the one that booted. The others are numbered in the order of their
    /// start.
    pub panic_cpu: u32,
    /// CPUs for which the kernel's elfcorehdr has a note ("possible" in Linux), at most
    /// [`crate::map::MAX_CPUS`].
    pub possible_cpus: u32,
    /// The purgatory's entry point.
    pub entry: u64,
    /// [`Nmi::Storm`]: eight bytes that become non-zero when the purgatory's IDT is in place.
    pub nmi_ready: u64,
    /// The initrd's bytes as loaded. Passed on in the crash note, as is the next field.
    pub initrd: Range<u64>,
    /// The command line's bytes as loaded, with the NUL.
    pub command_line: Range<u64>,
    /// The image.
    #[serde(borrow)]
    pub segments: Vec<Segment<'a>>,
    /// The steps after loading.
    #[serde(borrow)]
    pub steps: Vec<Step<'a>>,
    /// The contents that the payload must find, passed on in the crash note. They are as loaded,
    /// except block, leaf table and an elfcorehdr that is neither rewritten nor restored, which are
    /// as at the panic.
    pub sealed: Vec<Sealed>,
}

/// What the descriptor-table registers hold when the purgatory is entered (kernel-side:
/// relocate_kernel_64.S).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tables {
    /// Linux 6.12: GDT and IDT have base 0 and limit 0.
    Null,
    /// Linux 7.2: GDT of four entries and IDT of 16 trap gates in the control page, whose handlers
    /// hang.
    Own,
}

/// A segment as kexec_load(2) takes it: bytes, then zeroes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Segment<'a> {
    /// Where it goes.
    pub memory: Range<u64>,
    /// The bytes that are copied to its start.
    pub bytes: &'a [u8],
}

/// A step between loading and the panic. The crash kernel prints `step N STEP` on COM2 before each.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Step<'a> {
    /// Prints `awaiting memory`, waits until QEMU has plugged in a DIMM, takes it as RAM, plants a
    /// marker in it, and rewrites the elfcorehdr.
    MemoryAdded,
    /// Prints `awaiting memory removal`, waits for the request, rewrites the elfcorehdr, and gives
    /// the DIMM back, in this order. Linux rewrites when the memory is offline but still registered
    /// as "System RAM" (`crash_memhp_notifier`, kernel/crash_core.c, on MEM_OFFLINE). So the header
    /// keeps a PT_LOAD for it.
    MemoryRemoved,
    /// Prints `awaiting cpu`, waits until QEMU has plugged in a CPU, starts it, and rewrites the
    /// elfcorehdr.
    CpuAdded,
    /// Prints `awaiting cpu removal`, waits for the request, stops and ejects that CPU, and
    /// rewrites the elfcorehdr.
    CpuRemoved,
    /// Rewrites the elfcorehdr from what the kernel knows, as on a hotplug event.
    Rewrite,
    /// A stray write, in the crash region or in the room for a kernel log.
    Write {
        /// Physical address of the first byte.
        at: u64,
        /// The bytes that go there.
        bytes: &'a [u8],
    },
}

/// A span of physical memory, and its required contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed {
    /// Where.
    pub span: Range<u64>,
    /// SHA-256 of all of it.
    pub sha256: [u8; 32],
}
