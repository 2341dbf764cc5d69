//! Control and debug registers: as the crash kernel left them to the purgatory, which has used SSE and breakpoints since.

use handoff::text::Text;

use super::Group;
use crate::evidence::Evidence;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>) {
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    let (note, entry) = (found.note, evidence.entry);
    group.equal("cr0", note.cr0.get(), entry.cr0);
    group.equal("cr4", note.cr4.get(), entry.cr4);
    group.equal("efer", note.efer.get(), entry.efer);
    group.equal("dr7", note.dr7.get(), entry.dr7);
}
