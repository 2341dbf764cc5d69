//! The command line: in the crash region, ended, with the elfcorehdr's address, and with a report in the purgatory's own words.

use handoff::text::Text;

use super::Group;
use crate::command_line;
use crate::evidence::Evidence;
use crate::range::{CRASH_REGION, Range};

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>) {
    let Some(page) = group.needs("boot_params", evidence.zero_page) else { return };
    let Some(line) = group.found("text", evidence.command_line) else { return };
    let at = page.command_line();
    let range = Range::new(at, line.len() as u64 + 1);
    group.ensure(range.is_some_and(|range| CRASH_REGION.contains(range)), |out| {
        out.text("cmd_line_ptr: expected a place in the crash region found ").hex(at);
    });
    if let Some(elfcorehdr) = group.found("elfcorehdr=", command_line::elfcorehdr(line))
        && let Ok(found) = evidence.crash_note
    {
        group.equal("elfcorehdr=", found.note.elfcorehdr.start.get(), elfcorehdr);
    }
    group.found("report", evidence.report);
}
