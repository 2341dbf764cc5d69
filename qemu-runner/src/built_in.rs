//! A kernel that was built with our purgatory in place of its own, as docs/linux-purgatory.md says.
//!
//! *On entry*: the context's kernel under test is that kernel. *On exit*: what came of one crash.

use crate::context::Context;
use crate::error::Error;
use crate::evidence::outcome::Outcome;
use crate::machine::deadline::Deadline;
use crate::scenario::LIMIT;
use crate::scenarios::peers::drop_ins;
use crate::stage::Stage;

/// The kernel's own loader arms; memory and a CPU come, the kernel panics, the vmcore is complete.
/// The object is the one that ships.
pub fn captures(context: &Context) -> Result<Outcome, Error> {
    play(context, "linux-tree", drop_ins::built_in_captures)
}

/// The object has a console, refuses a flipped bit on it, and hangs.
pub fn refuses(context: &Context) -> Result<Outcome, Error> {
    play(context, "linux-tree-corrupt", drop_ins::built_in_refuses)
}

/// The object has a console, refuses a flipped bit on it, and resets the machine.
pub fn resets(context: &Context) -> Result<Outcome, Error> {
    play(context, "linux-tree-corrupt-reset", drop_ins::built_in_resets)
}

fn play(
    context: &Context,
    name: &str,
    story: fn(&mut Stage<'_>) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    Stage::play(context, name, Deadline::after(LIMIT), &[], story).map(|((), outcome)| outcome)
}
