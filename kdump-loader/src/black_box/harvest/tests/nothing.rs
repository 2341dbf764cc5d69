//! No panic to tell: what is claimed then, and what is not.

use super::*;

#[test]
fn cleared_memory_is_no_record_and_not_no_panic() {
    let mut machine = Machine::new();
    machine.memory.fill(0);
    let variable = machine.path().join(MEMORY_OVERWRITE_REQUEST);
    fs::create_dir_all(variable.parent().unwrap()).unwrap();
    fs::write(variable, [7, 0, 0, 0, 1]).unwrap();
    let copies = Copies { reserved: 3, lost: 3, ..Copies::default() };
    assert_eq!(machine.nothing(), Nothing::NoRecord { copies });
    let told = story::nothing(Outcome::read(machine.path()).as_ref()).to_string();
    for words in [
        "armed 2026-09-21",
        "but no record: memory was cleared by the reset, or the kernel never reached the purgatory",
        "MemoryOverwriteRequestControl is 1",
    ] {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
}

#[test]
fn disk_of_another_machine_leads_to_no_claim() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    fs::write(machine.path().join("etc/machine-id"), "fedcba9876543210\n").unwrap();
    assert_eq!(machine.nothing(), Nothing::OtherMachine);
}

#[test]
fn image_that_was_unloaded_or_has_no_black_box_leads_to_no_claim() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    let armed = machine.armed.clone();
    ArmedBox { disarmed: true, ..armed.clone() }.write(machine.path()).unwrap();
    assert_eq!(machine.nothing(), Nothing::Disarmed);
    let machine = Machine { root: Machine::new().root, ..machine };
    let none = ArmedBox { records: Vec::new(), log_copies: Vec::new(), ..armed };
    none.write(machine.path()).unwrap();
    assert_eq!(machine.nothing(), Nothing::NoBlackBox);
}

#[test]
fn hidden_memory_is_unknown_and_not_no_panic() {
    let machine = Machine::new();
    fs::remove_file(machine.path().join("proc/kcore")).unwrap();
    before_load(machine.path());
    let outcome = Outcome::read(machine.path()).unwrap();
    assert!(matches!(outcome.nothing, Some(Nothing::Unreadable { .. })), "{outcome:?}");
    let told = story::nothing(Some(&outcome)).to_string();
    assert!(told.starts_with("unknown whether the machine panicked"), "{told}");
}

#[test]
fn first_boot_and_the_boot_that_armed_have_nothing_to_harvest() {
    let machine = Machine::new();
    armed_tests::boot(machine.path(), "one");
    assert_eq!(machine.harvest(), None);
    fs::remove_dir_all(machine.path().join(armed::STATE)).unwrap();
    armed_tests::boot(machine.path(), "two");
    assert_eq!(machine.harvest(), None);
    assert_eq!(Outcome::read(machine.path()), None);
}

#[test]
fn reset_after_an_orderly_shutdown_began_is_no_reset_without_a_record() {
    let mut machine = Machine::new();
    machine.armed.shutdown_at = Some(1_790_005_000);
    machine.armed.write(machine.path()).unwrap();
    let copies = Copies { reserved: 3, lost: 3, ..Copies::default() };
    assert_eq!(machine.nothing(), Nothing::Shutdown { began_at: 1_790_005_000, copies });
    let told = story::nothing(Outcome::read(machine.path()).as_ref()).to_string();
    assert_eq!(
        told,
        "no panic is recorded; an orderly shutdown or reboot began 2026-09-21 15:36:40 UTC, with \
         the image of 2026-09-21 14:14:20 UTC\n"
    );
    // A panic during the shutdown is a panic.
    let mut machine = Machine { root: Machine::new().root, ..machine };
    machine.armed.write(machine.path()).unwrap();
    machine.record(0, |_| ());
    let saved = machine.harvest().unwrap();
    assert!(saved.panic.notes[0].contains("after an orderly shutdown"), "{:?}", saved.panic.notes);
}

/// A load that was killed after kexec_load(2), before it could replace armed.json, which describes
/// the image before it, in the same memory.
#[test]
fn load_that_was_killed_before_its_note_is_neither_cleared_memory_nor_no_panic() {
    for disarmed in [false, true] {
        let mut machine = Machine::new();
        machine.armed.disarmed = disarmed;
        machine.armed.shutdown_at = Some(1_790_005_000);
        machine.armed.write(machine.path()).unwrap();
        machine.record(0, |record| record.generation = 8.into());
        machine.record(1, |record| record.generation = 6.into());
        let copies = Copies { reserved: 3, foreign: 1, later: 1, lost: 1, ..Copies::default() };
        assert_eq!(machine.nothing(), Nothing::NoRecord { copies });
        let told = story::nothing(Outcome::read(machine.path()).as_ref()).to_string();
        for words in [
            "the machine panicked, but not with the image of 2026-09-21 14:14:20 UTC",
            "1 of another image, 1 of a later load",
        ] {
            assert!(told.contains(words), "{words:?} is missing in {told}");
        }
        assert!(!told.contains("cleared by the reset") && !told.contains("no panic"), "{told}");
    }
}
