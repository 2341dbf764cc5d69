//! What must be true of whatever people look at.

use serde_json::Value;

use crate::look::Seen;

/// Contrast of text with its ground, and of lines that mean something (WCAG 2.2, 1.4.3 and 1.4.11, level AA).
const TEXT: f64 = 4.5;
const LINES: f64 = 3.0;
/// Pixels of the smallest type that is not a strain.
const SIZE: f64 = 10.0;
/// Pixels that browsers round by.
const ROUNDING: f64 = 1.0;

/// Edges of a box.
struct Edges {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Edges {
    fn of(value: &Value) -> Option<Self> {
        let edge = |name: &str| value[name].as_f64();
        Some(Self { left: edge("left")?, top: edge("top")?, right: edge("right")?, bottom: edge("bottom")? })
    }

    fn overlaps(&self, other: &Self, leading: f64) -> bool {
        self.left + ROUNDING < other.right
            && other.left + ROUNDING < self.right
            && self.top + leading + ROUNDING < other.bottom
            && other.top + leading + ROUNDING < self.bottom
    }

    fn inside(&self, outer: &Self) -> bool {
        self.left >= outer.left - ROUNDING
            && self.top >= outer.top - ROUNDING
            && self.right <= outer.right + ROUNDING
            && self.bottom <= outer.bottom + ROUNDING
    }
}

/// Everything that is wrong.
pub fn faults(seen: &Seen) -> Vec<String> {
    let mut faults = Vec::new();
    if seen.texts.is_empty() {
        faults.push("no text is shown".into());
    }
    for text in &seen.texts {
        let contrast = text["contrast"].as_f64().unwrap_or(0.0);
        if contrast < TEXT {
            faults.push(format!("contrast of {} is {contrast:.2}, not {TEXT}", text["text"]));
        }
        let size = text["size"].as_f64().unwrap_or(0.0);
        if size < SIZE {
            faults.push(format!("{} is small, {size:.1} pixels", text["text"]));
        }
        let (own, picture) = (Edges::of(&text["box"]), Edges::of(&text["picture"]));
        if let (Some(own), Some(picture)) = (own, picture)
            && !own.inside(&picture)
        {
            faults.push(format!("{} lies outside its picture: {} in {}", text["text"], text["box"], text["picture"]));
        }
    }
    for (index, text) in seen.texts.iter().enumerate() {
        let others = seen.texts.iter().enumerate().skip(index + 1);
        for (_, other) in others.filter(|(number, other)| !is_within(text, *number) && !is_within(other, index)) {
            let leading = text["leading"].as_f64().unwrap_or(0.0);
            if let (Some(first), Some(second)) = (Edges::of(&text["box"]), Edges::of(&other["box"]))
                && first.overlaps(&second, leading)
            {
                faults.push(format!("{} and {} overlap: {} and {}", text["text"], other["text"], text["box"], other["box"]));
            }
        }
    }
    let dimmest = seen.frames.iter().copied().fold(f64::INFINITY, f64::min);
    if dimmest < LINES {
        faults.push(format!("contrast of a line is {dimmest:.2}, not {LINES}"));
    }
    let (window, content) = seen.widths;
    if content > window + ROUNDING {
        faults.push(format!("{content} pixels of content are wider than the window's {window}"));
    }
    faults.extend(seen.fetched.iter().map(|url| format!("fetched: {url}")));
    faults.extend(seen.console.iter().map(|line| format!("console: {line}")));
    faults
}

/// Whether a text stands inside the one of this number.
fn is_within(text: &Value, number: usize) -> bool {
    text["within"].as_array().is_some_and(|numbers| numbers.iter().any(|within| *within == number))
}
