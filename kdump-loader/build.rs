//! Embeds the purgatory, and the /init of `--capture`, that `cargo xtask build` made, if there are
//! any.
//!
//! `KDUMP_PURGATORY_ELF` and `KDUMP_CAPTURE_INIT` name the files. Without them the program has
//! none, and `load` says so.

use std::path::PathBuf;
use std::{env, fs};

/// Variables, and the files in OUT_DIR that get the content of those that they name.
const EMBEDDED: [(&str, &str); 2] =
    [("KDUMP_PURGATORY_ELF", "purgatory.elf"), ("KDUMP_CAPTURE_INIT", "capture-init")];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (variable, name) in EMBEDDED {
        println!("cargo::rerun-if-env-changed={variable}");
        let content = match env::var_os(variable) {
            Some(path) => {
                let path = PathBuf::from(path);
                println!("cargo::rerun-if-changed={}", path.display());
                fs::read(&path)
                    .unwrap_or_else(|error| panic!("{variable}={}: {error}", path.display()))
            }
            None => Vec::new(),
        };
        fs::write(out.join(name), content).expect("OUT_DIR can be written");
    }
}
