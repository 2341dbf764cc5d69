//! `[1]` From INIT to idle.
//!
//! *On entry*: the processor waits for a start-up message, as after a reset, or is halted and needs
//! an INIT first.
//!
//! *On exit*: it is idle, with its own stack and the boot CPU's control registers, page tables and
//! descriptor tables.

use alloc::boxed::Box;
use alloc::vec;
use core::arch::global_asm;

use orders::map::{DIRECT_MAP, TRAMPOLINE};
use x86_64::PhysAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr3, Cr3Flags, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::SegmentSelector;
use x86_64::structures::paging::{PageTable, PageTableFlags, PhysFrame};

use super::cpu::{self, State};
use super::work;
use crate::boot::{EFER, TABLE};
use crate::harness::give_up;
use crate::timeout::Timeout;
use crate::{apic, hotplug, memory};

/// Bytes of stack for each CPU. A whole panic runs on it.
const STACK_LEN: usize = 64 << 10;
/// Microseconds between INIT and the first start-up message (SDM vol. 3A, "Typical AP
/// Initialization Sequence").
const AFTER_INIT_US: u64 = 10_000;
/// Microseconds after which the start-up message is sent again if the processor has not arrived
/// (same place).
const AFTER_STARTUP_US: u64 = 200;
/// Seconds within which a processor must arrive (Linux: `cpuhp_bp_sync_alive`, kernel/cpu.c).
const ARRIVAL_SECONDS: u64 = 10;

/// Entries in the upper half of a top-level table: the kernel's.
const UPPER_HALF: core::ops::Range<usize> = 256..512;

global_asm!(
    include_str!("trampoline.S"),
    TRAMPOLINE = const TRAMPOLINE,
    CR0_PE = const Cr0Flags::PROTECTED_MODE_ENABLE.bits(),
    CR0_PG = const Cr0Flags::PAGING.bits(),
    CR4_PAE = const Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits(),
    EFER = const EFER,
    options(att_syntax)
);

unsafe extern "C" {
    static ap_trampoline: u8;
    static ap_trampoline_parameters: u8;
    static ap_trampoline_end: u8;
}

/// What `trampoline.S` loads, in this order.
struct Parameters {
    /// Physical address of the trampoline's top-level page table, below 4 GiB.
    cr3: u64,
    /// EFER without LMA, because a CPU may reject a write of that bit (Linux: `setup_real_mode`,
    /// arch/x86/realmode/init.c).
    efer: u64,
    /// Top of the stack.
    stack: u64,
    /// Address of [`arrive`].
    entry: u64,
    /// Address of the [`BootCpu`] that is its argument.
    boot_cpu: u64,
}

/// The state that an arriving CPU takes over from the one that starts it.
struct BootCpu {
    cr0: Cr0Flags,
    cr3: (PhysFrame, Cr3Flags),
    cr4: Cr4Flags,
    gdt: DescriptorTablePointer,
    idt: DescriptorTablePointer,
    code: SegmentSelector,
    data: SegmentSelector,
}

/// The page tables that lead from below 1 MiB into the kernel, like Linux's `trampoline_pgd`
/// (arch/x86/realmode/init.c): the first 2 MiB one to one, and the kernel's upper half.
struct Tables {
    level4: PageTable,
    level3: PageTable,
    level2: PageTable,
}

/// Makes the CPU that booted number 0 and starts every other that is plugged in.
pub fn start_all() {
    if !apic::is_xapic() {
        give_up(format_args!(
            "the local APIC is not in xAPIC mode; start QEMU with at most 255 CPUs"
        ));
    }
    apic::enable(true);
    let boot_cpu = cpu::admit(apic::id(), State::Busy);
    hotplug::present_cpus().filter(|apic_id| *apic_id != boot_cpu.apic_id()).for_each(|apic_id| {
        start(apic_id);
    });
}

/// Starts the CPU with this APIC id, waits until it is idle, and returns its number.
pub fn start(apic_id: u32) -> u32 {
    let cpu = cpu::admit(apic_id, State::Starting);
    let boot_cpu = BootCpu::this();
    let tables = Tables::build();
    let stack = Box::leak(vec![0_u8; STACK_LEN].into_boxed_slice()).as_ptr_range().end as u64;
    install(&Parameters {
        cr3: physical(&tables.level4),
        efer: (Efer::read() - EferFlags::LONG_MODE_ACTIVE).bits(),
        stack: stack / 16 * 16,
        entry: arrive as *const () as u64,
        boot_cpu: &raw const boot_cpu as u64,
    });

    let idle = || cpu.state.load() == State::Idle;
    apic::send_init(apic_id);
    Timeout::microseconds(AFTER_INIT_US).wait();
    apic::send_startup(apic_id, TRAMPOLINE);
    if !Timeout::microseconds(AFTER_STARTUP_US).reached_before(idle) {
        apic::send_startup(apic_id, TRAMPOLINE);
    }
    if !Timeout::seconds(ARRIVAL_SECONDS).reached_before(idle) {
        give_up(format_args!(
            "the CPU with APIC id {apic_id} did not start within {ARRIVAL_SECONDS} s"
        ));
    }
    cpu.number()
}

