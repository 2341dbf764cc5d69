//! An interrupted clock, and the clock of this machine.

use super::*;

#[test]
fn interrupted_reading_of_the_clock_does_not_change_the_frequency() {
    // 2 GHz. Nearly every reading is interrupted for 30 ms between clock and counter.
    let at = |ms: u64, interrupted_ms: u64| Reading {
        before: Duration::from_millis(ms),
        ticks: (ms + interrupted_ms) * 2_000_000,
        after: Duration::from_millis(ms + interrupted_ms),
    };
    let readings = |ms: u64, steady: usize| {
        let mut readings = [at(ms, 30); TSC_READINGS];
        readings[steady] = at(ms, 0);
        least_interrupted(readings)
    };
    assert_eq!(khz(&readings(0, 3), &readings(20, 15)), 2_000_000);
}

#[test]
fn measured_tsc_is_a_frequency() {
    assert!(measure_tsc_khz() > 100_000, "no x86-64 CPU runs below 100 MHz");
}
