//! `kdump-loader kexec`, or `kexec`: kexec-tools' command line for capture kernels, for services
//! that call it.
//!
//! One table describes every option of kexec-tools. The parser, the help and docs/kexec-options.md
//! use it:
//!
//! ```text
//! arguments ─ getopt ─▶ options and a file ─ decide ─▶ action ─ commands/kexec.rs ─▶ exit status
//!                ▲                              ▲
//!                └────────── options ───────────┘──▶ --help, docs/kexec-options.md
//! ```

pub mod options; // the table
pub mod getopt; // parses arguments into options and files
pub mod decide; // what to do
pub mod elsewhere; // another kexec, for reboots
pub mod words; // the table as text
#[cfg(test)]
mod services; // the command lines of distributions' services

/// The release of kexec-tools whose command line this is.
pub const PEER: &str = "kexec-tools 2.0.32";

/// The program's name when it replaces kexec-tools, and the name of the subcommand.
pub const NAME: &str = "kexec";

/// Environment variable with the path of the kexec for reboots.
pub const ELSEWHERE: &str = "KDUMP_LOADER_KEXEC";

/// Environment variable that this program sets for the other kexec. It stops two programs that call
/// each other.
pub const PASSED_ON: &str = "KDUMP_LOADER_PASSED_ON";
