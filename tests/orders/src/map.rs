//! Fixed addresses of the crash kernel. They must be the same in the machine that is described and
//! in the machine that crashes.
//!
//! The memory map at boot must call all of this memory RAM, which is checked.

/// The crash region: what `crashkernel=64M` would have reserved.
pub const CRASH_REGION_START: u64 = 0x1000_0000;
/// Its length.
pub const CRASH_REGION_LEN: u64 = 0x0400_0000;

/// The crash kernel's own data: notes, the AP trampoline's tables, heap, stacks.
pub const KERNEL_DATA_START: u64 = 0x0c00_0000;
/// Its length.
pub const KERNEL_DATA_LEN: u64 = 0x0400_0000;

/// The per-CPU crash notes, [`CPU_NOTE_LEN`] bytes each, at the start of the kernel's data.
pub const CPU_NOTES: u64 = KERNEL_DATA_START;
/// Bytes of one CPU's note, `sizeof(note_buf_t)` in Linux on x86-64 (368;
/// include/linux/crash_core.h) rounded up so that none crosses a page.
pub const CPU_NOTE_STRIDE: u64 = 512;
/// `sizeof(note_buf_t)`.
pub const CPU_NOTE_LEN: u64 = 368;
/// Maximum number of CPUs with a note: NR_CPUS of a distribution's kernel (CONFIG_MAXSMP).
pub const MAX_CPUS: u64 = 8192;

/// The counterpart of Linux's vmcoreinfo: one ELF note with a [`crate::CrashNote`], in a PT_NOTE.
pub const CRASH_NOTE: u64 = CPU_NOTES + MAX_CPUS * CPU_NOTE_STRIDE;
/// Bytes reserved for it.
pub const CRASH_NOTE_LEN: u64 = 0x2000;

/// The rest of the kernel's data: heap and stacks.
pub const KERNEL_HEAP: u64 = CRASH_NOTE + 0x10_0000;

/// Where stray writes put a kernel log: after the heap, before the crash region.
pub const KERNEL_LOG: u64 = KERNEL_DATA_START + 0x0200_0000;
/// Bytes reserved for it.
pub const KERNEL_LOG_LEN: u64 = 0x0100_0000;

/// Where orders are awaited: after the crash region and the marker there.
pub const ORDERS: u64 = 0x1800_0000;
/// Bytes reserved for them: enough for an initial RAM disk of 12 MiB.
pub const ORDERS_LEN: u64 = 16 << 20;

/// The page below 1 MiB at which an application processor starts in real mode (SIPI vector 8).
pub const TRAMPOLINE: u64 = 0x8000;

/// Where all physical memory is mapped in the crash kernel: Linux's direct map without KASLR
/// (`__PAGE_OFFSET_BASE_L4`, arch/x86/include/asm/page_64_types.h).
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
/// How far above its physical address the crash kernel's image is linked: Linux's
/// `__START_KERNEL_map` (arch/x86/include/asm/page_64_types.h).
pub const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// Where its text is linked. It is loaded at 16 MiB, as Linux is without KASLR.
pub const KERNEL_TEXT: u64 = KERNEL_MAP + 0x0100_0000;

const _: () = assert!(
    CRASH_NOTE + CRASH_NOTE_LEN <= KERNEL_HEAP && KERNEL_HEAP < KERNEL_DATA_START + KERNEL_DATA_LEN
);
const _: () = assert!(KERNEL_DATA_START + KERNEL_DATA_LEN == CRASH_REGION_START);
const _: () = assert!(KERNEL_LOG + KERNEL_LOG_LEN < CRASH_REGION_START);
// A page with a marker follows the crash region.
const _: () = assert!(ORDERS >= CRASH_REGION_START + CRASH_REGION_LEN + 4096);
