//! `[9c]` Draws an image: the crash region and its contents as SVG.
//!
//! *On entry* the summary of an image. *On exit* a picture without scripts that works in light and
//! dark mode, for color-blind readers, and with screen readers. Three steps:
//!
//! ```text
//! parts.rs    the parts of the region, and how the purgatory verifies them
//! layout.rs   every rectangle and line of text; no drawing
//! draw.rs     the drawing; no arithmetic
//! ```

mod parts;
mod layout;
mod draw;
#[cfg(test)]
mod example;

use loader::image::Summary;

/// The picture of an image. `id`, of ASCII letters, digits and hyphens, is the prefix of all
/// element names, so that one page can hold several pictures.
pub fn svg(summary: &Summary, id: &str) -> String {
    draw::svg(&layout::layout(summary, parts::parts(summary)), id)
}
