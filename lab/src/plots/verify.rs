//! docs/bench/verify.svg: how long each contestant takes for the article's image, and how that
//! grows with the initrd.

use maud::{Markup, html};

use super::panel::{Curve, PANEL, Panel, Point, Scale, WIDTH, duration, panel, picture};
use crate::bench::report::Measured;
use crate::machine::Machine;

/// The image of the first panel.
const IMAGE: &str = "article";
/// Pixels: height of a row, top of the first one, and the plot's left and right edge.
const ROW: f64 = 26.0;
const TOP: f64 = 104.0;
const PLOT: [f64; 2] = [210.0, 500.0];

pub fn svg(machine: &Machine, measured: &[Measured]) -> String {
    let rows: Vec<&Measured> = measured.iter().filter(|one| one.image == IMAGE).collect();
    let swept = measured.iter().filter(|one| one.sweep_mib.is_some());
    let curve = |row: &&Measured| Curve {
        name: row.contestant.clone(),
        class: class(&rows, &row.contestant),
        points: swept
            .clone()
            .filter(|one| one.contestant == row.contestant)
            .filter_map(point)
            .collect(),
    };
    let growth = Panel {
        title: "The same for larger initrds".into(),
        note: "Time by size of the initrd; lower is better.".into(),
        x_axis: "MiB of initrd".into(),
        curves: rows.iter().map(curve).filter(|curve| !curve.points.is_empty()).collect(),
    };
    let below = TOP + ROW * rows.len() as f64 + 60.0;
    let content = html! { (dots(&rows)) (panel(&growth, below)) };
    let title = "Time to verify a crash image before it starts";
    let medians =
        rows.iter().map(|row| format!("{} {:.0} ms", row.contestant, row.spread()[1] * 1e3));
    let medians = medians.collect::<Vec<_>>().join(", ");
    let description = format!("Medians: {medians}. Measured on {machine}.");
    picture(title, &description, below + PANEL, &content)
}

fn class(rows: &[&Measured], contestant: &str) -> String {
    let index = rows.iter().position(|row| row.contestant == contestant).unwrap_or(0) % 7;
    // Ours, the fast one, gets the first color.
    let color = [1, 0, 2, 3, 4, 5, 6][index];
    let ours = if contestant.starts_with("ours") { " ours" } else { "" };
    format!("c{color}{ours}")
}

fn point(measured: &Measured) -> Option<Point> {
    Some(Point { x: measured.sweep_mib? as f64, y: measured.spread() })
}

/// A row for each contestant: its name, a dot at its median, a bar over its spread.
fn dots(rows: &[&Measured]) -> Markup {
    let Some(first) = rows.first() else { return html! {} };
    let seconds = || rows.iter().flat_map(|row| row.spread());
    let (least, most) = (seconds().fold(f64::MAX, f64::min), seconds().fold(0.0, f64::max));
    let scale = Scale { values: [least.min(1e-3), most], pixels: PLOT };
    let bottom = TOP + ROW * rows.len() as f64;
    html! {
        text.note x="12" y="54" { (first.what) ". Lower is better." }
        text.note x="12" y="74" {
            "Dot: median of " (first.seconds.len()) " runs. Bar: fastest to slowest."
        }
        @for value in scale.decades() {
            path.grid d={ "M" (scale.at(value)) " " (TOP - 8.0) "V" (bottom) } {}
            text.tick x=(scale.at(value)) y=(bottom + 18.0) text-anchor="middle" {
                (duration(value))
            }
        }
        @for (index, row) in rows.iter().enumerate() {
            @let y = TOP + ROW * (index as f64 + 0.5);
            @let [least, median, most] = row.spread().map(|seconds| scale.at(seconds));
            text.name x="12" y=(y + 5.0) { (row.contestant) }
            g class=(class(rows, &row.contestant)) {
                path.spread d={ "M" (least) " " (y) "H" (most) } {}
                circle cx=(median) cy=(y) r="6" {}
            }
            text.name x=(WIDTH - 12.0) y=(y + 5.0) text-anchor="end" {
                (format!("{:.1} ms", row.spread()[1] * 1e3))
            }
        }
    }
}
