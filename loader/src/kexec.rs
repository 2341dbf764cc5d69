//! `kdump-loader kexec`, or `kexec`: the crash half of kexec-tools' command line, for services that call it.
//!
//! One table says what becomes of every option of kexec-tools; the parser, the help and docs/kexec-options.md are made from it:
//!
//! ```text
//! words ─ getopt ─▶ options and a file ─ decide ─▶ what to do ─ commands/kexec.rs ─▶ exit status
//!            ▲                              ▲
//!            └────────── options ───────────┘──▶ --help, docs/kexec-options.md
//! ```

pub mod options; // the table
pub mod getopt; // which options were typed
pub mod decide; // what is meant by them
pub mod words; // the table as text
#[cfg(test)]
mod services; // what services type

/// The release of kexec-tools whose command line this is.
pub const PEER: &str = "kexec-tools 2.0.32";

/// The program's name when it stands in for kexec-tools, and the subcommand's.
pub const NAME: &str = "kexec";

/// Names a kexec that does what this one leaves alone.
pub const ELSEWHERE: &str = "KDUMP_LOADER_KEXEC";
