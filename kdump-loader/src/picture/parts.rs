//! Splits the crash region into parts: segments and free memory, and in each segment the pieces
//! that the purgatory verifies in different ways.

use loader::image::{BlockSummary, OURS, SegmentKind, SegmentSummary, Summary, size};
use loader::phys::{PhysRange, subtract};

/// How the purgatory verifies a piece of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Care {
    /// Its SHA-256 is compared.
    Hashed,
    /// Every byte is compared with zero.
    Zero,
    /// Covered by the block's seal.
    Sealed,
    /// In no digest, but the structure of its headers is checked.
    Structure,
    /// The purgatory writes it before it reads it, so its content does not matter.
    Scratch,
    /// Not verified.
    Unverified,
    /// No segment.
    Free,
}

impl Care {
    /// All kinds, in the order of the legend.
    pub const ALL: [Self; 7] = [
        Self::Hashed,
        Self::Zero,
        Self::Sealed,
        Self::Structure,
        Self::Scratch,
        Self::Unverified,
        Self::Free,
    ];

    /// Its name for classes and patterns.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hashed => "hashed",
            Self::Zero => "zero",
            Self::Sealed => "sealed",
            Self::Structure => "structure",
            Self::Scratch => "scratch",
            Self::Unverified => "unverified",
            Self::Free => "free",
        }
    }

    /// Its text in the legend.
    pub const fn legend(self) -> &'static str {
        match self {
            Self::Hashed => "hashed: its SHA-256 is compared",
            Self::Zero => "proved zero, byte by byte",
            Self::Sealed => "sealed: block and leaf table",
            Self::Structure => "in no digest, structure checked",
            Self::Scratch => "written before it is read",
            Self::Unverified => "not verified",
            Self::Free => "free",
        }
    }

    /// Its description for a number of bytes.
    fn of(self, bytes: u64) -> String {
        let what = match self {
            Self::Hashed => "hashed",
            Self::Zero => "proved zero",
            Self::Sealed => "sealed",
            Self::Structure => "checked for its structure",
            Self::Scratch => "written before it is read",
            Self::Unverified => "not verified",
            Self::Free => "free",
        };
        format!("{} {what}", size(bytes))
    }
}

/// A piece of a part that is verified in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its addresses.
    pub range: PhysRange,
    /// How it is verified.
    pub care: Care,
}

/// A segment, or free memory between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub range: PhysRange,
    /// Its pieces: at least one, ascending, without gaps.
    pub pieces: Vec<Piece>,
    /// Its description.
    pub words: String,
}

/// All parts of the crash region, ascending, without gaps. Segments outside the region, or that
/// overlap, are left out.
pub fn parts(summary: &Summary) -> Vec<Part> {
    let region = span(summary.crash_region.start, summary.crash_region.len);
    let mut parts: Vec<Part> = Vec::new();
    for segment in &summary.segments {
        let range = span(segment.start, segment.len);
        let taken = parts.iter().any(|part| part.range.overlaps(range));
        if region.contains(range) && !range.is_empty() && !taken {
            parts.push(of_segment(segment, range, summary));
        }
    }
    let taken: Vec<_> = parts.iter().map(|part| part.range).collect();
    let top = taken.iter().map(|range| range.end()).max();
    for (number, range) in subtract(&[region], &taken).into_iter().enumerate() {
        let words = match number {
            _ if top.is_none_or(|top| top <= range.start()) => "the capture kernel runs here",
            0 => "Linux puts the control pages of the image here",
            _ => "left by alignment",
        };
        parts.push(Part {
            name: "free".into(),
            range,
            pieces: vec![Piece { range, care: Care::Free }],
            words: words.into(),
        });
    }
    parts.sort_by_key(|part| part.range);
    parts
}

fn of_segment(segment: &SegmentSummary, range: PhysRange, summary: &Summary) -> Part {
    let is = |kind: SegmentKind| segment.name == kind.name();
    let ours = summary.by_block.is_some();
    let otherwise = if ours && is(SegmentKind::Elfcorehdr) {
        Care::Structure
    } else if ours && is(SegmentKind::Purgatory) {
        Care::Scratch
    } else {
        Care::Unverified
    };
    let pieces = pieces(range, &verified(summary), otherwise);
    let words = match pieces.as_slice() {
        [Piece { care: Care::Structure, .. }] => {
            "in no digest, since Linux may rewrite it; its structure is checked".into()
        }
        _ => {
            let bytes = |care| {
                pieces
                    .iter()
                    .filter(|piece| piece.care == care)
                    .map(|piece| piece.range.len())
                    .sum()
            };
            let said = Care::ALL
                .into_iter()
                .map(|care| (care, bytes(care)))
                .filter(|&(_, bytes)| bytes > 0);
            said.map(|(care, bytes)| care.of(bytes)).collect::<Vec<_>>().join(", ")
        }
    };
    Part { name: segment.name.clone(), range, pieces, words }
}

/// The pieces that the purgatory verifies.
fn verified(summary: &Summary) -> Vec<Piece> {
    let mut verified = Vec::new();
    for region in &summary.regions {
        let (whole, file) = (span(region.start, region.len), span(region.start, region.file_len));
        verified.push(Piece { range: file, care: Care::Hashed });
        verified.extend(whole.minus(file).map(|range| Piece { range, care: Care::Zero }));
    }
    if let Some(BlockSummary { block, leaf_table, .. }) = &summary.by_block {
        let sealed = [block, leaf_table]
            .map(|sealed| Piece { range: span(sealed.start, sealed.len), care: Care::Sealed });
        verified.extend(sealed);
    }
    verified
}

/// Splits `range` where the kind of verification changes.
fn pieces(range: PhysRange, verified: &[Piece], otherwise: Care) -> Vec<Piece> {
    let mut cuts: Vec<u64> =
        verified.iter().flat_map(|piece| [piece.range.start(), piece.range.end()]).collect();
    cuts.retain(|&cut| range.start() < cut && cut < range.end());
    cuts.extend([range.start(), range.end()]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut pieces: Vec<Piece> = Vec::new();
    for range in cuts.windows(2).filter_map(|pair| PhysRange::new(pair[0], pair[1])) {
        let care = verified
            .iter()
            .find(|piece| piece.range.contains(range))
            .map_or(otherwise, |piece| piece.care);
        match pieces.last_mut() {
            Some(last) if last.care == care => {
                last.range =
                    PhysRange::new(last.range.start(), range.end()).expect("cuts are ascending");
            }
            _ => pieces.push(Piece { range, care }),
        }
    }
    pieces
}

/// `len` bytes from `start`, limited to 64-bit addresses.
fn span(start: u64, len: u64) -> PhysRange {
    PhysRange::new(start, start.saturating_add(len)).expect("saturation stays above the start")
}

/// How the image is verified as a whole.
pub fn verification(summary: &Summary) -> String {
    match &summary.by_block {
        Some(BlockSummary { engine, leaf_size, .. }) => {
            let leaves: u64 = summary.regions.iter().map(|region| region.leaf_count).sum();
            let whose =
                if summary.purgatory == OURS { "kdump-purgatory" } else { &summary.purgatory };
            format!("{whose}: {leaves} leaves of {}, engine {engine}", size(u64::from(*leaf_size)))
        }
        None => format!(
            "the purgatory of {}: one SHA-256 over everything that it verifies",
            summary.purgatory
        ),
    }
}

#[cfg(test)]
mod tests;
