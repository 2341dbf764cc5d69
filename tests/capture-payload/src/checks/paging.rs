//! Paging: still the crash kernel's page tables. They map one to one all that the capture kernel
//! uses before it has its own tables (boot.rst, "64-bit Boot Protocol"), and all that the CPU uses
//! for an NMI until then.

use handoff::text::Text;

use super::{Group, registers, segments};
use crate::Physical;
use crate::entry_state::General;
use crate::evidence::Evidence;
use crate::page_walk::Tables;
use crate::range::Range;
use crate::zero_page;

/// Bytes of an NMI handler that are checked: the purgatory's has at most 16 (trap.S, `STUB_SIZE`).
const NMI_HANDLER_LEN: u64 = 16;

pub(super) fn check<Out: Text>(
    group: &mut Group<'_, Out>,
    evidence: &Evidence<'_>,
    physical: &impl Physical,
) {
    let Evidence { entry, program, .. } = evidence;
    if let Some(found) = group.needs("crash note", evidence.crash_note) {
        group.equal("cr3", found.note.cr3.get(), entry.cr3);
    }
    let page = group.needs("boot_params", evidence.zero_page);
    let line = group.needs("command line", evidence.command_line);
    let handler =
        group.needs("nmi handler", segments::nmi_handler(&entry.idtr, physical).ok_or("none"));
    let tables = Tables::new(entry.cr3, entry.cr4);
    let mut mapped = |item: &str, range: Option<Range>| {
        let Some(range) = range else {
            return group.fails(|line| _ = line.text(item).text(": found a range that wraps"));
        };
        if let Some((at, gap)) = tables.gap(physical, range) {
            group.fails(|line| {
                line.text(item).text(" at ").hex(at);
                line.text(": expected a writable one-to-one mapping found ").text(gap.words());
            });
        }
    };
    mapped("payload", Some(program.image()));
    mapped("boot_params", Range::new(entry.general(General::Rsi), zero_page::LEN as u64));
    if let Some(page) = page {
        let (start, len) = page.ramdisk();
        mapped("initrd", Range::new(start, len));
        if let Some(line) = line {
            mapped("command line", Range::new(page.command_line(), line.len() as u64 + 1));
        }
    }
    // Until the capture kernel has its own tables, the CPU must be able to read these for an NMI.
    mapped("gdt", Range::new(entry.gdtr.base, u64::from(entry.gdtr.limit) + 1));
    mapped("idt", Range::new(entry.idtr.base, u64::from(entry.idtr.limit) + 1));
    if let Some(handler) = handler {
        mapped("nmi handler", Range::new(handler, NMI_HANDLER_LEN));
    }
    mapped("stack", Some(registers::stack(entry)));
}
