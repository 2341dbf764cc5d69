//! Records: whole, torn, lost, and of other images.

use handoff::black_box::Stage;

use super::*;

#[test]
fn refusal_is_saved_with_its_place_and_the_panic_line() {
    let mut machine = Machine::new();
    (0..3).for_each(|page| machine.record(page, |_| ()));
    machine.log(0, &panicked());
    let saved = machine.harvest().unwrap();
    let run = run_of(&saved);
    assert_eq!((run.stage.as_str(), run.verdict.as_deref()), ("refused", Some("segment-corrupt")));
    assert_eq!((run.places[0].region.as_str(), run.places[0].span.start), ("kernel", 0x28_0000));
    assert_eq!(saved.panic.copies.intact, 3);
    assert_eq!(saved.panic.panicked_at, Some(1_790_000_061));
    let line = "Kernel panic - not syncing: sysrq triggered crash";
    assert_eq!(saved.panic.panic_line.as_deref(), Some(line));
    let dmesg = fs::read_to_string(saved.folder.join("dmesg.txt")).unwrap();
    assert!(dmesg.contains(&format!("[   61.000100] {line}\n")), "{dmesg}");
    assert!(!saved.folder.join("capture-dmesg.txt").exists());
    assert!(!saved.seen);
}

#[test]
fn panic_is_saved_once_however_often_a_load_follows() {
    let mut machine = Machine::new();
    machine.record(1, |_| ());
    machine.harvest().unwrap();
    machine.harvest().unwrap();
    assert_eq!(Saved::all(machine.path()).len(), 1);
}

#[test]
fn latest_stage_counts_if_the_copies_were_torn() {
    let mut machine = Machine::new();
    machine.record(0, |record| record.stage = (Stage::Jumped as u32).into());
    machine.record(1, |record| record.stage = (Stage::Verified as u32).into());
    machine.record(2, |record| record.stage = (Stage::Entered as u32).into());
    // The purgatory was in the middle of this page.
    machine.put(machine.armed.records[1] + 100, &[0; 60]);
    let saved = machine.harvest().unwrap();
    assert_eq!(run_of(&saved).stage, "jumped");
    let copies = Copies { reserved: 3, intact: 2, lost: 1, ..Copies::default() };
    assert_eq!(saved.panic.copies, copies);
}

#[test]
fn record_of_another_generation_or_image_is_not_this_panic() {
    let mut machine = Machine::new();
    machine.record(0, |record| record.generation = 6.into());
    machine.record(1, |record| record.image = [0xac; 32]);
    machine.record(2, |record| record.stage = 9.into());
    let copies = Copies { reserved: 3, foreign: 3, ..Copies::default() };
    assert_eq!(machine.nothing(), Nothing::NoRecord { copies });
}

#[test]
fn one_copy_is_enough_if_its_page_was_given_out_and_the_others_were_not() {
    let mut machine = Machine::new();
    machine.record(2, |_| ());
    machine.log(1, &panicked());
    let saved = machine.harvest().unwrap();
    assert_eq!(saved.panic.copies, Copies { reserved: 3, intact: 1, lost: 2, ..Copies::default() });
    assert!(saved.panic.log.is_some());
}

#[test]
fn copies_outside_of_the_memory_that_is_shown_are_counted() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    // The machine has less memory now.
    machine.armed.records = vec![0x10_0000, 0x80_0000, u64::MAX - 4095, u64::MAX];
    machine.armed.write(machine.path()).unwrap();
    armed_tests::boot(machine.path(), "two");
    let saved = machine.harvest().unwrap();
    let copies = Copies { reserved: 4, intact: 1, unreadable: 3, ..Copies::default() };
    assert_eq!(saved.panic.copies, copies);
}
