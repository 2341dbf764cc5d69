//! [9c] An image as a picture: the crash region with everything in it, as SVG.
//!
//! *On entry* what is told of an image. *On exit* a picture without a script that reads in light and dark, by eyes that do not see red, and by
//! those who are read to. Three steps:
//!
//! ```text
//! parts.rs    what lies where, and how the purgatory verifies it
//! layout.rs   every rectangle and every line of text; no drawing
//! draw.rs     the drawing; no arithmetic
//! ```

mod parts;
mod layout;
mod draw;
#[cfg(test)]
mod example;

use loader::image::Summary;

/// The picture of an image. `id` begins the name of everything that has one, so that several pictures fit into one page; it is a word of ASCII
/// letters, digits and hyphens.
pub fn svg(summary: &Summary, id: &str) -> String {
    draw::svg(&layout::layout(summary, parts::parts(summary)), id)
}
