//! Control and debug registers: as the crash kernel left them to the purgatory, which has used SSE and breakpoints since. And
//! MXCSR: not as it was left, but as the purgatory needs it.

use handoff::text::Text;

use super::Group;
use crate::evidence::Evidence;

/// MXCSR after reset: all exceptions masked, round to nearest (SDM vol. 1, "MXCSR control and status register").
const MXCSR_RESET: u64 = 0x1f80;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>) {
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    let (note, entry) = (found.note, evidence.entry);
    group.equal("cr0", note.cr0.get(), entry.cr0);
    group.equal("cr4", note.cr4.get(), entry.cr4);
    group.equal("efer", note.efer.get(), entry.efer);
    group.equal("dr7", note.dr7.get(), entry.dr7);
    // So `hw_breakpoint_disable` (arch/x86/include/asm/debugreg.h) leaves them.
    for (name, &found) in ["dr0", "dr1", "dr2", "dr3"].into_iter().zip(&entry.addresses) {
        group.equal(name, 0, found);
    }
    group.equal("mxcsr", MXCSR_RESET, entry.mxcsr);
}
