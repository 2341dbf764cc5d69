//! A panel of a picture: logarithmic axes, and curves with their names at their ends.
//!
//! A picture has no script, adapts to light and dark, and does not depend on color alone: each
//! curve is named where it ends.

use maud::{Markup, PreEscaped, html};

/// Pixels: the picture's width, the plot's left and right edge, its height, and its margins.
pub const WIDTH: f64 = 600.0;
pub const LEFT: f64 = 62.0;
const RIGHT: f64 = 382.0;
const HEIGHT: f64 = 290.0;
const ABOVE: f64 = 62.0;
const BELOW: f64 = 50.0;
/// Pixels of a whole panel.
pub const PANEL: f64 = ABOVE + HEIGHT + BELOW;
/// Least distance of two names.
const NAME_STEP: f64 = 18.0;

const STYLE: &str = include_str!("style.css");

pub struct Scale {
    /// Least and greatest value.
    pub values: [f64; 2],
    /// Where these are, in pixels.
    pub pixels: [f64; 2],
}

impl Scale {
    /// Where a value is. Values outside are drawn at the nearer end.
    pub fn at(&self, value: f64) -> f64 {
        let [least, most] = self.values;
        let part = (value.clamp(least, most) / least).ln() / (most / least).ln();
        let [from, to] = self.pixels;
        ((from + part * (to - from)) * 10.0).round() / 10.0
    }

    /// Powers of ten on this scale.
    pub fn decades(&self) -> impl Iterator<Item = f64> {
        let [first, last] = self.values.map(f64::log10);
        ((first - 1e-9).ceil() as i32..=(last + 1e-9).floor() as i32).map(|n| 10_f64.powi(n))
    }
}

/// One measurement: its x, and least, median and greatest y.
pub struct Point {
    /// Where on the horizontal axis.
    pub x: f64,
    /// Least, median, greatest.
    pub y: [f64; 3],
}

/// What was measured of one contestant.
pub struct Curve {
    /// Shown at its end.
    pub name: String,
    /// Its class: `c0` to `c6`, and `ours`, `dashed`.
    pub class: String,
    /// By ascending x.
    pub points: Vec<Point>,
}

pub struct Panel {
    pub title: String,
    /// What its y-axis is, and that lower is better.
    pub note: String,
    /// What its x-axis is. Its ticks are at the measured x.
    pub x_axis: String,
    pub curves: Vec<Curve>,
}

/// A whole picture with its `title`, and a `description` for those who cannot see it.
pub fn picture(title: &str, description: &str, height: f64, content: &Markup) -> String {
    let view = format!("0 0 {WIDTH} {height}");
    let picture = html! {
        svg.plot xmlns="http://www.w3.org/2000/svg" role="img" width=(WIDTH) height=(height)
            viewBox=(view) aria-labelledby="plot-title" aria-describedby="plot-description" {
            title id="plot-title" { (title) }
            desc id="plot-description" { (description) }
            style { (PreEscaped(STYLE)) }
            rect.paper width=(WIDTH) height=(height) {}
            text.title x="12" y="30" { (title) }
            (content)
        }
    };
    picture.into_string() + "\n"
}

