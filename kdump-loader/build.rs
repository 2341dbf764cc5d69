//! Embeds the purgatory that `cargo xtask build` made, if there is one.
//!
//! `KDUMP_PURGATORY_ELF` names the file. Without it the program has no purgatory, and `load` says
//! so.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=KDUMP_PURGATORY_ELF");
    let elf = match env::var_os("KDUMP_PURGATORY_ELF") {
        Some(path) => {
            let path = PathBuf::from(path);
            println!("cargo::rerun-if-changed={}", path.display());
            fs::read(&path)
                .unwrap_or_else(|error| panic!("KDUMP_PURGATORY_ELF={}: {error}", path.display()))
        }
        None => Vec::new(),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("purgatory.elf"), elf).expect("OUT_DIR can be written");
}
