//! The command line: its loaded length, the elfcorehdr's address, and a report in the purgatory's
//! format. boot_params give its address.

use handoff::text::Text;

use super::Group;
use crate::command_line;
use crate::evidence::Evidence;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>) {
    if group.needs("boot_params", evidence.zero_page).is_none() {
        return;
    }
    let Some(line) = group.found("text", evidence.command_line) else { return };
    let elfcorehdr = group.found("elfcorehdr=", command_line::elfcorehdr(line));
    group.found("report", evidence.report);
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    group.equal("length", found.note.command_line.len.get(), line.len() as u64 + 1);
    if let Some(elfcorehdr) = elfcorehdr {
        group.equal("elfcorehdr=", found.note.elfcorehdr.start.get(), elfcorehdr);
    }
}
