//! Lays out the picture: parts in, rectangles and lines of text out. Lengths are in pixels.
//!
//! Two columns show the same memory, lowest addresses at the top. In the left one everything is to
//! scale, so most segments are too thin to see. In the right one every part is high enough for a
//! label: as many parts as possible are to scale, and the others are marked as shortened or
//! enlarged.

mod text;

use loader::image::{Summary, size};
use loader::phys::PhysRange;

use super::parts::{self, Care, Part};
pub use text::{Style, Text};

/// Width of the picture.
pub const WIDTH: f64 = 940.0;
const MARGIN: f64 = 24.0;
/// Top of the columns.
const TOP: f64 = 124.0;
/// Left and width of the columns, and of the ruler next to the right one.
const OVERVIEW: (f64, f64) = (MARGIN, 44.0);
const DETAIL: (f64, f64) = (118.0, 190.0);
const RULER: (f64, f64) = (312.0, 12.0);
/// Left of the labels, which extend to the margin.
const LABELS: f64 = 338.0;

/// Smallest height of a part, so that its label fits, and the largest heights.
const LEAST: f64 = 44.0;
const MOST: f64 = 240.0;
const MOST_FREE: f64 = 84.0;
/// Smallest height of a piece of a part.
const LEAST_PIECE: f64 = 7.0;

/// Width and height of a legend entry.
const ENTRY: (f64, f64) = (298.0, 24.0);
const ENTRIES_IN_A_ROW: usize = 3;
/// Side length of the sample before it.
pub const SAMPLE: f64 = 15.0;

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Rect {
    /// One past its right.
    pub fn right(&self) -> f64 {
        self.x + self.w
    }

    /// One past its bottom.
    pub fn bottom(&self) -> f64 {
        self.y + self.h
    }
}

/// How a part of the right column is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// To scale with the other parts of this kind.
    True,
    /// Lower than to scale.
    Shortened,
    /// Higher than to scale.
    Enlarged,
}

/// A part of the image in the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Its place in the left column.
    pub overview: Rect,
    /// Its pieces in the left column.
    pub overview_pieces: Vec<(Care, Rect)>,
    /// Its place in the right column.
    pub detail: Rect,
    /// The mark next to it.
    pub ruler: Rect,
    /// The meaning of its height.
    pub scale: Scale,
    /// Its pieces in the right column.
    pub pieces: Vec<(Care, Rect)>,
    /// Its label: name, size, addresses and description.
    pub label: Vec<Text>,
    /// The label in one sentence.
    pub sentence: String,
}

/// The picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Height of the picture; the width is [`WIDTH`].
    pub height: f64,
    /// The parts.
    pub parts: Vec<Drawn>,
    /// The samples of the legend.
    pub samples: Vec<(Sample, Rect)>,
    /// Text outside the parts' labels.
    pub texts: Vec<Text>,
    /// The title.
    pub title: String,
    /// A description for screen readers.
    pub description: String,
}

/// A sample in the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A fill.
    Care(Care),
    /// A mark of the ruler.
    Scale(Scale),
}

/// Lays out everything.
pub fn layout(summary: &Summary, parts: Vec<Part>) -> Layout {
    let region = summary.crash_region;
    let title = format!("Crash region {}", addresses(region.start, region.len));
    let share = summary.used() as f64 / region.len.max(1) as f64 * 100.0;
    let full = format!("{}, {share:.1} % taken by the image", size(region.len));
    let verification = parts::verification(summary);
    let wide = WIDTH - 2.0 * MARGIN;
    let mut texts = vec![
        Text::new(Style::Title, MARGIN, 22.0, wide, &title),
        Text::new(Style::Words, MARGIN, 52.0, wide, &format!("{full}; {verification}")),
        Text::new(Style::Caption, OVERVIEW.0, TOP - 24.0, DETAIL.0 - OVERVIEW.0, "to scale"),
        Text::new(Style::Caption, DETAIL.0, TOP - 24.0, LABELS - DETAIL.0, "readable"),
    ];
    let heights = heights(&parts);
    let total: f64 = heights.iter().map(|&(height, _)| height).sum();
    let to_scale = |range: &PhysRange| {
        let y = |address: u64| TOP + (address - region.start) as f64 / region.len as f64 * total;
        Rect {
            x: OVERVIEW.0,
            y: y(range.start()),
            w: OVERVIEW.1,
            h: y(range.end()) - y(range.start()),
        }
    };
    let (mut y, mut drawn) = (TOP, Vec::with_capacity(parts.len()));
    for (part, &(height, scale)) in parts.iter().zip(&heights) {
        let detail = Rect { x: DETAIL.0, y, w: DETAIL.1, h: height };
        drawn.push(Drawn {
            overview: to_scale(&part.range),
            overview_pieces: part
                .pieces
                .iter()
                .map(|piece| (piece.care, to_scale(&piece.range)))
                .collect(),
            detail,
            ruler: Rect { x: RULER.0, w: RULER.1, ..detail },
            scale,
            pieces: pieces(part, detail),
            label: label(part, y),
            sentence: sentence(part),
        });
        y += height;
    }
    let (samples, height) = legend(&parts, &heights, y + 28.0, &mut texts);
    let sentences: Vec<_> = drawn.iter().map(|part| part.sentence.as_str()).collect();
    let description =
        format!("{full}; {verification}. From the lowest address up: {}.", sentences.join("; "));
    Layout { height: height + MARGIN / 2.0, parts: drawn, samples, texts, title, description }
}

