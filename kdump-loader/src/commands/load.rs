//! `kdump-loader load`: build an image and arm it.

use std::path::Path;

use loader::admit::preflight;
use loader::image::Summary;
use loader::machine::{KexecPermission, Machine};
use loader::submit;
use serde::Serialize;

use super::{Error, LIVE, print_json};
use crate::arm::generation::next_generation;
use crate::arm::load;
use crate::arm::load_file;
use crate::arm::request_for::{fresh_seed, request_for};
use crate::cli::Load;

/// What `load --json` prints.
#[derive(Serialize)]
pub(super) struct Output<'a> {
    /// Whether the kernel keeps the elfcorehdr up to date.
    pub hotplug: bool,
    #[serde(flatten)]
    pub image: &'a Summary,
}

/// Checks, builds, arms and records.
pub fn run(arguments: &Load) -> Result<(), Error> {
    if arguments.file {
        return with_file_load(arguments);
    }
    let root = Path::new(LIVE);
    preflight::privileged(root)?;
    // Comes first: a locked-down kernel hides part of the machine, which would look like another
    // error.
    preflight::permitted(root, &KexecPermission::read(root)?)?;
    let machine = Machine::read(root, Some(submit::measure()))?;
    let (request, origin) =
        request_for(root, &arguments.image, &machine, fresh_seed(), || next_generation(root))?;
    let (hotplug, summary) = load::arm(root, machine, &request, origin, || false)?;
    if !arguments.json {
        return Ok(());
    }
    let not_printed = |source| Error::ArmedButNotPrinted {
        identity: summary.identity.clone(),
        source: Box::new(source),
    };
    print_json(&Output { hotplug, image: &summary }).map_err(not_printed)
}

/// The same with kexec_file_load(2).
fn with_file_load(arguments: &Load) -> Result<(), Error> {
    let output = load_file::arm(Path::new(LIVE), &arguments.image, None)?;
    if !arguments.json {
        return Ok(());
    }
    print_json(&output).map_err(|source| Error::ArmedButNotPrinted {
        identity: output.kernel.clone(),
        source: Box::new(source),
    })
}
