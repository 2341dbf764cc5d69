//! The rule for bursts: one reload at once, and one when it is quiet.
//!
//! *On entry* one process that holds the lock of reloads, and a queue that others put events into. *On exit* no event is left that a reload has not
//! seen: every event is taken before the look at the machine that answers it. One that arrives after the last look at the queue raises its
//! flag anew, which starts the next process.

use std::time::Duration;

/// How long nothing may arrive until a burst is taken for over. Blocks of one DIMM come within milliseconds.
pub const QUIET: Duration = Duration::from_secs(1);
/// How long a burst is waited for. One that is longer gets a reload in between, so that the dump has what came before.
pub const LONGEST: Duration = Duration::from_secs(120);
/// Pause between two looks at the queue.
const STEP: Duration = Duration::from_millis(50);

/// The queue, the reload and the clock, so that a test can be all three.
pub trait World {
    /// What a reload that could not be done leaves.
    type Error;
    /// Takes what is queued; whether there was anything.
    fn take(&mut self) -> bool;
    /// Makes the armed image true, if it is not.
    fn refresh(&mut self) -> Result<(), Self::Error>;
    /// A monotonic clock.
    fn now(&mut self) -> Duration;
    /// Waits.
    fn pause(&mut self, length: Duration);
}

/// Makes the armed image true, and again if events arrive meanwhile, until none is left. Whether it is in the end decides.
///
/// Whoever answers an event stays until it is quiet: otherwise a reload that is quick would be followed by the next process, which answers
/// its first event at once, too, and a burst would be many reloads. Nobody waits where there was no event.
pub fn drain<W: World>(world: &mut W) -> Result<(), W::Error> {
    let mut answering = world.take();
    loop {
        let result = world.refresh();
        let more = world.take();
        answering |= more;
        if !answering || !until_quiet(world, more) {
            return result;
        }
    }
}

/// Waits until nothing has arrived for [`QUIET`], [`LONGEST`] at most; whether there is something to answer.
fn until_quiet<W: World>(world: &mut W, mut more: bool) -> bool {
    let begin = world.now();
    let mut last = begin;
    loop {
        let now = world.now();
        if now.saturating_sub(last) >= QUIET || now.saturating_sub(begin) >= LONGEST {
            return more;
        }
        world.pause(STEP);
        if world.take() {
            more = true;
            last = world.now();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Events at these times; a reload takes this long, and says at its beginning what it knows.
    struct Simulated {
        clock: Duration,
        /// Ascending; those up to `seen` have raised the flag.
        events: Vec<Duration>,
        taken: usize,
        reload: Duration,
        /// When each reload began, and how many events it had seen.
        reloads: Vec<(Duration, usize)>,
        fails_until: usize,
    }

    impl Simulated {
        fn arrived(&self) -> usize {
            self.events.iter().filter(|&&at| at <= self.clock).count()
        }
    }

    impl World for Simulated {
        type Error = usize;

        fn take(&mut self) -> bool {
            let arrived = self.arrived();
            std::mem::replace(&mut self.taken, arrived) < arrived
        }

        fn refresh(&mut self) -> Result<(), usize> {
            self.reloads.push((self.clock, self.arrived()));
            self.clock += self.reload;
            if self.reloads.len() <= self.fails_until { Err(self.reloads.len()) } else { Ok(()) }
        }

        fn now(&mut self) -> Duration {
            self.clock
        }

        fn pause(&mut self, length: Duration) {
            self.clock += length;
        }
    }

    /// As systemd does it: whenever the flag is up and nothing runs, it starts a reload.
    fn service(events: Vec<Duration>, reload: Duration) -> Simulated {
        let mut world = Simulated { clock: Duration::ZERO, events, taken: 0, reload, reloads: Vec::new(), fails_until: 0 };
        while let Some(&next) = world.events.get(world.taken) {
            world.clock = world.clock.max(next);
            assert_eq!(drain(&mut world), Ok(()));
        }
        world
    }

    fn milliseconds(gaps: &[u64]) -> Vec<Duration> {
        gaps.iter().scan(0, |at, gap| Some(Duration::from_millis(std::mem::replace(at, *at + gap) + gap))).collect()
    }

    proptest! {
        #[test]
        fn last_event_is_covered_and_followed_by_two_reloads_at_most(
            gaps in prop::collection::vec(0..3000_u64, 1..80),
            reload in 0..5000_u64,
        ) {
            let world = service(milliseconds(&gaps), Duration::from_millis(reload));
            let last = *world.events.last().unwrap();
            let after = world.reloads.iter().filter(|(at, _)| *at >= last).count();
            prop_assert!((1..=2).contains(&after), "{after} reloads");
            prop_assert_eq!(world.reloads.last().unwrap().1, gaps.len(), "an event was overlooked");
        }

        #[test]
        fn burst_without_pauses_is_two_reloads_at_most(
            gaps in prop::collection::vec(0..(QUIET - STEP).as_millis() as u64, 1..100),
            reload in 0..5000_u64,
        ) {
            // Not longer than is waited for.
            let world = service(milliseconds(&gaps), Duration::from_millis(reload));
            prop_assert!(world.reloads.len() <= 2, "{} reloads of a burst of {}", world.reloads.len(), gaps.len());
        }
    }

    #[test]
    fn lone_event_is_one_reload_at_once() {
        let world = service(milliseconds(&[5000]), Duration::from_millis(700));
        assert_eq!(world.reloads, [(Duration::from_secs(5), 1)]);
    }

    #[test]
    fn quick_reload_does_not_make_a_burst_many() {
        let world = service(milliseconds(&[0, 467, 1, 800, 800]), Duration::ZERO);
        assert_eq!(world.reloads.len(), 2, "{:?}", world.reloads);
    }

    #[test]
    fn nobody_waits_where_there_was_no_event() {
        let mut world = service(Vec::new(), Duration::from_millis(700));
        assert_eq!(drain(&mut world), Ok(()));
        assert_eq!((world.clock, world.reloads.len()), (Duration::from_millis(700), 1));
    }

    #[test]
    fn burst_without_end_gets_reloads_in_between() {
        // An event every 100 ms, for ten minutes.
        let world = service(milliseconds(&[100; 6000]), Duration::from_millis(700));
        assert!((5..=8).contains(&world.reloads.len()), "{:?}", world.reloads);
    }

    #[test]
    fn later_reload_that_succeeds_makes_up_for_one_that_failed() {
        let events = milliseconds(&[0, 100]);
        let reload = Duration::from_millis(700);
        let mut world = Simulated { clock: Duration::ZERO, events, taken: 0, reload, reloads: Vec::new(), fails_until: 1 };
        assert_eq!(drain(&mut world), Ok(()));
        world.fails_until = 9;
        assert_eq!(drain(&mut world), Err(3), "alone, it is what is told");
    }
}
