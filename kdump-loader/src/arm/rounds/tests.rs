//! The order of arming in simulated worlds: changes arrive, and calls are refused, at any time.

mod world; // what a run calls

use proptest::prelude::*;

use super::*;
use world::{Call, Failure, Image, Simulated};

/// No run has more calls.
const CALLS: usize = 24;

/// Worlds in which changes arrive, and calls are refused, at any time.
fn worlds() -> impl Strategy<Value = Simulated> {
    let calls = |most| prop::collection::btree_set(0..CALLS, 0..=most);
    (calls(CALLS), calls(6), any::<bool>()).prop_map(|(changes, refusals, frees_first)| Simulated {
        frees_first,
        ..Simulated::new(changes, refusals)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn armed_image_stays_armed_unless_its_replacement_was_built(mut world in worlds()) {
        let _ = world.arm();
        let steps = world.moments.iter().filter(|m| matches!(m.call, Call::Build | Call::Submit));
        let mut built = false;
        for step in steps {
            prop_assert!(step.call == Call::Build || built, "the last build had failed");
            built = !step.refused;
        }
    }

    #[test]
    fn failure_before_the_system_call_changes_nothing(mut world in worlds()) {
        let before = world.state.clone();
        let result = world.arm();
        if world.first(Call::Submit).is_none() {
            prop_assert!(matches!(result, Err(Failure::Build | Failure::Lock)));
            prop_assert_eq!(before, world.state);
        }
    }

    #[test]
    fn record_never_describes_another_image_than_the_armed_one(mut world in worlds()) {
        let _ = world.arm();
        for state in world.states() {
            prop_assert!(state.record.is_none() || state.record == state.armed, "{state:?}");
        }
    }

    #[test]
    fn record_is_set_aside_during_the_system_call(mut world in worlds()) {
        let _ = world.arm();
        for moment in world.moments.iter().filter(|moment| moment.call == Call::Submit) {
            prop_assert_eq!(moment.before.record, None);
        }
    }

    #[test]
    fn lock_is_held_from_the_first_check_to_the_record(mut world in worlds()) {
        let _ = world.arm();
        // Calls 0 to 2 are the first build, its advice and the call that takes the lock.
        for (at, moment) in world.moments.iter().enumerate() {
            prop_assert_eq!(moment.locked, at > 2);
        }
        prop_assert!(!world.lock.get(), "the lock outlives the loop");
    }

    #[test]
    fn change_during_a_build_is_in_the_armed_image(mut world in worlds()) {
        let _ = world.arm();
        let Some(submit) = world.first(Call::Submit) else { return Ok(()) };
        let unread = world.moments[..submit].iter().any(|m| m.call == Call::Changed && m.refused);
        let armed = world.moments.get(submit + 1).and_then(|after| after.before.armed);
        let (false, false, Some(armed)) = (unread, world.moments[submit].refused, armed) else {
            return Ok(());
        };
        let builds = (0..submit).filter(|&at| world.moments[at].call == Call::Build);
        for build in builds.take(ROUNDS as usize) {
            prop_assert!(armed.describes >= world.changes_before(build + 1));
        }
    }

    #[test]
    fn change_during_the_system_call_is_queued_armed_or_said(mut world in worlds()) {
        if world.arm().is_err() { return Ok(()) }
        let calls = world.calls();
        let check = calls.iter().rposition(|&call| call == Call::Changed).unwrap();
        let submit = calls.iter().rposition(|&call| call == Call::Submit).unwrap();
        prop_assert!(submit < check || !world.state.warnings.is_empty(), "no check after the load");
        let armed = world.state.armed.unwrap().describes >= world.changes_before(check);
        // The world itself says that it cannot be read.
        let said = !world.state.warnings.is_empty() || world.moments[check].refused;
        prop_assert!(armed || world.state.queued || said);
    }

    #[test]
    fn limit_of_rounds_holds(mut world in worlds()) {
        let _ = world.arm();
        prop_assert!(world.count(Call::Submit) <= ROUNDS as usize);
        prop_assert!(world.count(Call::Build) <= 2 * ROUNDS as usize);
        prop_assert!(world.moments.len() <= CALLS);
    }

    #[test]
    fn refused_load_is_an_error_unless_an_image_of_this_run_is_armed(mut world in worlds()) {
        let result = world.arm();
        let refused = world.moments.iter().any(|m| m.call == Call::Submit && m.refused);
        let ours = world.state.armed.is_some_and(|armed| armed.number > 0);
        let known = !world.moments.iter().any(|m| m.call == Call::Aftermath && m.refused);
        if refused {
            prop_assert_eq!(result.is_ok(), ours && known, "{:?}", result);
        }
    }
}

#[test]
fn stable_machine_needs_one_build_and_one_load() {
    let mut world = Simulated::new([], []);
    world.arm().unwrap();
    use Call::*;
    let order = [Build, Advise, Lock, Changed, SetAside, Submit, Forget, Changed, Record];
    assert_eq!(world.calls(), order);
    assert_eq!(world.state.record, world.state.armed);
}

#[test]
fn endless_changes_end_with_a_warning_after_the_last_round() {
    // Every call changes the machine, and no reload can be queued.
    let mut world = Simulated::new(0..CALLS, [13, 17, 21]);
    world.arm().unwrap();
    assert_eq!(world.count(Call::Queue), ROUNDS as usize);
    assert_eq!(world.count(Call::Submit), ROUNDS as usize);
    assert!(world.state.warnings[0].contains("keep changing"), "{:?}", world.state.warnings);
    assert_eq!(world.state.record, world.state.armed);
}

/// The machine changes during the first load (call 5), and no reload can be queued (call 8).
fn changed_during_the_load(refusals: &[usize]) -> Simulated {
    Simulated::new([5], refusals.iter().copied().chain([8]))
}

#[test]
fn queued_reload_replaces_a_second_load() {
    let mut world = Simulated::new([5], []);
    world.arm().unwrap();
    assert!(world.state.queued);
    assert_eq!(world.count(Call::Submit), 1);
}

#[test]
fn second_load_covers_a_change_during_the_first() {
    let mut world = changed_during_the_load(&[]);
    world.arm().unwrap();
    let second = Some(Image { number: 2, describes: 1 });
    assert_eq!((world.state.armed, world.state.record), (second, second));
}

#[test]
fn failed_second_build_or_load_ends_well_with_the_first_image() {
    for (refused, reason) in [(9, "no room"), (10, "rejected")] {
        let mut world = changed_during_the_load(&[refused]);
        world.arm().unwrap();
        let first = Some(Image { number: 1, describes: 0 });
        assert_eq!((world.state.armed, world.state.record), (first, first));
        assert_eq!(world.state.warnings, [format!("the armed image lacks the change: {reason}")]);
    }
}

#[test]
fn rejected_load_that_disarms_is_an_error_that_says_so() {
    for refusals in [vec![5], vec![8, 10]] {
        let mut world = Simulated { frees_first: true, ..Simulated::new([5], refusals) };
        let error = world.arm().unwrap_err().to_string();
        assert!(error.contains("no image is armed now"), "{error}");
        assert_eq!((world.state.armed, world.state.record, world.state.aside), (None, None, None));
    }
}

#[test]
fn rejected_first_load_keeps_the_old_image_and_its_record() {
    let mut world = Simulated::new([], [5]);
    let before = world.state.clone();
    let error = world.arm().unwrap_err().to_string();
    assert!(error.contains("the previous image is still armed"), "{error}");
    assert_eq!(before, world.state);
}
