//! What people are given to look at, looked at in a browser: the picture of `plan --svg` and the page of `--report`, in light and in dark, on a
//! desk and on a telephone. Without a browser, which `cargo xtask setup` brings, all of it is reported as ignored, with the reason.
//!
//! ```text
//! subjects.rs   what is looked at: a real run's outcome, and what no run should ever leave
//! devtools.rs   a browser without windows, spoken to over a pipe
//! look.rs       what it shows, asked by way of its document
//! measure.js    how the document is asked
//! checks.rs     what must be true of that
//! ```

mod subjects;
mod devtools;
mod look;
mod checks;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};
use qemu_runner::Context;

use crate::devtools::Browser;
use crate::look::{Scheme, Size, View};
use crate::subjects::Subject;

/// Where subjects and their screenshots are left, relative to the repository's root.
const LEFT: &str = "target/page";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> =
        subjects::all().into_iter().map(|subject| trial(subject.name.clone(), move |b| seen(&subject, b))).collect();
    trials.extend(subjects::broken().into_iter().map(|(subject, noticed)| {
        trial(format!("{}_is_noticed", subject.name), move |browser| notices(&subject, noticed, browser))
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that needs a browser.
fn trial(name: String, test: impl FnOnce(&mut Browser) -> Result<(), String> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || {
        let context = Context::from_repo(root(), None, false).map_err(|error| error.chain())?;
        let program = match context.browser() {
            Ok(program) => program,
            Err(reason) => return Ok(Completion::ignored_with(format!("no browser: {reason}"))),
        };
        let mut browser = Browser::start(program)?;
        test(&mut browser)?;
        Ok(Completion::Completed)
    })
}

/// A subject passes in every scheme and size, and its colours are not the same in both schemes. A picture alone is shown as large as it is.
fn seen(subject: &Subject, browser: &mut Browser) -> Result<(), String> {
    let mut grounds = Vec::new();
    let sizes = if subject.extension == "svg" { &Size::ALL[..1] } else { &Size::ALL[..] };
    for &size in sizes {
        for scheme in Scheme::ALL {
            let view = View { size, scheme };
            let seen = look::at(browser, &file(subject)?, view, &left(&format!("{}-{view}.png", subject.name)))?;
            let faults = checks::faults(&seen);
            if !faults.is_empty() {
                return Err(format!("{view}: {}", faults.join("\n")));
            }
            if size == Size::Desk {
                grounds.push(seen.ground);
            }
        }
    }
    if grounds[0] == grounds[1] { Err(format!("light and dark have the same ground, {}", grounds[0])) } else { Ok(()) }
}

/// A subject with one fault does not pass, for that reason: what is never noticed is not checked.
fn notices(subject: &Subject, fault: &str, browser: &mut Browser) -> Result<(), String> {
    let view = View { size: Size::Desk, scheme: Scheme::Light };
    let seen = look::at(browser, &file(subject)?, view, &left(&format!("{}.png", subject.name)))?;
    let faults = checks::faults(&seen);
    if faults.iter().any(|found| found.contains(fault)) { Ok(()) } else { Err(format!("expected {fault:?}, found {faults:?}")) }
}

/// Writes a subject where the browser finds it.
fn file(subject: &Subject) -> Result<PathBuf, String> {
    let file = left(&format!("{}.{}", subject.name, subject.extension));
    std::fs::create_dir_all(root().join(LEFT)).map_err(|error| format!("cannot make {LEFT}: {error}"))?;
    std::fs::write(&file, &subject.text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(file)
}

fn left(name: &str) -> PathBuf {
    root().join(LEFT).join(name)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the repository")
}
