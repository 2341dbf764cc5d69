//! The program `kdump-loader`: arms a capture kernel and keeps it up to date. The library `loader`
//! builds the images.

#![forbid(unsafe_code)]

mod messages; // on standard error
pub mod options; // the options of an image, from the command line or the config
pub mod initrd; // the contents of an initrd
pub mod capture; // the initrd of --capture
pub mod findings; // problems, and the answer that they lead to
pub mod arm; // arming, and its record
pub mod black_box; // what the boot after a panic can tell
pub mod hotplug; // added and removed CPUs and memory
pub mod health; // whether a panic would leave a dump
pub mod service; // the service around the program
pub mod picture; // draws an image
mod kexec; // kexec-tools' command line
mod cli; // the command line and its help
mod commands; // one file per subcommand
mod hint; // which option follows the advice of an error
mod dispatch; // runs the subcommand of the command line

// Man pages, completions and docs/kexec-options.md are made from these.
pub use cli::{command, manual};
pub use dispatch::main;
pub use kexec::words::markdown as kexec_options;
