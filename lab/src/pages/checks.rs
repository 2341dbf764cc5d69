//! What must hold of everything that people look at.

use super::look::{Edges, Seen, Text};

/// Contrast of text with its ground, and of lines that mean something (WCAG 2.2, 1.4.3 and 1.4.11,
/// level AA).
const TEXT: f64 = 4.5;
const LINES: f64 = 3.0;
/// Pixels of the smallest type that can be read without strain.
const SIZE: f64 = 10.0;
/// Pixels that browsers round by.
const ROUNDING: f64 = 1.0;

pub fn faults(seen: &Seen) -> Vec<String> {
    let mut faults = Vec::new();
    if seen.texts.is_empty() {
        faults.push("no text is shown".into());
    }
    for (index, text) in seen.texts.iter().enumerate() {
        let Text { text: words, edges, size, contrast, .. } = text;
        if *contrast < TEXT {
            faults.push(format!("contrast of {words:?} is {contrast:.2}, less than {TEXT}"));
        }
        if *size < SIZE {
            faults.push(format!("{words:?} is small: {size:.1} pixels"));
        }
        if let Some(picture) = text.picture.filter(|picture| !is_inside(edges, picture)) {
            faults.push(format!("{words:?} is outside its picture: {edges:?} in {picture:?}"));
        }
        for (number, other) in seen.texts.iter().enumerate().skip(index + 1) {
            let is_nested = text.within.contains(&number) || other.within.contains(&index);
            if !is_nested && do_overlap(edges, &other.edges, text.leading) {
                faults.push(format!("{words:?} and {:?} overlap", other.text));
            }
        }
    }
    let dimmest = seen.lines.iter().copied().fold(f64::INFINITY, f64::min);
    if dimmest < LINES {
        faults.push(format!("contrast of a line is {dimmest:.2}, less than {LINES}"));
    }
    let (window, content) = seen.widths;
    if content > window + ROUNDING {
        faults.push(format!("content of {content} pixels is wider than the window's {window}"));
    }
    faults.extend(seen.fetched.iter().map(|url| format!("fetched: {url}")));
    faults.extend(seen.console.iter().map(|line| format!("console: {line}")));
    faults
}

fn do_overlap(one: &Edges, other: &Edges, leading: f64) -> bool {
    one.left + ROUNDING < other.right
        && other.left + ROUNDING < one.right
        && one.top + leading + ROUNDING < other.bottom
        && other.top + leading + ROUNDING < one.bottom
}

fn is_inside(inner: &Edges, outer: &Edges) -> bool {
    inner.left >= outer.left - ROUNDING
        && inner.top >= outer.top - ROUNDING
        && inner.right <= outer.right + ROUNDING
        && inner.bottom <= outer.bottom + ROUNDING
}
