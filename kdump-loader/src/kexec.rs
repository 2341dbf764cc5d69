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
pub mod elsewhere; // another kexec, for what is about reboots
pub mod words; // the table as text
#[cfg(test)]
mod services; // what services type

/// The release of kexec-tools whose command line this is.
pub const PEER: &str = "kexec-tools 2.0.32";

/// The program's name when it stands in for kexec-tools, and the subcommand's.
pub const NAME: &str = "kexec";

/// Names the kexec that gets what is about reboots, if it is not the one that is found.
pub const ELSEWHERE: &str = "KDUMP_LOADER_KEXEC";

/// Set for a kexec that this program has called: if that calls this program again, it is refused instead of going round in circles.
pub const PASSED_ON: &str = "KDUMP_LOADER_PASSED_ON";
