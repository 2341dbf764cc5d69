//! Lines of text, and how much room to leave for them: nobody knows in which typeface they will be set.

use super::Rect;

/// How far characters advance, in parts of the size: small letters and digits on average, of the widest common typeface; with a fixed pitch each;
/// capitals; and what is as wide as it gets.
const ADVANCE: f64 = 0.58;
const ADVANCE_BOLD: f64 = 0.68;
const ADVANCE_FIXED: f64 = 0.603;
const ADVANCE_CAPITAL: f64 = 0.86;
const ADVANCE_WIDE: f64 = 1.1;
/// What stands for the rest of a line.
const CUT_OFF: char = '…';
/// Ascent and height of a line, in parts of the size.
const ASCENT: f64 = 0.95;
const LINE: f64 = 1.25;

/// How a line of text is set: the name of a class of the picture's style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// What the picture shows.
    Title,
    /// The name of a part.
    Name,
    /// Words.
    Words,
    /// Addresses.
    Address,
    /// Words about the picture itself.
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

    /// How wide a character is taken for.
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
    /// The room it takes, if characters are as wide as they are taken for.
    pub rect: Rect,
    /// How it is set.
    pub style: Style,
    /// What it says.
    pub text: String,
    /// Whether it ends at the right of its room instead of beginning at the left.
    pub flush_right: bool,
}

impl Text {
    /// A line from `x`, cut off where it would get wider than `room`.
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

    /// Where it is to be drawn: the point that its baseline begins or ends at.
    pub fn anchor(&self) -> (f64, f64) {
        let x = if self.flush_right { self.rect.right() } else { self.rect.x };
        (x, self.rect.y + self.style.size() * ASCENT)
    }
}
