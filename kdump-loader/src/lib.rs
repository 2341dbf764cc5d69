//! The program `kdump-loader`: arms a capture kernel and keeps it up to date. The images are made by the library `loader`.

#![forbid(unsafe_code)]

mod cli; // the command line, and the help
pub mod options; // what was asked for
pub mod initrd; // the files in an initrd
pub mod findings; // what can be wrong, and the answer
pub mod arm; // arming, and its record
pub mod hotplug; // CPUs and memory that come and go
pub mod health; // whether a panic would leave a dump
pub mod service; // the service around the program
#[cfg(feature = "picture")]
pub mod picture; // an image, drawn
mod kexec; // kexec-tools' command line
mod commands; // one file per subcommand
mod dispatch; // from the words typed to the command

pub use cli::{command, manual};
pub use dispatch::main;
pub use kexec::words::markdown as kexec_options; // docs/kexec-options.md // what man pages and completions are made of
