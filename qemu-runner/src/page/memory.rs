//! The memory map when the capture kernel was armed, when the first kernel panicked, and in the vmcore.

mod axis;

use std::ops::Range;

use loader::image::size;
use maud::{Markup, html};

use self::axis::{Axis, Segment, axis};
use crate::iomem::Iomem;
use crate::outcome::Evidence;

/// Pixels: width, left end of the rows, top of the first one, height and distance of rows.
const WIDTH: f64 = 892.0;
const LEFT: f64 = 132.0;
const TOP: f64 = 26.0;
const ROW: f64 = 30.0;
const STEP: f64 = 42.0;

/// What a stretch of memory is in one of the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Nothing.
    Absent,
    /// System RAM.
    Ram,
    /// System RAM that was not there at load.
    Added,
    /// Reserved for the capture kernel.
    Crash,
    /// In the vmcore.
    Dumped,
    /// Memory, but not to be dumped: the first MiB and the crash region.
    LeftOut,
    /// To be dumped, and not there.
    Missing,
}

impl Mark {
    /// One word, for classes.
    const fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Ram => "ram",
            Self::Added => "added",
            Self::Crash => "crash",
            Self::Dumped => "dumped",
            Self::LeftOut => "left-out",
            Self::Missing => "missing",
        }
    }

    /// What stands in the table and in the legend.
    const fn name(self) -> &'static str {
        match self {
            Self::Absent => "not there",
            Self::Ram => "System RAM",
            Self::Added => "System RAM, added since",
            Self::Crash => "crash region",
            Self::Dumped => "in a PT_LOAD",
            Self::LeftOut => "left out, as it must be",
            Self::Missing => "missing",
        }
    }
}

/// One of the maps.
struct Row {
    name: &'static str,
    /// Of each stretch.
    marks: Vec<Mark>,
}

