//! The elfcorehdr: what fs/proc/vmcore.c requires of it (`parse_crash_elf64_headers`,
//! `merge_note_headers_elf64`).

use handoff::text::Text;

use super::Group;
use crate::elf::{EHDR_LEN, EM_X86_64, ET_CORE, EV_CURRENT, PHDR_LEN, PT_LOAD, PT_NOTE};
use crate::evidence::Evidence;
use crate::range::Range;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>) {
    let Some(headers) = group.found("elfcorehdr", evidence.headers) else { return };
    let ehdr = headers.ehdr;
    group.equal("e_type", ET_CORE.into(), ehdr.e_type.get().into());
    group.equal("e_machine", EM_X86_64.into(), ehdr.e_machine.get().into());
    group.equal("e_version", EV_CURRENT.into(), ehdr.e_version.get().into());
    // It reads the program headers after the ELF header, and ignores this field.
    group.equal("e_phoff", EHDR_LEN as u64, ehdr.e_phoff.get());
    group.expect(ehdr.e_phnum.get() != 0, "e_phnum: expected some found", 0);
    for (index, phdr) in headers.phdrs.iter().enumerate() {
        let kind = phdr.p_type.get();
        let mut expect = |holds, words| {
            group.expect_of("program header", index, holds, words, kind.into());
        };
        expect(matches!(kind, PT_NOTE | PT_LOAD), "expected PT_NOTE or PT_LOAD found");
        let before = headers.phdrs[..index].iter().all(|phdr| phdr.p_type.get() == PT_NOTE);
        expect(kind != PT_NOTE || before, "expected every PT_NOTE before the others found type");
    }
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    let segment = Range::of(&found.note.elfcorehdr);
    let used = Range::new(headers.at, (EHDR_LEN + headers.phdrs.len() * PHDR_LEN) as u64);
    let inside = segment.zip(used).is_some_and(|(segment, used)| segment.contains(used));
    group.ensure(inside, |line| {
        line.text("program headers: expected ").decimal(headers.phdrs.len() as u64);
        line.text(" of them in the segment at ").hex(found.note.elfcorehdr.start.get()).text("+");
        line.hex(found.note.elfcorehdr.len.get()).text(" found less room");
    });
}
