//! Draws a layout as SVG. All text is escaped.

use maud::{Markup, PreEscaped, html};

use super::layout::{Drawn, Layout, Rect, Sample, Scale, Text, WIDTH};
use super::parts::Care;

/// Colors and strokes for light and dark mode.
const STYLE: &str = include_str!("draw/style.css");
/// Height above and below the middle, and width, of a tooth of a torn edge.
const TOOTH: (f64, f64) = (4.0, 9.5);
/// Height of the gap in a shortened part.
const GAP: f64 = 6.0;

/// The picture.
pub fn svg(layout: &Layout, id: &str) -> String {
    let Layout { height, parts, samples, texts, title, description } = layout;
    let (title_id, description_id) = (format!("{id}-title"), format!("{id}-description"));
    let picture = html! {
        svg.crash-region xmlns="http://www.w3.org/2000/svg" role="img"
            width=(WIDTH) height=(height) viewBox={ "0 0 " (WIDTH) " " (height) }
            aria-labelledby=(title_id) aria-describedby=(description_id) {
            title id=(title_id) { (title) }
            desc id=(description_id) { (description) }
            style { (PreEscaped(STYLE)) }
            defs { @for care in Care::ALL { (pattern(care, id)) } }
            rect.paper width=(WIDTH) height=(height) {}
            @for part in parts { (connection(part)) }
            @for part in parts { (self::part(part, id)) }
            @for (sample, rect) in samples { (self::sample(*sample, rect, id)) }
            @for text in texts { (line(text)) }
        }
    };
    picture.into_string() + "\n"
}

/// A part in both columns with its label.
fn part(part: &Drawn, id: &str) -> Markup {
    html! {
        g.part {
            title { (part.sentence) }
            @for (care, rect) in &part.overview_pieces { (filled(*care, rect, id)) }
            (outline(&part.overview))
            @for (care, rect) in &part.pieces { (filled(*care, rect, id)) }
            @if part.scale == Scale::Shortened { (torn(&part.detail)) }
            (outline(&part.detail))
            (ruler(part.scale, &part.ruler))
            @for text in &part.label { (line(text)) }
        }
    }
}

/// Connects a part in the left column to the same part in the right one.
fn connection(part: &Drawn) -> Markup {
    let (from, to) = (&part.overview, &part.detail);
    let corners =
        [(from.right(), from.y), (to.x, to.y), (to.x, to.bottom()), (from.right(), from.bottom())];
    let care = part.pieces.first().map_or(Care::Free, |piece| piece.0);
    html! { polygon class={ "connection " (care.word()) } points=(points(&corners)) {} }
}

fn filled(care: Care, rect: &Rect, id: &str) -> Markup {
    let Rect { x, y, w, h } = rect;
    html! {
        rect class={ "ground " (care.word()) }
            x=(number(*x)) y=(number(*y)) width=(number(*w)) height=(number(*h)) {}
        @if has_pattern(care) {
            rect x=(number(*x)) y=(number(*y)) width=(number(*w)) height=(number(*h))
                fill={ "url(#" (id) "-" (care.word()) ")" } {}
        }
    }
}

fn outline(rect: &Rect) -> Markup {
    let Rect { x, y, w, h } = rect;
    html! { rect.outline x=(number(*x)) y=(number(*y)) width=(number(*w)) height=(number(*h)) {} }
}

/// A tear across the middle, which shows that the part is shortened.
fn torn(rect: &Rect) -> Markup {
    let middle = rect.y + rect.h / 2.0;
    let (upper, lower) = (teeth(rect, middle - GAP / 2.0), teeth(rect, middle + GAP / 2.0));
    let band: Vec<_> = upper.iter().copied().chain(lower.iter().rev().copied()).collect();
    html! {
        polygon.tear points=(points(&band)) {}
        polyline.torn points=(points(&upper)) {}
        polyline.torn points=(points(&lower)) {}
    }
}

/// A zigzag line across a rectangle.
fn teeth(rect: &Rect, y: f64) -> Vec<(f64, f64)> {
    let count = (rect.w / TOOTH.1).round().max(1.0) as u32;
    let point = |index: u32| {
        let side = if index.is_multiple_of(2) { TOOTH.0 } else { -TOOTH.0 };
        (rect.x + rect.w * f64::from(index) / f64::from(count), y + side)
    };
    (0..=count).map(point).collect()
}

/// The mark that shows whether a height is to scale.
fn ruler(scale: Scale, rect: &Rect) -> Markup {
    let x = rect.x + rect.w / 2.0;
    let (top, bottom) = (rect.y + 2.0, rect.bottom() - 2.0);
    let middle = (top + bottom) / 2.0;
    let across = |y: f64| [(rect.x + 1.0, y), (rect.right() - 1.0, y)];
    html! {
        @match scale {
            Scale::True => {
                polyline.ruler points=(points(&[(x, top), (x, bottom)])) {}
                polyline.ruler points=(points(&across(top))) {}
                polyline.ruler points=(points(&across(bottom))) {}
            }
            Scale::Shortened => {
                polyline.ruler points=(points(&[
                    (x, top), (x, middle - 4.0), (x - 4.0, middle - 2.0),
                    (x + 4.0, middle + 2.0), (x, middle + 4.0), (x, bottom),
                ])) {}
            }
            Scale::Enlarged => polyline.ruler.dotted points=(points(&[(x, top), (x, bottom)])) {},
        }
    }
}

fn sample(sample: Sample, rect: &Rect, id: &str) -> Markup {
    html! {
        @match sample {
            Sample::Care(care) => { (filled(care, rect, id)) (outline(rect)) }
            Sample::Scale(scale) => (ruler(scale, rect)),
        }
    }
}

fn line(text: &Text) -> Markup {
    let (x, y) = text.anchor();
    let anchor = if text.flush_right { "end" } else { "start" };
    html! {
        text class=(text.style.word()) x=(number(x)) y=(number(y)) text-anchor=(anchor) {
            (text.text)
        }
    }
}

fn has_pattern(care: Care) -> bool {
    !matches!(care, Care::Hashed | Care::Free)
}

/// Hatches, dots and lines that distinguish kinds of verification without color.
fn pattern(care: Care, id: &str) -> Markup {
    let strokes = match care {
        Care::Hashed | Care::Free => return html! {},
        Care::Zero => "M-2 2 2-2M0 8 8 0M6 10 10 6",
        Care::Sealed => "M0 0 8 8M0 8 8 0",
        Care::Structure => "M2 2h1.6M6 6h1.6",
        Care::Scratch => "M0 2h8M0 6h8",
        Care::Unverified => "M2 0v8M6 0v8",
    };
    html! {
        pattern id={ (id) "-" (care.word()) } width="8" height="8" patternUnits="userSpaceOnUse" {
            path class={ "strokes " (care.word()) } d=(strokes) {}
        }
    }
}

fn points(points: &[(f64, f64)]) -> String {
    points
        .iter()
        .map(|&(x, y)| format!("{},{}", number(x), number(y)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Rounds to hundredths of a pixel.
fn number(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests;
