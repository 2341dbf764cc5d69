//! docs/storm/storm.svg: how long nothing is armed while memory is hot-added, by kernel.

use maud::html;
use qemu_runner::storm::{Contestant, Measured};

use super::panel::{Curve, PANEL, Panel, Point, panel, picture};
use crate::machine::Machine;
use crate::storm::SERIES;

const NOTES: [&str; 3] = [
    "A panic during this time leaves no dump. Each dot is one storm, emulated.",
    "Bars: what the time can have been. Dashed: the kernel updates the image and",
    "holds its lock. A panic on another CPU then leaves no dump either.",
];
/// The article's storm: its blocks, and the seconds that user space worked on the image, with RHEL
/// 7 on a machine with KVM (E. DeVolder, "Crash hotplug: Kernel handling of CPU and memory hot
/// un/plug", Oracle Linux blog, 9 January 2024).
const ARTICLE: (u32, f64) = (3840, 389.0);
/// Pixels of the title and its notes.
const HEAD: f64 = 106.0;

pub fn svg(machine: &Machine, measured: &[Measured]) -> String {
    let measured_series =
        SERIES.into_iter().filter(|series| measured.iter().any(|storm| storm.series == *series));
    let panels: Vec<Panel> = measured_series
        .map(|series| {
            let of_series: Vec<&Measured> =
                measured.iter().filter(|one| one.series == series).collect();
            let can = Contestant::OF_STORMS.iter().all(|one| one.impossible_on(series).is_none());
            let mut curves = curves(&of_series);
            let (blocks, seconds) = ARTICLE;
            if of_series.iter().any(|storm| storm.size.blocks == blocks) {
                let point = Point { x: blocks.into(), y: [seconds; 3] };
                let name = "the article: RHEL 7, KVM".into();
                curves.push(Curve { name, class: "c4".into(), points: vec![point] });
            }
            Panel {
                title: format!(
                    "Linux {series}, which {} the image itself",
                    if can { "can update" } else { "cannot update" }
                ),
                note: "Seconds with nothing armed; lower is better.".into(),
                x_axis: "blocks of 128 MiB that came".into(),
                curves,
            }
        })
        .collect();
    let content = html! {
        @for (line, y) in NOTES.into_iter().zip([54, 72, 90]) { text.note x="12" y=(y) { (line) } }
        @for (index, one) in panels.iter().enumerate() { (panel(one, HEAD + PANEL * index as f64)) }
    };
    let title = "Time without a crash image while memory is added";
    let description = format!("docs/storm/storm.md has the figures. Measured on {machine}.");
    picture(title, &description, HEAD + PANEL * panels.len() as f64, &content)
}

/// One curve for each contestant, and one for the time that the kernel holds its own lock.
fn curves(storms: &[&Measured]) -> Vec<Curve> {
    let mut curves = Vec::new();
    for contestant in Contestant::OF_STORMS {
        let (name, class) = match contestant {
            Contestant::KexecPerEvent => ("kexec-tools, each event", "c2"),
            Contestant::KexecThrottled => ("kexec-tools, throttled", "c3"),
            Contestant::ReloadInPlace => ("kdump-loader, reloads", "c1 ours"),
            Contestant::InKernel => ("kdump-loader, in kernel", "c0 ours"),
            Contestant::Capture => ("kdump-loader, --capture", "c5 ours"),
        };
        let of = |y: fn(&Measured) -> [f64; 3]| -> Vec<Point> {
            let mine = storms.iter().filter(|storm| storm.contestant == contestant);
            mine.map(|storm| Point { x: storm.size.blocks.into(), y: y(storm) }).collect()
        };
        let unprotected = of(|storm| {
            let (least, most) = storm.unprotected_bounds_s;
            [least, storm.unprotected_s, most]
        });
        if unprotected.is_empty() {
            continue;
        }
        curves.push(Curve { name: name.into(), class: class.into(), points: unprotected });
        if contestant == Contestant::InKernel {
            let points = of(|storm| [storm.kernel_updates_s; 3]);
            let name = "(kernel holds its lock)".into();
            curves.push(Curve { name, class: "c0 dashed".into(), points });
        }
    }
    curves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::machine;

    #[test]
    fn every_contestant_is_named_also_one_that_was_never_unprotected() {
        let record = include_str!("../../../docs/storm/storm.jsonl");
        let storms = record.lines().skip(1).map(|line| serde_json::from_str(line).unwrap());
        let never = |storm: Measured| match storm.contestant {
            Contestant::InKernel => Measured { unprotected_s: 0.0, ..storm },
            _ => storm,
        };
        let picture = svg(&machine(), &storms.map(never).collect::<Vec<_>>());
        for words in ["each event", "throttled", "reloads", "in kernel", "holds its lock"] {
            assert!(picture.contains(words), "{words}");
        }
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    }

    #[test]
    fn the_article_is_beside_storms_of_its_size_only() {
        let shows_it = |record: &str| {
            let storms = record.lines().skip(1).map(|line| serde_json::from_str(line).unwrap());
            svg(&machine(), &storms.collect::<Vec<_>>()).contains("the article")
        };
        assert!(shows_it(include_str!("../../../docs/storm/full-size.jsonl")));
        assert!(!shows_it(include_str!("../../../docs/storm/storm.jsonl")));
    }
}
