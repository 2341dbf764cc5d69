//! The orders: the first bytes of a file, which is the ramdisk or is at [`crate::map::ORDERS`]. The
//! data that they point to follows in the same file.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{PhysSpan, SealedSpan};

/// The first eight bytes of the file.
pub const MAGIC: [u8; 8] = *b"kdorders";
/// KEXEC_SEGMENT_MAX (include/uapi/linux/kexec.h).
pub const MAX_SEGMENTS: usize = 16;
/// Maximum number of steps.
pub const MAX_STEPS: usize = 64;
/// Maximum number of spans for the payload to check.
pub const MAX_SEALED: usize = 32;

macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $number:literal;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $name { $($(#[$variant_meta])* $variant = $number),+ }

        impl $name {
            /// The variant with this number, if there is one.
            pub const fn from_wire(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

wire_enum! {
    /// What the crash kernel does.
    Mode {
        /// Print `awaiting orders` and wait for orders at [`crate::map::ORDERS`].
        Await = 1;
        /// Take the image, follow the steps, panic.
        Crash = 2;
    }
}

wire_enum! {
    /// What the descriptor-table registers hold when the purgatory is entered (kernel-side:
    /// relocate_kernel_64.S).
    Tables {
        /// Linux 6.12: GDT and IDT have base 0 and limit 0.
        Null = 1;
        /// Linux 7.2: GDT of four entries and IDT of 16 trap gates in the control page, whose
        /// handlers hang.
        Own = 2;
    }
}

wire_enum! {
    /// What non-maskable interrupts do.
    Nmi {
        /// None arrives.
        None = 1;
        /// The panic happens in the NMI handler: NMIs are blocked, and a second one is latched. It
        /// must reach the payload at its first IRET.
        Latched = 2;
        /// Another CPU, which could not be stopped, sends them endlessly once the purgatory is
        /// ready (the eight bytes at `Orders::nmi_ready` are no longer zero).
        Storm = 3;
    }
}

wire_enum! {
    /// A step between loading and the panic. The crash kernel prints `step N KIND` on COM2 before
    /// each.
    StepKind {
        /// Prints `awaiting memory`, waits until QEMU has plugged in a DIMM, takes it as RAM,
        /// plants a marker in it, and rewrites the elfcorehdr.
        MemoryAdded = 1;
        /// Prints `awaiting memory removal`, waits for the request, rewrites the elfcorehdr, and
        /// gives the DIMM back, in this order. Linux rewrites when the memory is offline but still
        /// registered as "System RAM" (`crash_memhp_notifier`, kernel/crash_core.c, on
        /// MEM_OFFLINE). So the header keeps a PT_LOAD for it.
        MemoryRemoved = 2;
        /// Prints `awaiting cpu`, waits until QEMU has plugged in a CPU, starts it, and rewrites
        /// the elfcorehdr.
        CpuAdded = 3;
        /// Prints `awaiting cpu removal`, waits for the request, stops and ejects that CPU, and
        /// rewrites the elfcorehdr.
        CpuRemoved = 4;
        /// Rewrites the elfcorehdr from what the kernel knows, as on a hotplug event.
        Rewrite = 5;
        /// A stray write: these bytes of the file go to physical address `at`, in the crash region
        /// or in the room for a kernel log.
        Write = 6;
    }
}

/// A segment as kexec_load(2) takes it: bytes of the file, then zeroes.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Segment {
    /// Physical address and `memsz`.
    pub memory: PhysSpan,
    /// Its bytes: offset in the file, and `bufsz`.
    pub file: PhysSpan,
}

/// One step; unused fields are zero.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Step {
    /// A [`StepKind`].
    pub kind: U32,
    /// Zero.
    pub reserved: U32,
    /// `Write`: physical address.
    pub at: U64,
    /// `Write`: offset in the file, and length.
    pub file: PhysSpan,
}

/// Everything that the crash kernel must know.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Orders {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// A [`Mode`].
    pub mode: U32,
    /// A [`Tables`].
    pub tables: U32,
    /// An [`Nmi`].
    pub nmi: U32,
    /// 1: enter the purgatory with CR4.LA57 and five levels of page tables; else 0.
    pub la57: U32,
    /// The CPU that panics: 0 is the one that booted. The others are numbered in the order of their
    /// start.
    pub panic_cpu: U32,
    /// CPUs for which the kernel's elfcorehdr has a note ("possible" in Linux), at most
    /// [`crate::map::MAX_CPUS`].
    pub possible_cpus: U32,
    /// The purgatory's entry point.
    pub entry: U64,
    /// `Nmi::Storm`: eight bytes that become non-zero when the purgatory's IDT is in place.
    pub nmi_ready: U64,
    /// Number of used entries in `segments`.
    pub segment_count: U32,
    /// Number of used entries in `steps`.
    pub step_count: U32,
    /// Number of used entries in `sealed`.
    pub sealed_count: U32,
    /// Zero.
    pub reserved: U32,
    /// The initrd's bytes as loaded. Passed on in the crash note, as is the next field.
    pub initrd: PhysSpan,
    /// The command line's bytes as loaded, with the NUL.
    pub command_line: PhysSpan,
    /// The image.
    pub segments: [Segment; MAX_SEGMENTS],
    /// The steps after loading.
    pub steps: [Step; MAX_STEPS],
    /// The contents that the payload must find, passed on in the crash note. They are as loaded,
    /// except block, leaf table and an elfcorehdr that is neither rewritten nor restored, which are
    /// as at the panic.
    pub sealed: [SealedSpan; MAX_SEALED],
}

impl Orders {
    /// Orders of zeroes with the magic set.
    pub fn blank(mode: Mode) -> Self {
        use zerocopy::FromZeros;
        let mut orders = Self::new_zeroed();
        orders.magic = MAGIC;
        orders.mode = U32::new(mode as u32);
        orders.tables = U32::new(Tables::Null as u32);
        orders.nmi = U32::new(Nmi::None as u32);
        orders
    }
}
