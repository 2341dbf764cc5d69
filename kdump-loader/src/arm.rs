//! Arming, and the record of the armed image.
//!
//! *On entry* an image. *On exit* the kernel has loaded it, and a file below /run describes it.

mod error; // why nothing was armed, and what is armed then
pub mod request_for; // from options to a request
mod rounds; // the order of arming, while the machine may change
pub mod generation; // the number of a load, and the way to its black box for the next boot
pub mod load; // with kexec_load(2)
pub mod load_file; // with kexec_file_load(2)
pub mod unload; // disarm
pub mod write; // writes files as root
pub mod record; // the armed image, and what it was made from

use std::path::Path;

use loader::admit::preflight;
use loader::machine::KexecState;

use crate::black_box;
use crate::messages::{in_full, note, warn};
pub use error::{Aftermath, Error, Hint};

/// The first step of every load. Harvests the black box of the boot before, no matter how the load
/// ends: a machine that can no longer arm can still tell why it panicked.
pub fn begin(root: &Path) -> Result<(), preflight::Error> {
    preflight::privileged(root)?;
    black_box::before_load(root);
    Ok(())
}

/// Takes the lock of arming and recording. If /run cannot be written, the machine is armed without
/// it.
pub fn hold_arming_lock(root: &Path) -> Result<Option<record::lock::HeldLock>, Error> {
    let seconds = record::lock::PATIENCE.as_secs();
    let waiting =
        || note(format_args!("another kdump-loader is running; waiting up to {seconds} s"));
    match record::lock::wait_for_arming_lock(root, record::lock::PATIENCE, waiting) {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ record::Error::Busy { .. }) => Err(Error::Lock(error)),
        Err(error) => {
            warn(format_args!("{}", in_full(&error)));
            Ok(None)
        }
    }
}

/// Hides the record while the kernel replaces the image: a kill in between must not leave a wrong
/// record.
pub fn set_aside(root: &Path) {
    warn_on_error(record::set_aside(root));
}

/// After a rejected load: asks the kernel what is armed, and keeps the record only if its image
/// still is.
pub fn aftermath(root: &Path) -> Aftermath {
    match KexecState::crash_loaded(root) {
        Ok(true) => {
            warn_on_error(record::restore(root));
            Aftermath::StillArmed
        }
        Ok(false) => {
            forget(root);
            Aftermath::Disarmed
        }
        Err(_) => Aftermath::Unknown,
    }
}

/// Removes the record of an image that is no longer armed.
pub fn forget(root: &Path) {
    warn_on_error(record::forget(root));
}

fn warn_on_error(result: Result<(), record::Error>) {
    if let Err(error) = result {
        warn(format_args!("{}", in_full(&error)));
    }
}
