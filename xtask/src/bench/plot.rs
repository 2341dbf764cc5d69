//! The picture: how long each contestant is to verify the article's image, and how that grows with the initrd.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::table::Report;

/// Pixels.
const SIZE: (u32, u32) = (960, 840);
/// Colours that are told apart on white and by eyes that do not see red (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(0, 158, 115),
    RGBColor(120, 120, 120),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The report as SVG.
pub fn svg(report: &Report) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(explain)?;
        let (above, below) = root.split_vertically(380);
        bars(report, &above)?;
        growth(report, &below)?;
        root.present().map_err(explain)?;
    }
    Ok(text + "\n")
}

fn explain(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// The first image: a bar for each contestant, milliseconds, logarithmic.
fn bars(report: &Report, area: &Area<'_>) -> Result<()> {
    let race = report.races.first().ok_or_else(|| anyhow!("nothing was measured"))?;
    let count = race.contestants.len();
    let longest = race.contestants.iter().map(|measured| measured.median() * 1e3).fold(1.0, f64::max);
    let title = format!("To verify {}, milliseconds", race.image.what);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(200)
        .build_cartesian_2d((1.0..longest * 3.0).log_scale(), 0.0..count as f64)
        .map_err(explain)?;
    chart.configure_mesh().disable_y_mesh().y_labels(0).x_label_formatter(&|ms| format!("{ms:.0}")).draw().map_err(explain)?;
    for (index, measured) in race.contestants.iter().enumerate() {
        let ms = measured.median() * 1e3;
        let bottom = (count - 1 - index) as f64;
        let bar = [(1.0, bottom + 0.15), (ms, bottom + 0.85)];
        chart.draw_series([Rectangle::new(bar, COLOURS[index % COLOURS.len()].filled())]).map_err(explain)?;
        let label = Text::new(format!("{ms:.1}"), (ms * 1.06, bottom + 0.64), ("sans-serif", 15));
        chart.draw_series([label]).map_err(explain)?;
        let (_, y) = chart.backend_coord(&(1.0, bottom + 0.5));
        let name = Text::new(measured.contestant.clone(), (20, y - area_top(area) - 8), ("sans-serif", 15));
        area.draw(&name).map_err(explain)?;
    }
    Ok(())
}

/// Where an area begins, in pixels of the whole picture: what is drawn on it counts from there.
fn area_top(area: &Area<'_>) -> i32 {
    area.get_base_pixel().1
}

/// The sweep: time over size, both logarithmic, a line for each contestant.
fn growth(report: &Report, area: &Area<'_>) -> Result<()> {
    let sweep: Vec<_> = report.races.iter().filter_map(|race| Some((race.image.sweep_mib? as f64, race))).collect();
    let (Some((least, first)), Some((most, last))) = (sweep.first(), sweep.last()) else { return Ok(()) };
    let times = |race: &super::measure::Race| race.contestants.iter().map(|measured| measured.median() * 1e3).collect::<Vec<_>>();
    let shortest = times(first).into_iter().fold(f64::MAX, f64::min);
    let longest = times(last).into_iter().fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("Milliseconds over MiB of initial RAM disk", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d((*least..*most).log_scale(), (shortest..longest * 1.5).log_scale())
        .map_err(explain)?;
    chart
        .configure_mesh()
        .x_label_formatter(&|mib| format!("{mib:.0}"))
        .y_label_formatter(&|ms| format!("{ms:.0}"))
        .draw()
        .map_err(explain)?;
    for (index, measured) in first.contestants.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<(f64, f64)> = sweep.iter().map(|(mib, race)| (*mib, race.contestants[index].median() * 1e3)).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))
            .map_err(explain)?
            .label(measured.contestant.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled()))).map_err(explain)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(explain)
}
