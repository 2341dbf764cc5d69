//! `kdump-loader unload`: disarm.

use std::path::Path;

use loader::{preflight, record, submit};

use super::{Error, LIVE, say};

/// Disarms whatever is armed, by whichever loader, and forgets the record.
pub fn run() -> Result<(), Error> {
    let root = Path::new(LIVE);
    preflight::privileged(root)?;
    submit::unload().map_err(Error::StaysArmed)?;
    record::forget(root)?;
    say(format_args!("no capture kernel is armed now"));
    Ok(())
}
