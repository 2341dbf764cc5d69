//! Every check, on a machine that is as it should be but for one thing.

use std::string::String;

use orders::Ending;

use world::World;

mod world;
mod cpu;
mod handed_over;
mod dump;

/// One change to a sound world must end the run with `ending`, and be said in a line that has
/// `said` in it.
#[track_caller]
fn fails(ending: Ending, said: &str, change: impl FnOnce(&mut World)) {
    let mut world = World::sound();
    change(&mut world);
    expect(world.run(), ending, said);
}

#[track_caller]
fn expect((found, text): (Ending, String), ending: Ending, said: &str) {
    assert_eq!(found, ending, "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("payload: FAILED ") && line.contains(said)),
        "{said:?} in\n{text}"
    );
}

/// One change must change nothing.
#[track_caller]
fn passes(change: impl FnOnce(&mut World)) {
    let mut world = World::sound();
    change(&mut world);
    let (ending, text) = world.run();
    assert_eq!(ending, Ending::Captured, "{text}");
}

#[test]
fn sound_world_is_captured_group_by_group() {
    let (ending, text) = World::sound().run();
    assert_eq!(ending, Ending::Captured, "{text}");
    let expected = "payload: report ok,engine:soft,us:1234,nmi:0,elfcorehdr:ok
payload: ok registers
payload: ok segments
payload: ok flags
payload: ok control-registers
payload: ok paging
payload: ok boot-params
payload: ok command-line
payload: ok elfcorehdr
payload: ok notes
payload: ok loads
payload: ok contents
payload: ok nmi
payload: ending Captured
";
    assert_eq!(text, expected);
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
    assert!(
        text.contains("payload: ok contents\n") && text.ends_with("payload: ending Flags\n"),
        "{text}"
    );
}

#[test]
fn without_boot_params_every_check_that_needs_them_fails_and_none_crashes() {
    let mut world = World::sound();
    world.entry.general[crate::entry_state::General::Rsi as usize] = 0x7fff_ffff_f000;
    let (ending, text) = world.run();
    assert_eq!(ending, Ending::Registers, "{text}");
    let groups = [
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
    for group in groups {
        assert!(text.contains(&std::format!("payload: FAILED {group}: ")), "{group} in\n{text}");
        assert!(!text.contains(&std::format!("payload: ok {group}")), "{group} in\n{text}");
    }
}

#[test]
fn missing_crash_note_is_the_failure_of_the_notes() {
    let mut world = World::sound();
    world.patches.push((orders::map::CRASH_NOTE, 0));
    let (ending, text) = world.run();
    assert_eq!(ending, Ending::Notes, "{text}");
    for group in [
        "registers",
        "control-registers",
        "paging",
        "boot-params",
        "command-line",
        "elfcorehdr",
        "loads",
        "contents",
        "nmi",
    ] {
        assert!(
            text.contains(&std::format!("payload: FAILED {group}: not complete: ")),
            "{group} in\n{text}"
        );
    }
}
