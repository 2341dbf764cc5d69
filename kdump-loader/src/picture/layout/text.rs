//! Lines of text, with a safe estimate of their width, because the typeface is unknown.

use super::Rect;

/// Widths of characters, relative to the font size, in the widest common typeface: lowercase
/// letters and digits on average, bold, monospace, capitals, and the widest characters.
const ADVANCE: f64 = 0.58;
const ADVANCE_BOLD: f64 = 0.68;
const ADVANCE_FIXED: f64 = 0.603;
const ADVANCE_CAPITAL: f64 = 0.86;
const ADVANCE_WIDE: f64 = 1.1;
/// Replaces the rest of a line that is cut off.
const CUT_OFF: char = '…';
/// Ascent and height of a line, relative to the font size.
const ASCENT: f64 = 0.95;
const LINE: f64 = 1.25;

/// The style of a line of text, a class in the picture's style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The title.
    Title,
    /// The name of a part.
    Name,
    /// A description.
    Words,
    /// Addresses.
    Address,
    /// A caption or an entry of the legend.
    Caption,
}

impl Style {
    /// Its size in pixels.
    pub const fn size(self) -> f64 {
        match self {
            Self::Title => 20.0,
            Self::Name => 15.0,
            Self::Words | Self::Address => 13.0,
            Self::Caption => 12.0,
        }
    }

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Name => "name",
            Self::Words => "words",
            Self::Address => "address",
            Self::Caption => "caption",
        }
    }

    /// The estimated width of a character.
    fn advance(self, character: char) -> f64 {
        let parts = match (self, character) {
            (_, character) if !character.is_ascii() => ADVANCE_WIDE,
            (Self::Address, _) => ADVANCE_FIXED,
            (_, 'm' | 'w' | 'M' | 'W' | '@' | '%') => ADVANCE_WIDE,
            (_, 'A'..='Z' | '<' | '>' | '&') => ADVANCE_CAPITAL,
            (Self::Title | Self::Name, _) => ADVANCE_BOLD,
            _ => ADVANCE,
        };
        self.size() * parts
    }

    fn width(self, text: &str) -> f64 {
        text.chars().map(|character| self.advance(character)).sum()
    }
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Its estimated place.
    pub rect: Rect,
    /// Its style.
    pub style: Style,
    /// Its text.
    pub text: String,
    /// Whether it is aligned to the right.
    pub flush_right: bool,
}

impl Text {
    /// A line that starts at `x`, cut off at the width `room`.
    pub fn new(style: Style, x: f64, y: f64, room: f64, text: &str) -> Self {
        let mut text = text.to_owned();
        if style.width(&text) > room {
            while !text.is_empty() && style.width(&text) + style.advance(CUT_OFF) > room {
                text.pop();
            }
            text.push(CUT_OFF);
        }
        let w = style.width(&text);
        Self { rect: Rect { x, y, w, h: style.size() * LINE }, style, text, flush_right: false }
    }

    /// A line that ends at `right`.
    pub fn ending_at(style: Style, right: f64, y: f64, room: f64, text: &str) -> Self {
        let mut line = Self::new(style, right, y, room, text);
        line.rect.x -= line.rect.w;
        line.flush_right = true;
        line
    }

    /// The point at which its baseline starts or ends.
    pub fn anchor(&self) -> (f64, f64) {
        let x = if self.flush_right { self.rect.right() } else { self.rect.x };
        (x, self.rect.y + self.style.size() * ASCENT)
    }
}
