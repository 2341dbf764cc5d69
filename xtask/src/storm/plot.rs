//! The picture: seconds without an armed image over blocks, both logarithmic; what was measured as points, where the lines lead as dashes.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::series::DashedLineSeries;
use qemu_runner::storm::Measured;

use super::model::{ARTICLE_BLOCKS, Quantity, groups};
use super::table::Report;

/// Pixels.
const SIZE: (u32, u32) = (960, 620);
/// Colours that are told apart on white and by eyes that do not see red (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(120, 120, 120),
    RGBColor(0, 0, 0),
];
/// The lowest that is shown, in seconds: nothing at all is drawn here.
const FLOOR: f64 = 1e-5;
/// Dash and space, in pixels.
const DASHES: (u32, u32) = (6, 5);

/// The report as SVG.
pub fn svg(report: &Report) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(explain)?;
        chart(report, &root)?;
        root.present().map_err(explain)?;
    }
    Ok(text + "\n")
}

fn explain(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// Points over blocks, of a kernel and a contestant.
struct Curve {
    label: String,
    points: Vec<(f64, f64)>,
    /// Where its line leads at the article's number of blocks.
    end: Option<f64>,
}

/// One for each kernel and contestant, and one for the time that the kernel holds its own lock where it updates the elfcorehdr itself.
fn curves(report: &Report) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (series, contestant) in groups(&report.measured) {
        let storms: Vec<&Measured> =
            report.measured.iter().filter(|storm| storm.series == series && storm.contestant == contestant).collect();
        let over_blocks =
            |of: fn(&Measured) -> f64| storms.iter().map(|storm| (f64::from(storm.size.blocks), of(storm))).collect();
        let line = report
            .extrapolated
            .iter()
            .find(|line| line.series == series && line.contestant == contestant && line.quantity == Quantity::UnprotectedS);
        let end = line.map(|line| line.at_article);
        curves.push(Curve {
            label: format!("{series}: {}", contestant.words()),
            points: over_blocks(|storm| storm.unprotected_s),
            end,
        });
        if storms.iter().any(|storm| storm.kernel_updates > 0) && storms.iter().all(|storm| storm.reloads == 0) {
            let label = format!("{series}: {contestant}: the kernel holds its lock (upper bound)");
            curves.push(Curve { label, points: over_blocks(|storm| storm.kernel_updates_s), end: None });
        }
    }
    curves
}

fn chart(report: &Report, area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<()> {
    let curves = curves(report);
    let highest = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1).chain(curve.end)).fold(1.0, f64::max);
    let least =
        curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)).fold(f64::from(ARTICLE_BLOCKS), f64::min);
    let mut chart = ChartBuilder::on(area)
        .caption("Seconds with no crash image armed, over blocks of memory that came", ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d((least * 0.8..f64::from(ARTICLE_BLOCKS) * 1.2).log_scale(), (FLOOR..highest * 3.0).log_scale())
        .map_err(explain)?;
    chart
        .configure_mesh()
        .x_desc("blocks of 128 MiB; dashes: carried on to the article's 3840 (not measured)")
        .x_label_formatter(&|blocks| format!("{blocks:.0}"))
        .y_label_formatter(&|seconds| if *seconds <= FLOOR * 1.01 { "none".into() } else { format!("{seconds}") })
        .draw()
        .map_err(explain)?;
    for (index, curve) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let shown: Vec<(f64, f64)> = curve.points.iter().map(|&(blocks, seconds)| (blocks, seconds.max(FLOOR))).collect();
        chart
            .draw_series(LineSeries::new(shown.clone(), colour.stroke_width(2)))
            .map_err(explain)?
            .label(curve.label.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(shown.iter().map(|&point| Circle::new(point, 4, colour.filled()))).map_err(explain)?;
        if let (Some(&from), Some(end)) = (shown.last(), curve.end) {
            let to = (f64::from(ARTICLE_BLOCKS), end.max(FLOOR));
            let dashes = DashedLineSeries::new([from, to], DASHES.0, DASHES.1, colour.stroke_width(1));
            chart.draw_series(dashes).map_err(explain)?;
            chart.draw_series([Circle::new(to, 4, colour.stroke_width(1))]).map_err(explain)?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.85))
        .label_font(("sans-serif", 13))
        .draw()
        .map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::storm;
    use super::*;
    use crate::bench::machine::Machine;
    use crate::storm::series::Series;
    use qemu_runner::storm::Contestant;

    #[test]
    fn every_contestant_is_in_the_picture_also_one_that_was_never_unprotected() {
        let machine = Machine {
            cpu: String::new(),
            cpus: 1,
            kernel: String::new(),
            rustc: String::new(),
            commit: String::new(),
            date: String::new(),
        };
        let never = Measured {
            unprotected_s: 0.0,
            reloads: 0,
            kernel_updates: 8,
            kernel_updates_s: 0.002,
            ..storm(Contestant::InKernel, "6.12", 8)
        };
        let measured = vec![storm(Contestant::KexecPerEvent, "6.1", 8), storm(Contestant::KexecPerEvent, "6.1", 32), never];
        let picture = svg(&Report::new(machine, Series { measured, earlier: 0, unmeasured: Vec::new() })).unwrap();
        for words in ["6.1: kexec-tools", "6.12: kdump-loader", "the kernel holds its lock", "none"] {
            assert!(picture.contains(words), "{words}");
        }
    }
}
