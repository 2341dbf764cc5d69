//! The purgatory inside this program, for images whose options name none, and the /init of
//! `--capture`.

use loader::request::InputFile;

/// Written by build.rs; empty if there was none when the program was built.
static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/purgatory.elf"));
/// The same.
static CAPTURE_INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/capture-init"));

/// Shown in place of a path.
pub const EMBEDDED_NAME: &str = "(embedded purgatory)";

/// The program was built without a purgatory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this kdump-loader was built without a purgatory: name one with --purgatory FILE, or build the \
     program with `cargo xtask build`"
)]
pub struct NotEmbedded;

/// The purgatory in this program.
pub fn embedded() -> Result<InputFile, NotEmbedded> {
    if EMBEDDED.is_empty() {
        return Err(NotEmbedded);
    }
    Ok(InputFile { path: EMBEDDED_NAME.into(), bytes: EMBEDDED.to_vec() })
}

/// The /init in this program. None if there was none when the program was built.
pub fn capture_init() -> Option<&'static [u8]> {
    Some(CAPTURE_INIT).filter(|init| !init.is_empty())
}