/// The height of each part, and whether it is to scale. The scale is the one at which parts with
/// the most bytes of segments are within the limits of height. Of several such scales, the one with
/// the most parts within the limits wins, then the largest.
fn heights(parts: &[Part]) -> Vec<(f64, Scale)> {
    let is_free = |part: &Part| part.pieces.iter().all(|piece| piece.care == Care::Free);
    let limits = |part: &Part| {
        let least = LEAST.max(LEAST_PIECE * part.pieces.len() as f64);
        (least, least.max(if is_free(part) { MOST_FREE } else { MOST }))
    };
    let height = |part: &Part, pixels_per_byte: f64| {
        let (least, most) = limits(part);
        let height = part.range.len() as f64 * pixels_per_byte;
        // Every candidate scale gives one part exactly the height of a limit, except for rounding.
        match height {
            _ if height < least * 0.999 => (least, Scale::Enlarged),
            _ if height > most * 1.001 => (most, Scale::Shortened),
            _ => (height, Scale::True),
        }
    };
    let true_at = |&scale: &f64| {
        let shown = || parts.iter().filter(|part| height(part, scale).1 == Scale::True);
        let bytes: u128 =
            shown().filter(|part| !is_free(part)).map(|part| u128::from(part.range.len())).sum();
        // The bits of positive floating-point numbers have the same order as the numbers.
        (bytes, shown().count(), scale.to_bits())
    };
    let candidates = parts.iter().flat_map(|part| {
        let (least, most) = limits(part);
        [least, most].map(|limit| limit / part.range.len() as f64)
    });
    let scale = candidates.max_by_key(true_at).unwrap_or(0.0);
    parts.iter().map(|part| height(part, scale)).collect()
}

/// The pieces of a part in its rectangle: each gets a visible minimum, and the rest of the height
/// is divided by size.
fn pieces(part: &Part, detail: Rect) -> Vec<(Care, Rect)> {
    let spare = detail.h - LEAST_PIECE * part.pieces.len() as f64;
    let mut y = detail.y;
    let rectangle = |piece: &parts::Piece| {
        let h = LEAST_PIECE + spare * (piece.range.len() as f64 / part.range.len() as f64);
        let rect = Rect { y, h, ..detail };
        y += h;
        (piece.care, rect)
    };
    part.pieces.iter().map(rectangle).collect()
}

fn label(part: &Part, y: f64) -> Vec<Text> {
    const ADDRESS_ROOM: f64 = 300.0;
    const NAME_ROOM: f64 = 150.0;
    let (right, line) = (WIDTH - MARGIN, y + 3.0);
    let name = Text::new(Style::Name, LABELS, line, NAME_ROOM, &part.name);
    let size = size(part.range.len());
    let size = Text::new(
        Style::Words,
        name.rect.right() + 10.0,
        line + 1.5,
        right - ADDRESS_ROOM - name.rect.right() - 10.0,
        &size,
    );
    let span = addresses(part.range.start(), part.range.len());
    vec![
        name,
        size,
        Text::ending_at(Style::Address, right, line + 1.5, ADDRESS_ROOM, &span),
        Text::new(Style::Words, LABELS, line + 20.0, right - LABELS, &part.words),
    ]
}

fn sentence(part: &Part) -> String {
    let Part { name, range, words, .. } = part;
    format!("{name} {}, {}, {words}", addresses(range.start(), range.len()), size(range.len()))
}

/// A range in the format of /proc/iomem, with the last address included.
fn addresses(start: u64, len: u64) -> String {
    format!("{start:#x}-{:#x}", start.saturating_add(len.saturating_sub(1)))
}

/// The legend of everything that occurs, and its bottom.
fn legend(
    parts: &[Part],
    heights: &[(f64, Scale)],
    top: f64,
    texts: &mut Vec<Text>,
) -> (Vec<(Sample, Rect)>, f64) {
    let occurs =
        |care: &Care| parts.iter().any(|part| part.pieces.iter().any(|piece| piece.care == *care));
    let scales = [
        (Scale::True, "to scale with one another"),
        (Scale::Shortened, "shortened"),
        (Scale::Enlarged, "enlarged"),
    ];
    let cares =
        Care::ALL.into_iter().filter(occurs).map(|care| (Sample::Care(care), care.legend()));
    let used =
        scales.into_iter().filter(|(scale, _)| heights.iter().any(|(_, other)| other == scale));
    let entries: Vec<_> =
        cares.chain(used.map(|(scale, words)| (Sample::Scale(scale), words))).collect();
    let place = |(index, (sample, words)): (usize, &(Sample, &str))| {
        let (x, y) = (
            MARGIN + ENTRY.0 * (index % ENTRIES_IN_A_ROW) as f64,
            top + ENTRY.1 * (index / ENTRIES_IN_A_ROW) as f64,
        );
        texts.push(Text::new(Style::Caption, x + SAMPLE + 8.0, y, ENTRY.0 - SAMPLE - 16.0, words));
        (*sample, Rect { x, y, w: SAMPLE, h: SAMPLE })
    };
    let samples = entries.iter().enumerate().map(place).collect();
    (samples, top + ENTRY.1 * entries.len().div_ceil(ENTRIES_IN_A_ROW) as f64)
}

#[cfg(test)]
mod tests;
