//! `black-box-*`: the machine panics, no dump comes out, and the boot after the reset tells why.

pub(super) mod endings; // every way in which a run can end
pub(super) mod boots; // the boot after it, on other machines and with another command line
pub(super) mod log; // the kernel log, as makedumpfile decodes it

use crate::error::Error;
use crate::scenarios::damage::corrupt;
use crate::stage::last::Kept;
use crate::stage::{CAPTURE_APPEND, First, Setup, Stage};

/// The newest series. It comes from a repository that keeps no old versions, so it may be gone.
const NEW: &str = "7";

fn black_box() -> Setup {
    Setup { append: "nokaslr", signals: true, ..corrupt::bare() }
}

fn on_new_kernel() -> Setup {
    Setup { series: Some(NEW), ..black_box() }
}

/// Boots a machine that survives resets, and arms it. Returns what the loader keeps on a disk.
fn armed<'s, 'c>(stage: &'s mut Stage<'c>, setup: &Setup) -> Result<(First<'s, 'c>, Kept), Error> {
    let mut first = stage.boot(setup)?;
    first.survive_resets()?;
    let (_, kept) = first.arm_black_box(CAPTURE_APPEND, "")?;
    Ok((first, kept))
}