/// Draws a panel, `top` pixels below the picture's top.
pub fn panel(panel: &Panel, top: f64) -> Markup {
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let positive = points().map(|point| point.y[1]).filter(|&y| y > 0.0);
    let least = positive.fold(f64::MAX, f64::min);
    let most = points().map(|point| point.y[2]).fold(0.0, f64::max);
    let mut ticks: Vec<f64> = points().map(|point| point.x).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let (Some(&first), Some(&last)) = (ticks.first(), ticks.last()) else { return html! {} };
    let bottom = top + ABOVE + HEIGHT;
    let x = Scale { values: [first, last], pixels: [LEFT + 14.0, RIGHT - 14.0] };
    let lowest = 10_f64.powf(least.log10().floor());
    let y = Scale { values: [lowest, most * 1.2], pixels: [bottom, top + ABOVE] };
    let ends: Vec<f64> = panel
        .curves
        .iter()
        .map(|curve| y.at(curve.points.last().map_or(lowest, |p| p.y[1])))
        .collect();
    let names = spaced(&ends, bottom);
    html! {
        text.heading x="12" y=(top + 22.0) { (panel.title) }
        text.note x="12" y=(top + 42.0) { (panel.note) }
        @for value in y.decades() {
            path.grid d={ "M" (LEFT) " " (y.at(value)) "H" (RIGHT) } {}
            text.tick x=(LEFT - 8.0) y=(y.at(value) + 5.0) text-anchor="end" { (duration(value)) }
        }
        path.axis d={ "M" (LEFT) " " (bottom) "H" (RIGHT) } {}
        @for &value in &ticks {
            path.axis d={ "M" (x.at(value)) " " (bottom) "v5" } {}
            text.tick x=(x.at(value)) y=(bottom + 21.0) text-anchor="middle" { (value) }
        }
        text.note x=((LEFT + RIGHT) / 2.0) y=(bottom + 41.0) text-anchor="middle" { (panel.x_axis) }
        @for ((curve, end), name) in panel.curves.iter().zip(ends).zip(names) {
            g class=(curve.class) {
                path.curve d=(line(curve, &x, &y)) {}
                @for point in &curve.points { (spread(x.at(point.x), point.y.map(|v| y.at(v)))) }
                path.leader d={ "M" (RIGHT - 8.0) " " (end) "L" (RIGHT + 8.0) " " (name) } {}
            }
            text.name x=(RIGHT + 12.0) y=(name + 5.0) { (curve.name) }
        }
    }
}

/// A dot at the median, and a bar from the least to the greatest value.
fn spread(x: f64, [least, median, most]: [f64; 3]) -> Markup {
    html! {
        path.spread d={ "M" (x) " " (least) "V" (most) } {}
        circle cx=(x) cy=(median) r="4" {}
    }
}

fn line(curve: &Curve, x: &Scale, y: &Scale) -> String {
    let points = curve.points.iter().map(|point| format!("{} {}", x.at(point.x), y.at(point.y[1])));
    format!("M{}", points.collect::<Vec<_>>().join("L"))
}

/// Moves names apart, up from `bottom`, as little as their order and distance allow.
fn spaced(wanted: &[f64], bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&one, &other| wanted[one].total_cmp(&wanted[other]));
    let mut placed = wanted.to_vec();
    for pair in order.windows(2) {
        placed[pair[1]] = placed[pair[1]].max(placed[pair[0]] + NAME_STEP);
    }
    let mut lowest = bottom;
    for &index in order.iter().rev() {
        placed[index] = placed[index].min(lowest);
        lowest = placed[index] - NAME_STEP;
    }
    placed
}

/// Seconds with a unit, for powers of ten.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.9e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 0.9 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_order_and_distance_and_stay_above_the_bottom() {
        for wanted in [vec![10.0, 11.0, 12.0, 200.0], vec![290.0, 289.0, 5.0, 288.0], vec![]] {
            let placed = spaced(&wanted, 290.0);
            let mut pairs: Vec<_> = wanted.iter().zip(&placed).collect();
            pairs.sort_by(|one, other| one.0.total_cmp(other.0));
            assert!(pairs.windows(2).all(|pair| pair[1].1 - pair[0].1 >= NAME_STEP), "{placed:?}");
            assert!(placed.iter().all(|&y| y <= 290.0), "{placed:?}");
        }
        assert_eq!(spaced(&[10.0, 100.0], 290.0), [10.0, 100.0]);
    }

    #[test]
    fn a_scale_has_its_decades_and_keeps_values_inside() {
        let scale = Scale { values: [0.001, 20.0], pixels: [300.0, 0.0] };
        assert_eq!(scale.decades().collect::<Vec<_>>(), [0.001, 0.01, 0.1, 1.0, 10.0]);
        assert_eq!([scale.at(0.0), scale.at(0.001), scale.at(99.0)], [300.0, 300.0, 0.0]);
        assert_eq!([1e-4, 0.1, 1.0, 100.0].map(duration), ["100 µs", "100 ms", "1 s", "100 s"]);
    }
}
