//! The memory maps when the capture kernel was armed, at the panic, and in the vmcore.
//!
//! One table, ascending by address: a row for each range in which the maps agree, a colored cell
//! for each map. Every cell has its word, so color alone tells nothing.

use std::ops::Range;

use loader::image::size;
use maud::{Markup, html};

use crate::evidence::iomem::{Iomem, merged};
use crate::evidence::outcome::Evidence;

/// What a range of memory is in one of the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Absent,
    Ram,
    /// System RAM that was not there when the kernel was armed.
    Added,
    Crash,
    Dumped,
    /// Memory that must not be dumped: the first MiB and the crash region.
    LeftOut,
    /// Memory that must be dumped, and is not.
    Missing,
}

impl Mark {
    /// Its class, and the word in its cell.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Absent => ("absent", "–"),
            Self::Ram => ("ram", "RAM"),
            Self::Added => ("added", "hot-added"),
            Self::Crash => ("crash", "crash region"),
            Self::Dumped => ("dumped", "dumped"),
            Self::LeftOut => ("left-out", "left out"),
            Self::Missing => ("missing", "missing"),
        }
    }
}

struct Map {
    name: &'static str,
    /// One for each range.
    marks: Vec<Mark>,
}

pub fn chapter(evidence: &Evidence) -> Markup {
    let ranges = ranges(evidence);
    let maps = maps(evidence, &ranges);
    if maps.is_empty() {
        return html! {};
    }
    html! {
        section.chapter {
            h3 { "Memory" }
            p {
                "System RAM of /proc/iomem"
                @if evidence.dumped.is_some() { ", and what of it /proc/vmcore holds" } ". "
                "Left out of a dump: the first MiB and the crash region."
            }
            table.memory {
                thead {
                    tr {
                        th scope="col" { "from" }
                        @for map in &maps { th scope="col" { (map.name) } }
                    }
                }
                tbody {
                    @for (index, range) in ranges.iter().enumerate() {
                        tr {
                            th scope="row" {
                                span.address { (format!("{:#x}", range.start)) }
                                span.size { (size(range.end - range.start)) }
                            }
                            @for map in &maps {
                                @let (class, word) = map.marks[index].words();
                                td class=(class) { (word) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether the vmcore holds the crashed kernel's memory: the two maps compared.
pub fn vmcore(evidence: &Evidence) -> Markup {
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
                    "/proc/vmcore holds " (bytes(&found)) " of memory. "
                    "Linux had " (bytes(&expected)) " to be dumped."
                }
            }
        }
    }
}

/// The memory of all maps together, cut where one of them changes; ascending.
fn ranges(evidence: &Evidence) -> Vec<Range<u64>> {
    let maps = [&evidence.at_load, &evidence.before_panic].into_iter().flatten();
    let of_maps = maps.flat_map(|map| map.system_ram.iter().chain(&map.crash_kernel));
    let all: Vec<_> = of_maps.chain(evidence.dumped.iter().flatten()).collect();
    let mut cuts: Vec<u64> = all.iter().flat_map(|range| [range.start, range.end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let pairs = cuts.windows(2).map(|pair| pair[0]..pair[1]);
    pairs.filter(|part| all.iter().any(|range| holds(range, part))).collect()
}

fn maps(evidence: &Evidence, ranges: &[Range<u64>]) -> Vec<Map> {
    let Evidence { at_load, before_panic, dumped, .. } = evidence;
    let map = |name, mark: &dyn Fn(&Range<u64>) -> Mark| Map {
        name,
        marks: ranges.iter().map(mark).collect(),
    };
    let was_absent = |range: &Range<u64>| {
        at_load.as_ref().is_some_and(|earlier| mark_in(earlier, range) == Mark::Absent)
    };
    let mut maps = Vec::new();
    if let Some(iomem) = at_load {
        maps.push(map("when armed", &|range| mark_in(iomem, range)));
    }
    let Some(iomem) = before_panic else { return maps };
    maps.push(map("at the panic", &|range| match mark_in(iomem, range) {
        Mark::Ram if was_absent(range) => Mark::Added,
        mark => mark,
    }));
    if let Some(dumped) = dumped {
        let expected = iomem.dumped();
        let is_in =
            |all: &[Range<u64>], range: &Range<u64>| all.iter().any(|one| holds(one, range));
        maps.push(map("in the vmcore", &|range| match mark_in(iomem, range) {
            _ if is_in(dumped, range) => Mark::Dumped,
            _ if is_in(&expected, range) => Mark::Missing,
            Mark::Absent => Mark::Absent,
            _ => Mark::LeftOut,
        }));
    }
    maps
}

fn mark_in(map: &Iomem, range: &Range<u64>) -> Mark {
    let is_in = |all: &[Range<u64>]| all.iter().any(|one| holds(one, range));
    match () {
        () if is_in(&map.crash_kernel) => Mark::Crash,
        () if is_in(&map.system_ram) => Mark::Ram,
        () => Mark::Absent,
    }
}

fn holds(range: &Range<u64>, part: &Range<u64>) -> bool {
    range.start <= part.start && part.end <= range.end
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn map(system_ram: &[Range<u64>]) -> Iomem {
        let crash = 512 * MIB..768 * MIB;
        let crash_kernel = Vec::from([crash]);
        Iomem { system_ram: system_ram.to_vec(), crash_kernel, kernel_text: 16 * MIB }
    }

    fn evidence() -> Evidence {
        let before = [4096..640 << 10, MIB..GIB];
        let dimm = 4 * GIB..5 * GIB;
        let after = [before.as_slice(), &[dimm]].concat();
        Evidence {
            at_load: Some(map(&before)),
            before_panic: Some(map(&after)),
            dumped: Some(vec![MIB..512 * MIB, 768 * MIB..GIB, 4 * GIB..5 * GIB]),
            ..Evidence::default()
        }
    }

    fn marks(evidence: &Evidence) -> Vec<Vec<Mark>> {
        maps(evidence, &ranges(evidence)).into_iter().map(|map| map.marks).collect()
    }

    #[test]
    fn added_memory_crash_region_and_first_mib_are_told_apart() {
        use Mark::{Absent, Added, Crash, Dumped, LeftOut, Ram};
        let expected = [
            [Ram, Ram, Crash, Ram, Absent],
            [Ram, Ram, Crash, Ram, Added],
            [LeftOut, Dumped, LeftOut, Dumped, Dumped],
        ];
        assert_eq!(marks(&evidence()), expected);
    }

    #[test]
    fn memory_that_should_have_been_dumped_is_missing() {
        let mut evidence = evidence();
        evidence.dumped.as_mut().unwrap().pop();
        assert_eq!(marks(&evidence)[2][4], Mark::Missing);
        assert!(chapter(&evidence).into_string().contains("missing"));
    }
}
