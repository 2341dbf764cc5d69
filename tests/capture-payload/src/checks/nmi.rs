//! Non-maskable interrupts:
//! * One that was latched at the panic arrives once, after the first IRET.
//! * Without a storm no other arrives.
//! * During a storm the purgatory counted at least one. A storm's total is unknown, so a lost one
//!   is not detected.

use handoff::text::Text;
use orders::Nmi;

use super::Group;
use crate::Nmis;
use crate::evidence::Evidence;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>, nmis: Nmis) {
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    let Some(report) = group.needs("report", evidence.report) else { return };
    let before = [("in the purgatory", report.nmis), ("before the first iret", nmis.before_iret)];
    let after = nmis.after_iret.wrapping_sub(nmis.before_iret);
    let ordered = Nmi::from_number(found.note.nmi.get());
    match ordered {
        Some(Nmi::None | Nmi::Latched) => {
            for (when, number) in before {
                group.equal_count(when, 0, number.into());
            }
            group.equal_count(
                "after the first iret",
                u64::from(ordered == Some(Nmi::Latched)),
                after.into(),
            );
        }
        Some(Nmi::Storm) => {
            group.expect(report.nmis > 0, "in the purgatory: expected some found", 0);
        }
        None => {
            let number = found.note.nmi.get().into();
            group.expect(false, "orders: expected a known number found", number);
        }
    }
}
