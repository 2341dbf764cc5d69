//! RFLAGS: boot.rst asks for interrupts off, and compiled code relies on the other flags.

use handoff::text::Text;

use super::Group;
use crate::EntryState;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, entry: &EntryState) {
    // SDM vol. 1, "EFLAGS register".
    for (bit, name) in [(8, *b"TF"), (9, *b"IF"), (10, *b"DF"), (14, *b"NT"), (18, *b"AC")] {
        group.ensure(entry.rflags & (1 << bit) == 0, |line| {
            name.iter().for_each(|&letter| line.byte(letter));
            line.text(": expected 0 found 1 in rflags ").hex(entry.rflags);
        });
    }
}
