//! What a block costs as the machine grows, and whose share that is.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::calls::{Span, Trace};

/// Numbers of blocks at which the cost is told: about twice as many each time.
const MARKS: [usize; 10] = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3840];
/// Blocks before such a number whose mean is told, where there are as many.
const WINDOW: usize = 64;

/// The mean of the last blocks before a number of blocks, in seconds for each of them. Each part
/// contains the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Number of blocks.
    pub blocks: usize,
    /// From one block to the next.
    pub block_s: f64,
    /// In `__add_memory`: without QEMU, ACPI and waiting.
    pub add_s: f64,
    /// In `online_pages`: without page descriptors, the direct map and sysfs.
    pub online_s: f64,
    /// In `crash_handle_hotplug_event`: the elfcorehdr.
    pub update_s: f64,
}

/// The cost at each of [`MARKS`] that was reached.
pub fn of(trace: &Trace) -> Vec<Pace> {
    let online_s = trace.online_s();
    let Some(first_s) = trace.added.first().map(|dimm| dimm.start) else { return Vec::new() };
    let reached = MARKS.into_iter().filter(|mark| *mark <= online_s.len());
    let at = |blocks: usize| {
        let count = blocks.min(WINDOW);
        let before = blocks - count;
        let start = if before == 0 { first_s } else { online_s[before - 1] };
        let window = start..online_s[blocks - 1];
        let each = |spans: &[Span]| within(spans, &window) / count as f64;
        Pace {
            blocks,
            block_s: each(std::slice::from_ref(&window)),
            add_s: each(&trace.added),
            online_s: each(&trace.onlined),
            update_s: each(&trace.updated),
        }
    };
    reached.map(at).collect()
}

/// Seconds of `spans` that lie within `window`.
fn within(spans: &[Span], window: &Range<f64>) -> f64 {
    let inside = |span: &Span| span.end.min(window.end) - span.start.max(window.start);
    spans.iter().fold(0.0, |sum, span| sum + inside(span).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_has_its_share_of_what_happened_since_the_one_before() {
        // Nine DIMMs of one block, one a second, the ninth twice as slow in all its parts.
        let spans = |from: f64, until: f64| -> Vec<Span> {
            let mut spans: Vec<Span> =
                (0..8).map(|second| f64::from(second) + from..f64::from(second) + until).collect();
            spans.push(8.0 + 2.0 * from..8.0 + 2.0 * until);
            spans
        };
        let trace = Trace {
            added: spans(0.25, 1.0),
            onlined: spans(0.5, 1.0),
            updated: spans(0.75, 1.0),
            ..Trace::default()
        };
        let [eight] = of(&trace)[..] else { panic!() };
        assert_eq!(eight.blocks, 8);
        // From the beginning of the first DIMM: 7.75 seconds for eight blocks.
        let Pace { block_s, add_s, online_s, update_s, .. } = eight;
        assert_eq!([block_s, add_s, online_s, update_s], [7.75 / 8.0, 0.75, 0.5, 0.25]);
        assert_eq!(of(&Trace::default()), []);
    }
}
