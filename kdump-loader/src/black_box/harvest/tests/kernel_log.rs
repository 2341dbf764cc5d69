//! The crashed kernel's log: without a record, overwritten, of an unknown layout.

use super::*;

#[test]
fn log_without_a_record_is_also_a_panic() {
    let mut machine = Machine::new();
    machine.log(0, &panicked());
    let saved = machine.harvest().unwrap();
    assert_eq!(saved.panic.run, None);
    assert!(saved.panic.panic_line.is_some());
    assert!(
        story::tell(&saved.panic, Some(&saved), None).contains("its record was lost; 3 reserved")
    );
}

#[test]
fn ring_overwritten_in_the_middle_is_marked_and_the_better_copy_is_taken() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    let writer = panicked();
    (0..2).for_each(|copy| machine.log(copy, &writer));
    let text = b"sysrq: Trigger";
    let start = (LOGS[0] - REGION.start) as usize;
    let at = machine.memory[start..].windows(text.len()).position(|bytes| bytes == text).unwrap();
    let damaged = LOGS[0] + at as u64;
    machine.put(damaged - 8, b"foreign text over it, foreign text over it");
    let saved = machine.harvest().unwrap();
    let summary = saved.panic.log.as_ref().unwrap();
    assert_eq!((summary.records, summary.damaged), (4, 0));
    // The same with nothing but the damaged copy.
    let other = Machine { root: Machine::new().root, ..machine };
    let mut other = other;
    other.put(LOGS[1], &[0; 64]);
    other.show();
    let saved = other.harvest().unwrap();
    assert!(saved.panic.log.as_ref().unwrap().damaged > 0);
    let dmesg = fs::read_to_string(saved.folder.join("dmesg.txt")).unwrap();
    assert!(dmesg.contains("not shown: the text was overwritten"), "{dmesg}");
    assert!(!dmesg.contains("foreign"), "{dmesg}");
}

#[test]
fn log_of_an_unknown_layout_is_a_note() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    machine.log(0, &panicked());
    machine.armed.vmcoreinfo = "OSRELEASE=5.4\n".into();
    armed_tests::boot(machine.path(), "two");
    machine.armed.write(machine.path()).unwrap();
    let saved = machine.harvest().unwrap();
    assert_eq!(saved.panic.log, None);
    assert!(saved.panic.notes[0].contains("cannot be decoded"), "{:?}", saved.panic.notes);
}

#[test]
fn panic_line_of_a_saved_log_has_no_time_and_is_not_the_repetition() {
    let log = "[    1.5] BUG: one\n[   12.345678] Kernel panic - not syncing: two\n\
               [   12.4] ---[ end Kernel panic - not syncing: two ]---\n[   12.5] more\n";
    let line = super::super::panic_line_of_text(log);
    assert_eq!(line.as_deref(), Some("Kernel panic - not syncing: two"));
    assert_eq!(super::super::panic_line_of_text("[    1.0] all is well\n"), None);
}
