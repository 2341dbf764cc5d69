//! The rule for bursts of events: one reload at once, and one after the burst.
//!
//! *On entry* a process that holds the reload lock, and a queue to which others add events.
//!
//! *On exit*
//! - a reload has covered every event that was taken: each is taken before that reload reads the
//!   machine
//! - an event that arrives after the last check of the queue sets its flag again, which starts the
//!   next process

use std::time::Duration;

/// A burst is over after this time without events. The blocks of one DIMM come within milliseconds.
pub const QUIET: Duration = Duration::from_secs(1);
/// Longest wait for the end of a burst. A longer burst gets reloads in between, so that the dump
/// covers its first events.
pub const LONGEST: Duration = Duration::from_secs(120);
/// Pause between two checks of the queue.
const STEP: Duration = Duration::from_millis(50);

/// The queue, the reload and the clock, which tests simulate.
pub trait World {
    /// The error of a failed reload.
    type Error;
    /// Takes the queued events. Returns whether there were any.
    fn take(&mut self) -> bool;
    /// Reloads if the armed image is out of date.
    fn reload_if_outdated(&mut self) -> Result<(), Self::Error>;
    /// A monotonic clock.
    fn now(&mut self) -> Duration;
    /// Waits.
    fn pause(&mut self, length: Duration);
}

/// Reloads if the armed image is out of date, and again until no event is left. Returns the last
/// reload's result.
///
/// After an event, it waits for the end of the burst. Otherwise, after a quick reload, the next
/// process would also reload at once, and a burst would cause many reloads. Without an event, it
/// does not wait.
pub fn drain<W: World>(world: &mut W) -> Result<(), W::Error> {
    let mut answering = world.take();
    loop {
        let result = world.reload_if_outdated();
        let more = world.take();
        answering |= more;
        if !answering || !until_quiet(world, more) {
            return result;
        }
    }
}

/// Waits until no event has arrived for [`QUIET`], but no longer than [`LONGEST`]. Returns whether
/// any event was taken.
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

    /// A simulated world: events at fixed times, and reloads that take a fixed time and cover the
    /// events before their start.
    struct Simulated {
        clock: Duration,
        /// Times of the events, ascending; the first `taken` of them were taken.
        events: Vec<Duration>,
        taken: usize,
        reload: Duration,
        /// When each reload began, and how many events it covers.
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

        fn reload_if_outdated(&mut self) -> Result<(), usize> {
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

    /// As systemd does: while the flag exists and no reload runs, start one.
    fn service(events: Vec<Duration>, reload: Duration) -> Simulated {
        let mut world = Simulated {
            clock: Duration::ZERO,
            events,
            taken: 0,
            reload,
            reloads: Vec::new(),
            fails_until: 0,
        };
        while let Some(&next) = world.events.get(world.taken) {
            world.clock = world.clock.max(next);
            assert_eq!(drain(&mut world), Ok(()));
        }
        world
    }

    fn milliseconds(gaps: &[u64]) -> Vec<Duration> {
        gaps.iter()
            .scan(0, |at, gap| Some(Duration::from_millis(std::mem::replace(at, *at + gap) + gap)))
            .collect()
    }

    proptest! {
        #[test]
        fn last_event_is_covered_by_at_most_two_reloads(
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
        fn burst_without_pauses_causes_at_most_two_reloads(
            gaps in prop::collection::vec(0..(QUIET - STEP).as_millis() as u64, 1..100),
            reload in 0..5000_u64,
        ) {
            // Shorter than `LONGEST`.
            let world = service(milliseconds(&gaps), Duration::from_millis(reload));
            prop_assert!(
                world.reloads.len() <= 2,
                "{} reloads of a burst of {}",
                world.reloads.len(),
                gaps.len()
            );
        }
    }

    #[test]
    fn single_event_causes_one_reload_at_once() {
        let world = service(milliseconds(&[5000]), Duration::from_millis(700));
        assert_eq!(world.reloads, [(Duration::from_secs(5), 1)]);
    }

    #[test]
    fn quick_reloads_do_not_split_a_burst() {
        let world = service(milliseconds(&[0, 467, 1, 800, 800]), Duration::ZERO);
        assert_eq!(world.reloads.len(), 2, "{:?}", world.reloads);
    }

    #[test]
    fn reload_without_an_event_does_not_wait() {
        let mut world = service(Vec::new(), Duration::from_millis(700));
        assert_eq!(drain(&mut world), Ok(()));
        assert_eq!((world.clock, world.reloads.len()), (Duration::from_millis(700), 1));
    }

    #[test]
    fn endless_burst_causes_reloads_in_between() {
        // An event every 100 ms, for ten minutes.
        let world = service(milliseconds(&[100; 6000]), Duration::from_millis(700));
        assert!((5..=8).contains(&world.reloads.len()), "{:?}", world.reloads);
    }

    #[test]
    fn result_of_the_last_reload_counts() {
        let events = milliseconds(&[0, 100]);
        let reload = Duration::from_millis(700);
        let mut world = Simulated {
            clock: Duration::ZERO,
            events,
            taken: 0,
            reload,
            reloads: Vec::new(),
            fails_until: 1,
        };
        assert_eq!(drain(&mut world), Ok(()));
        world.fails_until = 9;
        assert_eq!(drain(&mut world), Err(3), "a lone failure is returned");
    }
}
