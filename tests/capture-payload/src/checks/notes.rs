//! Notes: one NT_PRSTATUS for each CPU that was online, found where the elfcorehdr's PT_NOTEs
//! point.

use handoff::text::Text;
use orders::note::{PR_PID, PRSTATUS_LEN};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use super::Group;
use crate::evidence::Evidence;
use crate::{Physical, elf};

/// `NT_PRSTATUS` (include/uapi/linux/elf.h).
const NT_PRSTATUS: u32 = 1;
/// Its name, with its NUL.
const CORE: &[u8] = b"CORE\0";

pub(super) fn check<Out: Text>(
    group: &mut Group<'_, Out>,
    evidence: &Evidence<'_>,
    physical: &impl Physical,
) {
    let Some(headers) = group.needs("elfcorehdr", evidence.headers) else { return };
    let Some(found) = group.found("crash note", evidence.crash_note) else { return };
    let note = found.note;
    let cpus = || {
        headers
            .notes()
            .flat_map(|phdr| elf::notes(physical, phdr))
            .filter_map(|note| apic_id(&note))
    };
    let (online, panicking) = (u64::from(note.online_cpus.get()), note.apic_id.get());
    let noted = cpus().count() as u64;
    if evidence.outdated() {
        // It has no PT_NOTE for a CPU that was plugged in later, which may even be the one that
        // panicked.
        group.ensure((1..=online).contains(&noted), |line| {
            line.text("cpus: expected 1 to ").decimal(online).text(" notes found ").decimal(noted);
        });
        return;
    }
    group.equal_count("cpus", online, noted);
    let twice = cpus().find(|&id| cpus().filter(|&other| other == id).count() > 1);
    if let Some(id) = twice {
        group.expect(false, "cpus: expected one note each found several of apic id", id.into());
    }
    let is_noted = cpus().any(|id| id == panicking);
    group.expect(is_noted, "panicking cpu: no note found of apic id", panicking.into());
    if evidence.rewritten() {
        group.equal_count("possible cpus", note.possible_cpus.get().into(), found.index as u64);
    }
    let last = headers.notes().count() as u64;
    group.equal_count("PT_NOTEs", found.index as u64 + 1, last);
}

/// The APIC id in a CPU's note; `None` for other notes.
fn apic_id(note: &elf::Note<'_>) -> Option<u32> {
    let prstatus =
        note.kind == NT_PRSTATUS && note.name == CORE && note.descriptor.len() == PRSTATUS_LEN;
    let at = prstatus.then(|| note.descriptor.get(PR_PID..))??;
    U32::read_from_prefix(at).ok().map(|(id, _)| id.get())
}
