//! The local APIC: who this CPU is, and the interrupts that it sends to others.
//!
//! On entry: in xAPIC mode, as the firmware leaves it on machines with APIC ids up to 254; its
//! registers are reached through the direct map. On exit: enabled, with every source masked but
//! NMI, so that nothing ever interrupts but what is sent.
//!
//! Registers, bits and message formats: SDM vol. 3A, chapter "Advanced Programmable Interrupt
//! Controller (APIC)".

use core::ptr;

use orders::map::DIRECT_MAP;
use x86_64::registers::model_specific::Msr;

/// IA32_APIC_BASE (SDM vol. 4, "IA-32 Architectural MSRs").
const APIC_BASE: Msr = Msr::new(0x1b);
/// APIC_BASE: APIC global enable.
const BASE_ENABLED: u64 = 1 << 11;
/// APIC_BASE: x2APIC mode.
const BASE_X2APIC: u64 = 1 << 10;
/// APIC_BASE: where its registers are, for a CPU with at most 52 physical address bits.
const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Spurious-interrupt vector register: APIC software enable.
const SOFTWARE_ENABLED: u32 = 1 << 8;
/// Local vector table: masked.
const MASKED: u32 = 1 << 16;
/// Local vector table and ICR: delivery mode NMI.
const DELIVER_NMI: u32 = 0b100 << 8;
/// ICR: delivery mode INIT.
const DELIVER_INIT: u32 = 0b101 << 8;
/// ICR: delivery mode start-up, whose vector is the page at which the processor starts.
const DELIVER_STARTUP: u32 = 0b110 << 8;
/// Local vector table: delivery mode ExtINT.
const DELIVER_EXTINT: u32 = 0b111 << 8;
/// ICR: level assert, for all messages except an INIT level de-assert.
const ASSERT: u32 = 1 << 14;
/// ICR: the message has not been accepted yet.
const SEND_PENDING: u32 = 1 << 12;
/// Position of the destination in ICR's upper half, and of the own id in its register.
const ID_SHIFT: u32 = 24;
/// The vector that Linux puts into the spurious-interrupt vector register (`SPURIOUS_APIC_VECTOR`,
/// irq_vectors.h).
const SPURIOUS_VECTOR: u32 = 0xff;
/// The vector that it leaves there on the way into the next kernel (`disconnect_bsp_APIC`,
/// arch/x86/kernel/apic/apic.c).
const SPURIOUS_VECTOR_AT_EXIT: u32 = 0x0f;

/// A register: its offset.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Register {
    Id = 0x020,
    SpuriousVector = 0x0f0,
    CommandLow = 0x300,
    CommandHigh = 0x310,
    Timer = 0x320,
    Thermal = 0x330,
    Performance = 0x340,
    Lint0 = 0x350,
    Lint1 = 0x360,
    Error = 0x370,
}

/// This CPU's id.
pub fn id() -> u32 {
    read(Register::Id) >> ID_SHIFT
}

/// Whether this CPU's APIC is in the mode that this module uses.
pub fn is_xapic() -> bool {
    base() & (BASE_ENABLED | BASE_X2APIC) == BASE_ENABLED
}

/// Enables it with every source masked, except NMI at LINT1 on the boot CPU (`setup_local_APIC`,
/// arch/x86/kernel/apic/apic.c).
pub fn enable(boot_cpu: bool) {
    write(Register::SpuriousVector, SOFTWARE_ENABLED | SPURIOUS_VECTOR);
    mask_sources();
    write(Register::Lint0, MASKED | DELIVER_EXTINT);
    write(Register::Lint1, if boot_cpu { DELIVER_NMI } else { MASKED | DELIVER_NMI });
}

/// Sets it as Linux does on the CPU that panics: `lapic_shutdown`, then `restore_boot_irq_mode`.
/// The latter enables it again, so that the legacy interrupt controller's INTR and the chipset's
/// NMI are delivered.
pub fn leave_for_next_kernel() {
    mask_sources();
    write(Register::SpuriousVector, SOFTWARE_ENABLED | SPURIOUS_VECTOR_AT_EXIT);
    write(Register::Lint0, DELIVER_EXTINT);
    write(Register::Lint1, DELIVER_NMI);
}

/// Switches it off on a CPU that stops (`disable_local_APIC`, arch/x86/kernel/apic/apic.c). INIT
/// and NMI are still delivered.
pub fn disable() {
    mask_sources();
    write(Register::Lint0, MASKED);
    write(Register::Lint1, MASKED);
    write(Register::SpuriousVector, SPURIOUS_VECTOR);
}

/// Sends an NMI to the CPU with this id, which may be the sender. No shorthand exists for that:
/// "self" works with fixed interrupts only (SDM, "Valid Combinations for the … Local xAPIC
/// Interrupt Command Register").
pub fn send_nmi(id: u32) {
    send(id, ASSERT | DELIVER_NMI);
}

/// Makes the CPU with this id wait for a start-up message.
pub fn send_init(id: u32) {
    send(id, ASSERT | DELIVER_INIT);
}

/// Starts the waiting CPU with this id in real mode at `page`, a physical address below 1 MiB.
pub fn send_startup(id: u32, page: u64) {
    assert!(
        page < 1 << 20 && page.is_multiple_of(4096),
        "{page:#x} is not the address of a page in the low MiB"
    );
    send(id, ASSERT | DELIVER_STARTUP | (page >> 12) as u32);
}

fn send(id: u32, command: u32) {
    assert!(id < 0xff, "APIC id {id} needs x2APIC mode: start QEMU with fewer CPUs");
    while read(Register::CommandLow) & SEND_PENDING != 0 {
        core::hint::spin_loop();
    }
    write(Register::CommandHigh, id << ID_SHIFT);
    // The write to the lower half sends.
    write(Register::CommandLow, command);
    while read(Register::CommandLow) & SEND_PENDING != 0 {
        core::hint::spin_loop();
    }
}

fn mask_sources() {
    for source in [Register::Timer, Register::Thermal, Register::Performance, Register::Error] {
        write(source, MASKED);
    }
}

fn base() -> u64 {
    // SAFETY: every x86-64 CPU has this register, and reading it has no effect.
    unsafe { APIC_BASE.read() }
}

fn address(register: Register) -> *mut u32 {
    ptr::with_exposed_provenance_mut(
        (DIRECT_MAP + (base() & BASE_ADDRESS) + register as u64) as usize,
    )
}

fn read(register: Register) -> u32 {
    // SAFETY: boot.S maps the first 4 GiB of physical memory at DIRECT_MAP, where the registers
    // are. Reading one of these has no effect.
    unsafe { address(register).read_volatile() }
}

fn write(register: Register, value: u32) {
    // SAFETY: mapped as for `read`. These writes raise only interrupts that this kernel handles:
    // every CPU has a handler for NMI, and INIT and start-up go to CPUs that must start.
    unsafe { address(register).write_volatile(value) }
}
