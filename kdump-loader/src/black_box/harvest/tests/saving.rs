//! What is saved, where, and for how long.

use std::path::PathBuf;

use super::*;
use crate::black_box::saved::KEPT;

#[test]
fn state_that_cannot_be_written_leads_to_run() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    // A file in place of the folder stands for every disk that cannot be written; root may write to
    // a read-only directory.
    fs::write(machine.path().join(armed::STATE).join("panics"), "").unwrap();
    let saved = machine.harvest().unwrap();
    assert!(saved.folder.starts_with(machine.path().join("run/kdump-loader/panics")));
}

#[test]
fn state_that_can_be_written_nowhere_stops_no_load() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    for state in [armed::STATE, "run/kdump-loader"] {
        let panics: PathBuf = machine.path().join(state).join("panics");
        fs::create_dir_all(panics.parent().unwrap()).unwrap();
        fs::write(panics, "").unwrap();
    }
    assert_eq!(machine.harvest(), None);
    let outcome = Outcome::read(machine.path()).unwrap();
    assert_eq!((&outcome.found, &outcome.nothing), (&None, &None));
    let told = story::nothing(Some(&outcome)).to_string();
    assert!(told.contains("found, but could not be saved"), "{told}");
}

#[test]
fn last_ten_panics_are_kept_and_a_killed_save_leaves_nothing() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    let saved = machine.harvest().unwrap();
    let panics = saved.folder.parent().unwrap().to_owned();
    fs::create_dir(panics.join(".new-4711")).unwrap();
    for second in 1..=12 {
        let panic = Panic { harvested_at: 1_000 + second / 2, ..saved.panic.clone() };
        saved::save(machine.path(), &panic, "log", "").unwrap();
    }
    let all = Saved::all(machine.path());
    assert_eq!(all.len(), KEPT);
    assert_eq!(all.last().unwrap().panic, saved.panic, "the newest by time");
    assert!(!panics.join(".new-4711").exists());
}
