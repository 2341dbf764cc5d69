//! Linux and kexec-tools that were built with our purgatory in place of theirs, as
//! docs/linux-purgatory.md says.
//!
//! *On entry*: the context has that kernel, or that kexec. *On exit*: what came of one crash.

use crate::context::Context;
use crate::error::Error;
use crate::evidence::outcome::Outcome;
use crate::machine::deadline::Deadline;
use crate::scenario::LIMIT;
use crate::scenarios::peers::drop_ins;
use crate::stage::Stage;

/// The kernel's own loader arms; memory and a CPU come, the kernel panics, the vmcore is complete.
/// The object is the one that ships.
pub fn kernel_captures(context: &Context) -> Result<Outcome, Error> {
    play(context, "linux-tree", drop_ins::built_in_captures)
}

/// The object has a console, refuses a flipped bit on it, and hangs.
pub fn kernel_refuses(context: &Context) -> Result<Outcome, Error> {
    play(context, "linux-tree-corrupt", drop_ins::built_in_refuses)
}

/// The object has a console, refuses a flipped bit on it, and resets the machine.
pub fn kernel_resets(context: &Context) -> Result<Outcome, Error> {
    play(context, "linux-tree-corrupt-reset", drop_ins::built_in_resets)
}

/// kexec arms; memory and a CPU come, the kernel panics, the vmcore is complete.
pub fn kexec_captures(context: &Context) -> Result<Outcome, Error> {
    play(context, "linux-tree-kexec", drop_ins::built_kexec_captures)
}

/// The purgatory in kexec refuses a flipped bit, and hangs.
pub fn kexec_refuses(context: &Context) -> Result<Outcome, Error> {
    play(context, "linux-tree-kexec-corrupt", drop_ins::built_kexec_refuses)
}

fn play(
    context: &Context,
    name: &str,
    story: fn(&mut Stage<'_>) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    Stage::play(context, name, Deadline::after(LIMIT), &[], story).map(|((), outcome)| outcome)
}
