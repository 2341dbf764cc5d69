//! `kdump-loader unload`: disarm.

use std::path::Path;

use loader::machine::KexecPermission;
use loader::{preflight, submit};

use super::{Error, LIVE, aftermath, forget, say, set_aside, turn};

/// Disarms whatever is armed, by whichever loader, and forgets the record.
pub fn run() -> Result<(), Error> {
    let root = Path::new(LIVE);
    preflight::privileged(root)?;
    preflight::permitted(root, &KexecPermission::read(root)?)?;
    let _turn = turn(root)?;
    set_aside(root);
    submit::unload().map_err(|refusal| Error::Refused { refusal, aftermath: aftermath(root) })?;
    forget(root);
    say(format_args!("no capture kernel is armed now"));
    Ok(())
}
