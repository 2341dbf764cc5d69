//! `[1]` From QEMU's PVH loader to Rust, and what that loader hands over (Linux:
//! include/xen/interface/hvm/start_info.h).
//!
//! *On exit*: 64-bit mode, the kernel's own page tables; memory map and ramdisk are known.

use core::arch::global_asm;
use core::ops::Range;

use orders::map::{DIRECT_MAP, KERNEL_MAP, KERNEL_TEXT};
use x86_64::registers::control::{Cr0Flags, Cr4Flags, EferFlags};
use x86_64::structures::paging::PageTableFlags;
use zerocopy::{FromBytes, Immutable};

use crate::harness::give_up;
use crate::memory;

/// Type of the ELF note that names the entry (include/xen/interface/elfnote.h).
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;
/// IA32_EFER (SDM vol. 4, "IA-32 Architectural MSRs").
pub const EFER: u32 = 0xc000_0080;
/// Bytes of stack.
const STACK_SIZE: u64 = 128 << 10;
/// How much physical memory boot.S maps: 4 GiB, with the registers of the local APIC.
pub const MAPPED: u64 = 4 << 30;

/// An entry that points to a table.
pub const TABLE: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);
/// The direct map's pages of 2 MiB: data.
const LARGE_PAGE: PageTableFlags =
    TABLE.union(PageTableFlags::HUGE_PAGE).union(PageTableFlags::NO_EXECUTE);

global_asm!(
    include_str!("boot.S"),
    PHYS32_ENTRY = const XEN_ELFNOTE_PHYS32_ENTRY,
    KERNEL_MAP = const KERNEL_MAP,
    PRESENT = const PageTableFlags::PRESENT.bits(),
    WRITABLE = const PageTableFlags::WRITABLE.bits(),
    NO_EXECUTE = const PageTableFlags::NO_EXECUTE.bits(),
    TABLE = const TABLE.bits(),
    LARGE_PAGE = const LARGE_PAGE.bits(),
    CR4 = const Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits(),
    EFER = const EFER,
    EFER_VALUE = const EferFlags::LONG_MODE_ENABLE.union(EferFlags::NO_EXECUTE_ENABLE).bits(),
    CR0 = const Cr0Flags::PAGING
        .union(Cr0Flags::WRITE_PROTECT)
        .union(Cr0Flags::PROTECTED_MODE_ENABLE)
        .bits(),
    DIRECT_SLOT = const DIRECT_MAP >> 39 & 511,
    DIRECT_TABLES = const MAPPED >> 30,
    IMAGE_SLOT = const KERNEL_TEXT >> 21 & 511,
    STACK_SIZE = const STACK_SIZE,
    TELL = sym crate::story::tell,
    options(att_syntax)
);

/// What boot.S assumes: the image fills pages of its own table, in the last 2 GiB.
const _: () = assert!(KERNEL_TEXT.is_multiple_of(2 << 20) && KERNEL_MAP == u64::MAX << 31);

/// `hvm_start_info`.
#[derive(FromBytes, Immutable)]
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    nr_modules: u32,
    modlist_paddr: u64,
    cmdline_paddr: u64,
    rsdp_paddr: u64,
    memmap_paddr: u64,
    memmap_entries: u32,
    reserved: u32,
}
/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;
/// The first version with a memory map.
const WITH_MEMORY_MAP: u32 = 1;

/// `hvm_modlist_entry`.
#[derive(FromBytes, Immutable)]
#[repr(C)]
struct Module {
    paddr: u64,
    size: u64,
    cmdline_paddr: u64,
    reserved: u64,
}

/// `hvm_memmap_table_entry`.
#[derive(FromBytes, Immutable)]
#[repr(C)]
pub struct MemoryRange {
    addr: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}
/// `XEN_HVM_MEMMAP_TYPE_RAM`.
const RAM: u32 = 1;

impl MemoryRange {
    pub fn range(&self) -> Range<u64> {
        self.addr..self.addr.saturating_add(self.size)
    }

    pub fn is_ram(&self) -> bool {
        self.kind == RAM
    }
}

/// What was handed over. It stays in place.
pub struct Boot {
    pub memory_map: &'static [MemoryRange],
    /// The first module: the file that QEMU calls the initrd.
    pub ramdisk: &'static [u8],
}

/// Reads what the `hvm_start_info` at this physical address names.
pub fn read(start_info: u64) -> Boot {
    let info: &StartInfo = &handed(start_info, 1)[0];
    if info.magic != MAGIC || info.version < WITH_MEMORY_MAP {
        let StartInfo { magic, version, .. } = info;
        give_up(format_args!("there is no memory map: magic {magic:#x}, version {version}"));
    }
    let modules: &[Module] = handed(info.modlist_paddr, info.nr_modules.into());
    let Some(Module { paddr, size, .. }) = modules.first() else {
        give_up(format_args!("there is no ramdisk"))
    };
    let memory_map = handed(info.memmap_paddr, info.memmap_entries.into());
    Boot { memory_map, ramdisk: handed(*paddr, *size) }
}

/// Objects in physical memory, where QEMU has put them.
fn handed<T: FromBytes + Immutable>(start: u64, count: u64) -> &'static [T] {
    let end = count.checked_mul(size_of::<T>() as u64).and_then(|len| start.checked_add(len));
    if end.is_none_or(|end| end > MAPPED) || !start.is_multiple_of(align_of::<T>() as u64) {
        give_up(format_args!("{count} objects cannot be read at {start:#x}"));
    }
    // SAFETY: boot.S has mapped them permanently. They are aligned, and no bit pattern of them is
    // invalid. Nothing writes there: the start info and the modules are read before anything is
    // written, and `memory::take` gives up if the others are in memory that is ours.
    unsafe {
        core::slice::from_raw_parts(memory::direct(start).cast_const().cast(), count as usize)
    }
}
