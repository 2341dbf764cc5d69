//! Disarms, and removes the record.

use std::path::Path;

use loader::admit::preflight;
use loader::machine::KexecPermission;
use loader::submit;

use super::{Aftermath, Error, Hint, aftermath, forget, hold_arming_lock, set_aside};
use crate::black_box::armed::ArmedBox;
use crate::messages::{in_full, say, warn};

/// Disarms, whichever loader has armed, and removes the record. Uses kexec_file_load(2) where
/// kexec_load(2) is missing, or where lockdown forbids even unloading with it.
pub fn unload(root: &Path) -> Result<(), Error> {
    preflight::privileged(root)?;
    match preflight::permitted(root, &KexecPermission::read(root)?) {
        Err(preflight::Error::LockedDown { .. }) => return with_file_load(root),
        other => other?,
    }
    use submit::Error::{Forbidden, NotImplemented, NotPermitted};
    match with_load(root) {
        // Without securityfs, lockdown shows only now.
        Err(Error::Refused { refusal: NotImplemented | NotPermitted | Forbidden, .. }) => {
            with_file_load(root)
        }
        other => other,
    }
}

/// The same with kexec_load(2) only.
pub fn with_load(root: &Path) -> Result<(), Error> {
    disarm(root, submit::unload, |refusal, aftermath| Error::Refused {
        refusal,
        hint: Hint::NONE,
        aftermath,
    })
}

/// The same with kexec_file_load(2) only.
pub fn with_file_load(root: &Path) -> Result<(), Error> {
    disarm(root, submit::file::unload, |refusal, aftermath| Error::FileRefused {
        refusal,
        hint: Hint::NONE,
        aftermath,
    })
}

fn disarm<E>(
    root: &Path,
    call: fn() -> Result<(), E>,
    refused: fn(E, Aftermath) -> Error,
) -> Result<(), Error> {
    preflight::privileged(root)?;
    preflight::file_permitted(root, &KexecPermission::read(root)?)?;
    let _lock = hold_arming_lock(root)?;
    set_aside(root);
    call().map_err(|refusal| refused(refusal, aftermath(root)))?;
    forget(root);
    if let Err(error) = ArmedBox::note_unload(root) {
        warn(format_args!("{}", in_full(&error)));
    }
    say(format_args!("no capture kernel is armed now"));
    Ok(())
}
