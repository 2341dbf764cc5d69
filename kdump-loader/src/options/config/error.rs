//! Why a config cannot be used: messages that name the file, the line and the key.

use std::io;
use std::path::PathBuf;

use super::{KEYS, RELEASE};

/// Why the config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(
        "cannot read the config {}; create it with at least the line kernel = \
         \"/boot/vmlinuz-{RELEASE}\", or name another with --config",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It has an error.
    #[error("{}: {defect}", path.display())]
    Defect {
        /// The file.
        path: PathBuf,
        /// The error.
        defect: Defect,
    },
    /// The running kernel's release cannot be read.
    #[error("cannot read {}, for {RELEASE} in the config", path.display())]
    Release {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// An error in a config. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// It is not valid TOML.
    #[error("line {line}: {message}")]
    Syntax {
        /// The line.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// There is no such key.
    #[error("line {line}: unknown key `{key}`; the keys are {}", KEYS.join(", "))]
    UnknownKey {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
    /// The value is invalid.
    #[error("line {line}: the value of `{key}` is {message}")]
    Value {
        /// The line.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong with the value.
        message: String,
    },
    /// It names no kernel.
    #[error(
        "the required key `kernel` is missing; for example kernel = \"/boot/vmlinuz-{RELEASE}\""
    )]
    NoKernel,
    /// Both an initrd and a target for the one that the loader makes.
    #[error(
        "line {line}: `capture` makes an initrd of its own, so `initrd` does not apply; remove one \
         of them"
    )]
    TwoInitrds {
        /// The line of the second.
        line: usize,
    },
    /// The key only applies to the initrd that the loader makes.
    #[error("line {line}: `{key}` only applies with `capture`; add that, or remove this")]
    OnlyCapture {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
    /// Only makedumpfile has this level.
    #[error("line {line}: `dump_level` {level} needs `makedumpfile`; add that, or use 17, 1 or 0")]
    OnlyMakedumpfile {
        /// The line.
        line: usize,
        /// The level.
        level: u8,
    },
    /// The key does not apply to an image that the kernel builds.
    #[error(
        "line {line}: `{key}` does not apply with file = \"always\", where the kernel builds the \
         image; remove one of them"
    )]
    NotForFile {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
}
