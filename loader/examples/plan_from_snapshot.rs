//! Builds an image for the machine of a snapshot, and prints its segment table.
//!
//! ```text
//! cargo run -p kdump-image --example plan_from_snapshot [SNAPSHOT KERNEL PURGATORY]
//! ```
//!
//! Without arguments the machine is a fixture of this repository, and kernel and purgatory are the
//! smallest files that are accepted. `kdump-loader snapshot DIR` takes a snapshot of a machine.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use kdump_image::example;
use kdump_image::machine::Machine;
use kdump_image::request::{InputFile, Request};

/// A machine of QEMU with Linux 7, as `kdump-loader snapshot` copied it.
const FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/elfcorehdr-7/snapshot");

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let (snapshot, kernel, purgatory) = match arguments.as_slice() {
        [] => (PathBuf::from(FIXTURE), small_kernel(), small_purgatory()),
        [snapshot, kernel, purgatory] => (snapshot.clone(), read(kernel)?, read(purgatory)?),
        _ => return Err("name all of SNAPSHOT KERNEL PURGATORY, or none".into()),
    };

    let machine = Machine::read(&snapshot, None)?;
    let request = Request { command_line: "nr_cpus=1".into(), ..Request::new(kernel, purgatory) };
    let image = kdump_image::build(&request, &machine)?;

    println!("crash region {}, entry point {:#x}", image.crash_region(), image.entry());
    println!("{:12} {:>12} {:>12} {:>12}", "segment", "start", "memory", "bytes");
    for segment in image.segments() {
        let range = segment.range();
        let name = segment.kind().name();
        println!(
            "{name:12} {:#12x} {:#12x} {:#12x}",
            range.start(),
            range.len(),
            segment.bytes().len()
        );
    }
    Ok(())
}

fn read(path: &Path) -> Result<InputFile, String> {
    let bytes =
        fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(InputFile { path: path.to_owned(), bytes })
}

fn small_kernel() -> InputFile {
    InputFile {
        path: "(example kernel)".into(),
        bytes: example::bzimage(&example::pattern(100_000)),
    }
}

fn small_purgatory() -> InputFile {
    InputFile { path: "(example purgatory)".into(), bytes: example::purgatory().bytes() }
}
