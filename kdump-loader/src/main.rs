//! The program: everything is in its library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    kdump_loader::main()
}
