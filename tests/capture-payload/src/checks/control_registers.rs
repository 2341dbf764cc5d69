//! Control and debug registers: the values that the crash kernel left, although the purgatory used
//! SSE and breakpoints since. MXCSR has its value after reset instead.

use handoff::text::Text;

use super::Group;
use crate::evidence::Evidence;

/// MXCSR after reset: all exceptions masked, round to nearest (SDM vol. 1, "MXCSR control and
/// status register").
const MXCSR_RESET: u64 = 0x1f80;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>) {
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    let (note, entry) = (found.note, evidence.entry);
    group.equal("cr0", note.cr0.get(), entry.cr0);
    group.equal("cr4", note.cr4.get(), entry.cr4);
    group.equal("efer", note.efer.get(), entry.efer);
    group.equal("dr7", note.dr7.get(), entry.dr7);
    // `hw_breakpoint_disable` (arch/x86/include/asm/debugreg.h) sets them to 0.
    for (name, &found) in ["dr0", "dr1", "dr2", "dr3"].into_iter().zip(&entry.addresses) {
        group.equal(name, 0, found);
    }
    group.equal("mxcsr", MXCSR_RESET, entry.mxcsr);
}
