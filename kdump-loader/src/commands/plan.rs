//! `kdump-loader plan`: `load` without the system call.

use std::path::Path;

use loader::machine::Machine;
use loader::submit;
use {super::write_file, crate::cli::STANDARD_OUTPUT, crate::picture};

use super::{Error, LIVE, print, print_json};
use crate::arm::generation::PLANNED;
use crate::arm::request_for::{advise, request_for, warn_of_files};
use crate::cli::Plan;

/// Stands in for the random seed, so that every plan of the same image has the same identity.
const NO_SEED: [u8; 32] = [0; 32];

/// Prefix of names in the picture.
const PICTURE: &str = "plan";

/// Builds the image and prints its description.
pub fn run(arguments: &Plan) -> Result<(), Error> {
    let machine = match &arguments.snapshot {
        Some(directory) => Machine::read(directory, None)?,
        None => Machine::read(Path::new(LIVE), Some(submit::measure()))?,
    };
    let root = Path::new(LIVE);
    let (request, origin) =
        request_for(root, &arguments.image, &machine, Some(NO_SEED), || Some(PLANNED))?;
    let image = loader::build(&request, &machine)?;
    // Of a snapshot, the root file system is elsewhere.
    let there = arguments.snapshot.is_none().then_some(root);
    if origin.initrd_len.is_none() {
        let initrd = request.initrd.as_ref();
        warn_of_files(there, &request.kernel, initrd, &request.command_line);
    }
    advise(&image, &request, &origin, &machine);
    let summary = image.summary();
    match arguments.svg.as_deref() {
        Some(path) if path == Path::new(STANDARD_OUTPUT) => {
            return print(&picture::svg(&summary, PICTURE));
        }
        Some(path) => write_file(path, picture::svg(&summary, PICTURE).as_bytes())?,
        None => {}
    }
    if arguments.json { print_json(&summary) } else { print(&summary.to_string()) }
}