/// A processor's entry to Rust, on the trampoline's tables. The starting CPU waits meanwhile, and
/// keeps these and `boot_cpu`.
extern "C" fn arrive(boot_cpu: &BootCpu) -> ! {
    boot_cpu.take_over();
    apic::enable(false);
    let cpu = cpu::this();
    cpu.state.store(State::Idle);
    work::idle(cpu)
}

impl BootCpu {
    /// The state of the CPU that executes this.
    fn this() -> Self {
        let (gdt, idt) = (tables::sgdt(), tables::sidt());
        let (code, data) = (CS::get_reg(), SS::get_reg());
        Self { cr0: Cr0::read(), cr3: Cr3::read(), cr4: Cr4::read(), gdt, idt, code, data }
    }

    /// Sets this state on the CPU that executes this.
    fn take_over(&self) {
        // SAFETY: the kernel's own tables. This code, its stack and `self` are in the upper half,
        // which both sets of tables map alike.
        unsafe { Cr3::write(self.cr3.0, self.cr3.1) };
        // SAFETY: the kernel runs with this value on the boot CPU, and paging stays on.
        unsafe { Cr4::write(self.cr4) };
        // SAFETY: as for CR4.
        unsafe { Cr0::write(self.cr0) };
        // SAFETY: it is mapped in the kernel's tables, and never changes.
        unsafe { tables::lgdt(&self.gdt) };
        // SAFETY: the boot CPU's own code selector in that table.
        unsafe { CS::set_reg(self.code) };
        // SAFETY: the boot CPU's own stack selector in that table: a flat data segment.
        unsafe { SS::set_reg(self.data) };
        // SAFETY: as for SS.
        unsafe { DS::set_reg(self.data) };
        // SAFETY: as for SS.
        unsafe { ES::set_reg(self.data) };
        // SAFETY: the kernel's table, whose gates use the current stack.
        unsafe { tables::lidt(&self.idt) };
    }
}

impl Tables {
    fn build() -> Box<Self> {
        if Cr4::read().contains(Cr4Flags::L5_PAGING) {
            give_up(format_args!("the trampoline's tables have four levels, the kernel's five"));
        }
        let mut tables = Box::new(Self {
            level4: PageTable::new(),
            level3: PageTable::new(),
            level2: PageTable::new(),
        });
        let kernels = memory::direct(Cr3::read().0.start_address().as_u64()).cast::<PageTable>();
        // SAFETY: the current top-level table. Only its accessed bits can change meanwhile.
        let kernels = unsafe { &*kernels };
        for index in UPPER_HALF {
            tables.level4[index] = kernels[index].clone();
        }
        let (level3, level2) =
            (PhysAddr::new(physical(&tables.level3)), PhysAddr::new(physical(&tables.level2)));
        tables.level4[0].set_addr(level3, TABLE);
        tables.level3[0].set_addr(level2, TABLE);
        tables.level2[0].set_addr(PhysAddr::zero(), TABLE | PageTableFlags::HUGE_PAGE);
        tables
    }
}

/// Copies the trampoline to its place and fills in its parameters.
fn install(parameters: &Parameters) {
    let start = &raw const ap_trampoline;
    let len = (&raw const ap_trampoline_end).addr() - start.addr();
    // SAFETY: trampoline.S defines both symbols in read-only data, with the code between them.
    let code = unsafe { core::slice::from_raw_parts(start, len) };
    memory::write(TRAMPOLINE, code);
    let Parameters { cr3, efer, stack, entry, boot_cpu } = *parameters;
    let at = TRAMPOLINE + ((&raw const ap_trampoline_parameters).addr() - start.addr()) as u64;
    for (word, at) in [cr3, efer, stack, entry, boot_cpu].into_iter().zip((at..).step_by(8)) {
        memory::write_word(at, word);
    }
}

/// The physical address of a table from the heap, which is in the direct map and below 4 GiB.
fn physical(table: &PageTable) -> u64 {
    let address = (&raw const *table as u64).wrapping_sub(DIRECT_MAP);
    assert!(address < 1 << 32, "the heap is not in the first 4 GiB of the direct map");
    address
}
