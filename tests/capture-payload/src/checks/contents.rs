//! Contents: every sealed span as it was loaded, and zeroes where the payload's file ends.

use handoff::text::Text;
use sha2::{Digest, Sha256};

use super::Group;
use crate::Physical;
use crate::evidence::Evidence;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>, physical: &impl Physical) {
    let (entry, program) = (evidence.entry, evidence.program);
    group.ensure(entry.dirty == 0 && entry.not_zero == 0, |line| {
        // entry.S looks at what it saves into first, and then overwrites it.
        let at = if entry.dirty == 0 { entry.not_zero } else { program.file_end };
        line.text("zero tail ")
            .hex(program.file_end)
            .text("-")
            .hex(program.image_end)
            .text(": expected zeroes found something at ");
        line.hex(at);
    });
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    for (index, sealed) in found.sealed().iter().enumerate() {
        let (start, len) = (sealed.span.start.get(), sealed.span.len.get());
        let digest = physical.bytes(start, len).map(Sha256::digest);
        let same = digest.is_some_and(|digest| digest[..] == sealed.sha256);
        group.ensure(same, |line| {
            line.text("span ")
                .decimal(index as u64)
                .text(" ")
                .hex(start)
                .text("+")
                .hex(len)
                .text(": expected ")
                .digits(&sealed.sha256);
            match &digest {
                Some(digest) => _ = line.text(" found ").digits(digest),
                None => _ = line.text(" found memory that cannot be read, or that the payload writes to"),
            }
        });
    }
}
