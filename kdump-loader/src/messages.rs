//! Messages on standard error, with the levels `error:`, `warning:` and `note:`.

use std::fmt;
use std::io::{self, Write};

/// Prints a message on standard error. A closed standard error is no reason to stop.
pub fn say(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "kdump-loader: {message}");
}

/// Says what the command decided or is waiting for.
pub fn note(message: fmt::Arguments<'_>) {
    say(format_args!("note: {message}"));
}

/// Says what may cost the dump, or what failed although the command continues.
pub fn warn(message: fmt::Arguments<'_>) {
    say(format_args!("warning: {message}"));
}

/// Says why the command failed.
pub fn report(error: &dyn std::error::Error) {
    say(format_args!("error: {}", in_full(error)));
}

/// An error and its causes, in one line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
