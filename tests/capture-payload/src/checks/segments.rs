//! Selectors, their descriptors, and the IDT that stays until the capture kernel loads its own
//! (boot.rst, "64-bit Boot Protocol").

use handoff::text::Text;
use zerocopy::little_endian::U64;

use super::Group;
use crate::Physical;
use crate::entry_state::{EntryState, Segment, TableRegister};
use crate::range::CRASH_REGION;

/// `__BOOT_CS`.
const BOOT_CS: u64 = 0x10;
/// `__BOOT_DS`.
const BOOT_DS: u64 = 0x18;

/// The relevant bits of a descriptor, and their values (SDM vol. 3A, "Segment descriptors").
/// "Accessed" may have either value, and so may D/B of data, which 64-bit mode ignores.
struct Wanted {
    mask: u64,
    value: u64,
}

/// Base 0, limit 4 GiB, present, DPL 0; 64-bit code, readable.
const FLAT_CODE: Wanted = Wanted { mask: 0xffef_feff_ffff_ffff, value: 0x00af_9a00_0000_ffff };
/// Base 0, limit 4 GiB, present, DPL 0; data, writable.
const FLAT_DATA: Wanted = Wanted { mask: 0xffaf_feff_ffff_ffff, value: 0x008f_9200_0000_ffff };

/// The vector of NMIs.
const NMI: u64 = 2;
/// Bytes of a gate.
const GATE_LEN: u64 = 16;
/// Bits 40 to 47 of a gate: present, DPL 0, interrupt gate.
const INTERRUPT_GATE: u64 = 0x8e;

pub(super) fn check<Out: Text>(
    group: &mut Group<'_, Out>,
    entry: &EntryState,
    physical: &impl Physical,
) {
    for &segment in Segment::ALL {
        let expected = if segment == Segment::Cs { BOOT_CS } else { BOOT_DS };
        group.equal(segment.name(), expected, entry.selector(segment));
    }
    descriptor(group, "gdt 0x10", &entry.gdtr, BOOT_CS, &FLAT_CODE, physical);
    descriptor(group, "gdt 0x18", &entry.gdtr, BOOT_DS, &FLAT_DATA, physical);
    nmi_gate(group, &entry.idtr, physical);
}

fn descriptor<Out: Text>(
    group: &mut Group<'_, Out>,
    item: &str,
    table: &TableRegister,
    selector: u64,
    wanted: &Wanted,
    physical: &impl Physical,
) {
    let Some([found]) = words(physical, table, selector) else {
        return outside(group, item, table);
    };
    group.equal(item, wanted.value, found & wanted.mask);
}

fn nmi_gate<Out: Text>(
    group: &mut Group<'_, Out>,
    table: &TableRegister,
    physical: &impl Physical,
) {
    let item = "idt nmi gate";
    let Some([low, high]) = words(physical, table, NMI * GATE_LEN) else {
        return outside(group, item, table);
    };
    // Selector, IST, type (SDM vol. 3A, "64-bit IDT gate descriptors"). IST must be 0: the other
    // stack is that of exceptions, which an NMI may interrupt.
    group.equal("idt nmi gate: type and ist", INTERRUPT_GATE << 8, low >> 32 & 0xff07);
    group.equal("idt nmi gate: selector", BOOT_CS, low >> 16 & 0xffff);
    let handler = handler(low, high);
    let words = "idt nmi gate: expected a handler in the crash region found";
    group.expect(CRASH_REGION.has(handler), words, handler);
}

/// The target of the NMI gate, if there is one.
pub(super) fn nmi_handler(table: &TableRegister, physical: &impl Physical) -> Option<u64> {
    words(physical, table, NMI * GATE_LEN).map(|[low, high]| handler(low, high))
}

/// A gate's offset.
fn handler(low: u64, high: u64) -> u64 {
    low & 0xffff | low >> 32 & 0xffff_0000 | high << 32
}

fn outside<Out: Text>(group: &mut Group<'_, Out>, item: &str, table: &TableRegister) {
    group.fails(|line| {
        line.text(item).text(": expected one in the crash region found a table at ");
        line.hex(table.base).text(" limit ").hex(table.limit.into());
    });
}

/// The `N` words at `offset` of a table, if it is long enough and in the crash region.
fn words<const N: usize>(
    physical: &impl Physical,
    table: &TableRegister,
    offset: u64,
) -> Option<[u64; N]> {
    let last = offset + size_of::<[u64; N]>() as u64 - 1;
    let at = table.base.checked_add(offset)?;
    let reachable = last <= u64::from(table.limit)
        && CRASH_REGION.has(at)
        && CRASH_REGION.has(at + (last - offset));
    let words: [U64; N] = reachable.then(|| physical.read(at))??;
    Some(words.map(U64::get))
}
