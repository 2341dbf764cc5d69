//! Contents: every sealed span matches its digest, and memory after the payload's file is zero.
//!
//! The digests are of the image as loaded. Block, leaf table and an elfcorehdr that needs no
//! restoring are as at the panic, because a case may have changed them. Everything that a capture
//! kernel receives is sealed, except the report.

use handoff::report::FIELD_LEN;
use handoff::text::Text;
use sha2::{Digest, Sha256};

use super::Group;
use crate::crash_note::Found;
use crate::entry_state::General;
use crate::evidence::Evidence;
use crate::range::Range;
use crate::{Physical, command_line, zero_page};

pub(super) fn check<Out: Text>(
    group: &mut Group<'_, Out>,
    evidence: &Evidence<'_>,
    physical: &impl Physical,
) {
    let (entry, program) = (evidence.entry, evidence.program);
    group.ensure(entry.dirty == 0 && entry.not_zero == 0, |line| {
        // entry.S first checks the memory that it saves into, and then overwrites it.
        let at = if entry.dirty == 0 { entry.not_zero } else { program.file_end };
        line.text("zero tail ").hex(program.file_end).text("-").hex(program.image_end);
        line.text(": expected zeroes found something at ").hex(at);
    });
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    for (name, range) in given(group, evidence, &found) {
        let covered = range.is_some_and(|range| found.seals(range));
        group.ensure(covered, |line| {
            _ = line.text(name).text(": expected it in a sealed span found it in none")
        });
    }
    for (index, sealed) in found.sealed().iter().enumerate() {
        let (start, len) = (sealed.span.start.get(), sealed.span.len.get());
        let digest = physical.bytes(start, len).map(Sha256::digest);
        let same = digest.is_some_and(|digest| digest[..] == sealed.sha256);
        group.ensure(same, |line| {
            line.text("span ").decimal(index as u64).text(" ").hex(start).text("+").hex(len);
            line.text(": expected ").digits(&sealed.sha256).text(" found ");
            match &digest {
                Some(digest) => _ = line.digits(digest),
                None => _ = line.text("memory that cannot be read, or that the payload writes to"),
            }
        });
    }
}

/// What the capture kernel receives: payload, initrd, boot_params, and the command line before and
/// after the report.
fn given<Out: Text>(
    group: &mut Group<'_, Out>,
    evidence: &Evidence<'_>,
    found: &Found<'_>,
) -> impl Iterator<Item = (&'static str, Option<Range>)> + use<Out> {
    let line = Range::of(&found.note.command_line);
    let report_at = evidence.command_line.and_then(command_line::report_at);
    let parts = group.needs("report", report_at).zip(line).map(|(offset, line)| {
        let report = line.start().saturating_add(offset as u64);
        let after = report.saturating_add(FIELD_LEN as u64);
        [
            ("command line", Some(Range::between(line.start(), report))),
            ("command line's end", Some(Range::between(after, line.end()))),
        ]
    });
    [
        ("payload", Some(Range::between(evidence.program.load, evidence.program.file_end))),
        ("initrd", Range::of(&found.note.initrd)),
        ("boot_params", Range::new(evidence.entry.general(General::Rsi), zero_page::LEN as u64)),
    ]
    .into_iter()
    .chain(parts.into_iter().flatten())
}
