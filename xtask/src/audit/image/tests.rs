//! Files that are no purgatory.

use super::*;

#[test]
fn an_ordinary_program_breaks_every_rule() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let faults = Image::parse(&own).unwrap().faults().join("\n");
    for fault in [
        ".rela.dyn has ",
        "is undefined",
        "PT_LOADs; there must be two",
        "no section .handoff",
        ".data holds",
        "more than",
    ] {
        assert!(faults.contains(fault), "{fault} is not in:\n{faults}");
    }
}

/// The smallest purgatory.
fn right() -> Image<'static> {
    let size = size_of::<Block>() as u64;
    let section = Section {
        name: HANDOFF_SECTION.into(),
        address: 0x1000,
        size,
        executable: false,
        writable: true,
        bytes: &[0],
    };
    let text =
        Segment { flags: elf::PF_R | elf::PF_X, address: 0, size: 4, bytes: b"\x0f\x0b\x0f\x0b" };
    let data = Segment { flags: elf::PF_R | elf::PF_W, address: 0x1000, size, bytes: &[0] };
    Image {
        segments: vec![text, data],
        code: Code { entry: 0, sections: vec![section], symbols: vec![] },
        marks: vec![],
        undefined: vec![],
        relocations: vec![],
    }
}

#[test]
fn every_mistake_of_a_purgatory_is_found_and_named() {
    assert_eq!(right().faults(), [""; 0]);
    assert_eq!(right().loaded_size(), 0x1000 + size_of::<Block>() as u64);
    let permissions = "must be read+execute and read+write";
    type Mistake = fn(&mut Image<'_>);
    let mistakes: [(&str, Mistake); 9] = [
        (permissions, |image| image.segments[0].flags |= elf::PF_W),
        (permissions, |image| image.segments[0].flags = elf::PF_R),
        (permissions, |image| image.segments[1].flags |= elf::PF_X),
        (permissions, |image| image.segments.swap(0, 1)),
        ("the first segment is at 0x10", |image| image.segments[0].address = 0x10),
        ("starts with ELF's magic", |image| image.segments[0].bytes = ELF_MAGIC),
        ("section .handoff has", |image| image.code.sections[0].size -= 1),
        ("section .handoff has", |image| image.code.sections[0].size += 1),
        (".handoff2 holds", |image| {
            let mut data = image.code.sections[0].clone();
            data.name += "2";
            image.code.sections.push(data);
        }),
    ];
    for (expected, mistake) in mistakes {
        let mut image = right();
        mistake(&mut image);
        let faults = image.faults();
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?}");
    }
}
