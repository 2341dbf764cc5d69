//! Every check, on a machine that is as it should be but for one thing.

use std::string::String;

use orders::Ending;

use world::World;

mod world;
mod cpu;
mod handed_over;
mod dump;

/// One change to a sound world.
type Change = fn(&mut World);

/// Each change must end the run with `ending`, and be reported in a line that contains the words.
#[track_caller]
fn each_fails(ending: Ending, changes: &[(&str, Change)]) {
    changes.iter().for_each(|(said, change)| fails(ending, said, change));
}

#[track_caller]
fn fails(ending: Ending, said: &str, change: impl FnOnce(&mut World)) {
    let mut world = World::sound();
    change(&mut world);
    let (found, text) = world.run();
    assert_eq!(found, ending, "{said:?} in\n{text}");
    let is_said = |line: &str| line.starts_with("payload: FAILED ") && line.contains(said);
    assert!(text.lines().any(is_said), "{said:?} in\n{text}");
}

/// One change must change nothing.
#[track_caller]
fn passes(change: impl FnOnce(&mut World)) {
    let mut world = World::sound();
    change(&mut world);
    let (ending, text) = world.run();
    assert_eq!(ending, Ending::Captured, "{text}");
}

/// The groups in order.
const GROUPS: [&str; 12] = [
    "registers",
    "segments",
    "flags",
    "control-registers",
    "paging",
    "boot-params",
    "command-line",
    "elfcorehdr",
    "notes",
    "loads",
    "contents",
    "nmi",
];

#[test]
fn sound_world_is_captured_group_by_group() {
    let (ending, text) = World::sound().run();
    assert_eq!(ending, Ending::Captured, "{text}");
    let report = "payload: report ok,engine:soft,us:1234,nmi:0,elfcorehdr:ok\n";
    let groups: String = GROUPS.iter().map(|name| std::format!("payload: ok {name}\n")).collect();
    assert_eq!(text, std::format!("{report}{groups}payload: ending Captured\n"));
}

#[test]
fn all_checks_are_made_and_the_first_that_fails_decides() {
    let mut world = World::sound();
    world.entry.rflags |= 1 << 9;
    world.note.cr0 = 0.into();
    world.poke(world::LOW_MARKER, &[0]);
    let (ending, text) = world.run();
    assert_eq!(ending, Ending::Flags, "{text}");
    for group in ["flags", "control-registers", "loads"] {
        assert!(text.contains(&std::format!("payload: FAILED {group}: ")), "{text}");
    }
    assert!(text.contains("payload: ok contents\n"), "{text}");
    assert!(text.ends_with("payload: ending Flags\n"), "{text}");
}

#[test]
fn check_that_lacks_evidence_is_incomplete_and_never_ok() {
    let without_boot_params = |world: &mut World| {
        world.entry.general[crate::entry_state::General::Rsi as usize] = 0x7fff_ffff_f000;
    };
    let without_crash_note = |world: &mut World| world.patches.push((orders::map::CRASH_NOTE, 0));
    let changes: [(Ending, Change, &str); 2] = [
        (Ending::Registers, without_boot_params, "segments flags"),
        (Ending::Notes, without_crash_note, "segments flags"),
    ];
    for (ending, change, complete) in changes {
        let mut world = World::sound();
        change(&mut world);
        let (found, text) = world.run();
        assert_eq!(found, ending, "{text}");
        for group in GROUPS {
            let is_ok = text.contains(&std::format!("payload: ok {group}\n"));
            assert_eq!(is_ok, complete.contains(group), "{group} in\n{text}");
        }
    }
}
