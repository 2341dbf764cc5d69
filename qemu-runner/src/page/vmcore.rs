//! Whether the vmcore holds the crashed kernel's memory.

use std::ops::Range;

use loader::image::size;
use maud::{Markup, html};

use crate::evidence::iomem::merged;
use crate::evidence::outcome::Evidence;

/// The comparison of the two maps.
pub fn chapter(evidence: &Evidence) -> Markup {
    let (Some(map), Some(dumped)) = (&evidence.before_panic, &evidence.dumped) else {
        return html! {};
    };
    let (expected, found) = (map.dumped(), merged(dumped));
    let bytes =
        |ranges: &[Range<u64>]| size(ranges.iter().map(|range| range.end - range.start).sum());
    html! {
        section.chapter {
            h3 { "The vmcore" }
            @if expected == found {
                p.verdict {
                    "/proc/vmcore holds " (bytes(&found)) " of memory in " (dumped.len())
                    " PT_LOADs, and the kernel's text in one more. That is all System RAM at the "
                    "panic, except the first MiB and the crash region, and nothing else."
                }
            } @else {
                p.verdict.bad {
                    "/proc/vmcore holds " (bytes(&found)) " of memory. Linux had " (bytes(&expected))
                    " to be dumped."
                }
            }
        }
    }
}
