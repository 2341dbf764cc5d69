//! `kdump-loader snapshot`: saves the machine for a test, a bug report, or a plan elsewhere.

use std::path::Path;

use loader::admit::preflight;
use loader::machine::snapshot;
use loader::submit;

use super::{Error, LIVE};
use crate::cli::Snapshot;
use crate::messages::say;

/// Saves the snapshot.
pub fn run(arguments: &Snapshot) -> Result<(), Error> {
    let root = Path::new(LIVE);
    preflight::privileged(root)?;
    snapshot::save(root, &arguments.dir, &submit::measure())?;
    say(format_args!("saved this machine to {}", arguments.dir.display()));
    Ok(())
}