/// Picture and table.
pub fn chapter(scenario: &str, evidence: &Evidence) -> Markup {
    let stretches = stretches(evidence);
    let rows = rows(evidence, &stretches);
    if rows.is_empty() {
        return html! {};
    }
    html! {
        section.chapter {
            h3 { "Memory" }
            p {
                "System RAM of /proc/iomem"
                @if evidence.dumped.is_some() { ", and what of it the PT_LOADs of /proc/vmcore hold" } ". Stretches wider than their numbers are to scale; "
                "where the line is torn, there is no memory."
            }
            figure {
                div.scroll tabindex="0" role="group" aria-label="The maps, drawn" { (picture(scenario, &axis(&stretches, WIDTH - LEFT), &rows)) }
                figcaption { (legend(&rows)) } }
            div.scroll tabindex="0" role="group" aria-label="The maps as a table" {
                table.memory {
                    thead { tr { th scope="col" { "No." } th scope="col" { "addresses" } th scope="col" { "size" } @for row in &rows { th scope="col" { (row.name) } } } }
                    tbody {
                        @for (index, range) in stretches.iter().enumerate() {
                            tr {
                                th scope="row" { (index + 1) }
                                td.address { (format!("{:#x}-{:#x}", range.start, range.end - 1)) }
                                td.number { (size(range.end - range.start)) }
                                @for row in &rows { td class=(row.marks[index].word()) { (row.marks[index].name()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The memory of all maps together, cut wherever one of them changes; ascending.
fn stretches(evidence: &Evidence) -> Vec<Range<u64>> {
    let maps = [&evidence.at_load, &evidence.before_panic];
    let of_map = |map: &Iomem| map.system_ram.iter().chain(&map.crash_kernel).cloned().collect::<Vec<_>>();
    let ranges: Vec<_> = maps.into_iter().flatten().flat_map(of_map).chain(evidence.dumped.iter().flatten().cloned()).collect();
    let mut cuts: Vec<u64> = ranges.iter().flat_map(|range| [range.start, range.end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let pairs = cuts.windows(2).map(|pair| pair[0]..pair[1]);
    pairs.filter(|stretch| ranges.iter().any(|range| holds(range, stretch))).collect()
}

fn rows(evidence: &Evidence, stretches: &[Range<u64>]) -> Vec<Row> {
    let Evidence { at_load, before_panic, dumped, .. } = evidence;
    let row = |name, mark: &dyn Fn(&Range<u64>) -> Mark| Row { name, marks: stretches.iter().map(mark).collect() };
    let mut rows = Vec::new();
    if let Some(map) = at_load {
        rows.push(row("when armed", &|stretch| in_map(map, stretch)));
    }
    if let Some(map) = before_panic {
        rows.push(row("at the panic", &|stretch| match in_map(map, stretch) {
            Mark::Ram if at_load.as_ref().is_some_and(|earlier| in_map(earlier, stretch) == Mark::Absent) => Mark::Added,
            mark => mark,
        }));
        if let Some(dumped) = dumped {
            let expected = map.dumped();
            rows.push(row("in the vmcore", &|stretch| {
                let is_in = |ranges: &[Range<u64>]| ranges.iter().any(|range| holds(range, stretch));
                match (is_in(dumped), is_in(&expected)) {
                    (true, _) => Mark::Dumped,
                    (false, true) => Mark::Missing,
                    (false, false) if in_map(map, stretch) == Mark::Absent => Mark::Absent,
                    (false, false) => Mark::LeftOut,
                }
            }));
        }
    }
    rows
}

fn in_map(map: &Iomem, stretch: &Range<u64>) -> Mark {
    let is_in = |ranges: &[Range<u64>]| ranges.iter().any(|range| holds(range, stretch));
    match () {
        () if is_in(&map.crash_kernel) => Mark::Crash,
        () if is_in(&map.system_ram) => Mark::Ram,
        () => Mark::Absent,
    }
}

fn holds(range: &Range<u64>, stretch: &Range<u64>) -> bool {
    range.start <= stretch.start && stretch.end <= range.end
}

/// A row for each map, a number above each stretch.
fn picture(scenario: &str, axis: &Axis, rows: &[Row]) -> Markup {
    let width = axis.stretches.last().map_or(WIDTH, |last| LEFT + last.x + last.w).max(WIDTH);
    let height = TOP + STEP * rows.len() as f64;
    let added = rows.iter().flat_map(|row| &row.marks).filter(|mark| **mark == Mark::Added).count();
    let words = format!(
        "{} stretches of memory in {} maps; {added} added after arming. The table says which.",
        axis.stretches.len(),
        rows.len()
    );
    let pattern = |mark: Mark| format!("url(#{scenario}-memory-{})", mark.word());
    html! {
        svg.memory xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (number(width)) " " (number(height)) } role="img" aria-label=(words) {
            defs {
                @for (mark, strokes) in PATTERNS {
                    pattern id={ (scenario) "-memory-" (mark.word()) } width="8" height="8" patternUnits="userSpaceOnUse" {
                        path class={ "strokes " (mark.word()) } d=(strokes) {}
                    }
                }
            }
            @for (index, Segment { x, w }) in axis.stretches.iter().enumerate() {
                text.stretch x=(number(LEFT + x + w / 2.0)) y="16" text-anchor="middle" { (index + 1) }
            }
            @for (index, row) in rows.iter().enumerate() {
                @let y = TOP + STEP * index as f64;
                text.row x="0" y=(y + ROW / 2.0 + 5.0) { (row.name) }
                @for (Segment { x, w }, mark) in axis.stretches.iter().zip(&row.marks) {
                    rect class={ "mark " (mark.word()) } x=(number(LEFT + x)) y=(y) width=(number(*w)) height=(ROW) { title { (mark.name()) } }
                    @if PATTERNS.iter().any(|(patterned, _)| patterned == mark) {
                        rect x=(number(LEFT + x)) y=(y) width=(number(*w)) height=(ROW) fill=(pattern(*mark)) {}
                    }
                }
                @for Segment { x, w } in &axis.tears {
                    @let middle = number(LEFT + x + w / 2.0);
                    path.tear d={ "M" (middle - 3.0) " " (y + 4.0) "l6 7.3-6 7.3 6 7.3M" (middle + 1.0) " " (y + 4.0) "l6 7.3-6 7.3 6 7.3" } {}
                }
            }
        }
    }
}

/// What tells marks apart where colours do not.
const PATTERNS: [(Mark, &str); 4] = [
    (Mark::Added, "M-2 2 2-2M0 8 8 0M6 10 10 6"),
    (Mark::Crash, "M0 0 8 8M0 8 8 0"),
    (Mark::LeftOut, "M2 2h1.6M6 6h1.6"),
    (Mark::Missing, "M0 2h8M0 6h8"),
];

fn legend(rows: &[Row]) -> Markup {
    let all = [Mark::Ram, Mark::Added, Mark::Crash, Mark::Dumped, Mark::LeftOut, Mark::Missing];
    let occurs = |mark: &Mark| rows.iter().any(|row| row.marks.contains(mark));
    html! { ul.phases { @for mark in all.iter().filter(|mark| occurs(mark)) { li { span class={ "swatch " (mark.word()) } {} " " (mark.name()) } } } }
}

/// Hundredths of a pixel are enough.
fn number(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests;
