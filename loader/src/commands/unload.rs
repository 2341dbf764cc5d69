//! `kdump-loader unload`: disarm.

use std::path::Path;

use loader::machine::KexecState;
use loader::{preflight, submit};

use super::{Error, LIVE, forget, say, turn};

/// Disarms whatever is armed, by whichever loader, and forgets the record.
pub fn run() -> Result<(), Error> {
    let root = Path::new(LIVE);
    preflight::privileged(root)?;
    preflight::permitted(root, &KexecState::read(root)?)?;
    let _turn = turn(root);
    submit::unload().map_err(Error::StaysArmed)?;
    forget(root);
    say(format_args!("no capture kernel is armed now"));
    Ok(())
}
