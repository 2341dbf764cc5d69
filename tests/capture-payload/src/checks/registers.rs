//! General registers: boot.rst specifies only RSI. The purgatory's leave.S promises zeroes in all
//! others, except RDI, which it jumps through, and RSP, its own empty stack. RIP is the entry
//! point, so only the payload's load address can be wrong.

use handoff::text::Text;

use super::Group;
use crate::entry_state::{EntryState, General};
use crate::evidence::Evidence;
use crate::range::{CRASH_REGION, Range};
use crate::{setup_header, zero_page};

/// Alignment of RSP before anything is pushed (System V ABI).
const STACK_ALIGNMENT: u64 = 16;
/// What an NMI pushes before the capture kernel has a stack of its own: SS, RSP, RFLAGS, CS, RIP
/// (SDM vol. 3A, "64-bit mode stack frame"), and as much again.
const STACK_LEN: u64 = 2 * 5 * 8;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>) {
    let Evidence { entry, program, .. } = evidence;
    for &register in General::ALL {
        let expected = match register {
            General::Rsi | General::Rsp => continue,
            General::Rdi => program.load + setup_header::ENTRY_OFFSET,
            _ => 0,
        };
        group.equal(register.name(), expected, entry.general(register));
    }
    let rsi = entry.general(General::Rsi);
    let page = Range::new(rsi, zero_page::LEN as u64);
    let plausible = rsi.is_multiple_of(zero_page::LEN as u64)
        && page.is_some_and(|page| CRASH_REGION.contains(page))
        && evidence.zero_page.is_ok();
    group.expect(plausible, "rsi: expected boot_params at a page of the crash region found", rsi);
    let rsp = entry.general(General::Rsp);
    let below = stack(entry);
    let plausible = rsp.is_multiple_of(STACK_ALIGNMENT)
        && CRASH_REGION.contains(below)
        && !program.image().overlaps(below);
    group.expect(plausible, "rsp: expected an aligned stack in the crash region found", rsp);
    if let Some(found) = group.needs("crash note", evidence.crash_note) {
        let sealed = found.sealed().iter().map(|sealed| sealed.span);
        let mut used = sealed.chain([found.note.elfcorehdr]).filter_map(|span| Range::of(&span));
        let is_apart = !used.any(|used| used.overlaps(below));
        group.expect(is_apart, "rsp: expected a stack beside all that was loaded found", rsp);
    }
    let load = program.load;
    let placed = load.is_multiple_of(setup_header::KERNEL_ALIGNMENT.into())
        && CRASH_REGION.contains(program.image());
    let words = "rip: expected the entry of an aligned payload in the crash region found";
    group.expect(placed, words, load + setup_header::ENTRY_OFFSET);
}

/// The stack that an NMI uses.
pub(super) fn stack(entry: &EntryState) -> Range {
    let rsp = entry.general(General::Rsp);
    Range::between(rsp.saturating_sub(STACK_LEN), rsp)
}
