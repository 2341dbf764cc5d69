//! `kdump-loader last`: the story of the last panic before this boot.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use {super::write_file, crate::black_box::page, crate::cli::STANDARD_OUTPUT};

use super::{Error, print, print_json};
use crate::arm::request_for::OURSELVES;
use crate::black_box::armed::{self, ArmedBox};
use crate::black_box::harvest;
use crate::black_box::panic::{Outcome, Panic};
use crate::black_box::saved::{self, Saved};
use crate::black_box::story::{self, NoPanic};
use crate::cli::Last;
use crate::health::last_dump::{self, LastDump};
use crate::health::{Target, survey};

/// Exit status if a page of a dump is missing or damaged.
const BAD_DUMP: u8 = 1;

/// What `last --json` prints.
#[derive(Serialize)]
struct Output<'a> {
    /// The last panic, or with --all every one, the oldest first.
    panics: Vec<Told<'a>>,
    /// What came out of the last harvest.
    last_harvest: Option<Outcome>,
}

/// A panic, and whether its dump was found.
#[derive(Serialize)]
struct Told<'a> {
    folder: &'a Path,
    seen: bool,
    #[serde(flatten)]
    dump: LastDump,
    #[serde(flatten)]
    panic: &'a Panic,
}

/// Tells it, and notes that it was told. With --note-shutdown, only leaves a note for the next
/// boot.
pub fn run(arguments: &Last) -> Result<ExitCode, Error> {
    let root = &arguments.root;
    if arguments.note_shutdown {
        ArmedBox::note_shutdown(root, Some(armed::now()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut all = Saved::all(root);
    if all.is_empty() && saved::is_forbidden(root) {
        return Err(Error::Forbidden { path: root.join(armed::STATE) });
    }
    let skipped = if arguments.all { 0 } else { all.len().saturating_sub(1) };
    let told = &mut all[skipped..];
    // The saver's settings say where dumps go, if it is known.
    let saver = if told.is_empty() { None } else { survey(root, None, Path::new(OURSELVES)).saver };
    let target = saver.and_then(|saver| saver.target);
    let mut dumps: Vec<_> =
        told.iter().map(|saved| dump(root, target.as_ref(), &saved.panic)).collect();
    for (saved, dump) in told.iter_mut().zip(&dumps) {
        // Where crash memory had no room for copies of the log, /init has saved it.
        let line = || harvest::panic_line_of_text(&dump.log(root)?);
        saved.panic.panic_line = saved.panic.panic_line.take().or_else(line);
    }
    let told = &*told;
    if arguments.check {
        dumps.iter_mut().for_each(|dump| dump.check(root));
    }
    let bad = dumps.iter().any(LastDump::is_bad);
    let last_harvest = Outcome::read(root);
    if arguments.json {
        let panics = told.iter().zip(dumps).map(|(saved, dump)| Told {
            folder: &saved.folder,
            seen: saved.seen,
            dump,
            panic: &saved.panic,
        });
        print_json(&Output { panics: panics.collect(), last_harvest })?;
    } else {
        let told: Vec<_> = told.iter().zip(&dumps).collect();
        show(arguments, &told, later(&told, last_harvest.as_ref()))?;
    }
    told.iter().for_each(Saved::mark_seen);
    Ok(if bad { ExitCode::from(BAD_DUMP) } else { ExitCode::SUCCESS })
}

/// The dump of a panic.
pub fn dump(root: &Path, target: Option<&Target>, panic: &Panic) -> LastDump {
    last_dump::find(root, target, panic.arming.armed_at, panic.harvested_at)
}

/// What is to say about the last harvest: nothing, if it found the newest panic. A later boot that
/// cannot tell must not look like one without a panic.
fn later(told: &[(&Saved, &LastDump)], last_harvest: Option<&Outcome>) -> Option<NoPanic> {
    let found_nothing_since = |newest: u64| {
        last_harvest
            .is_some_and(|outcome| outcome.nothing.is_some() && newest < outcome.harvested_at)
    };
    let newest = told.last().map(|(saved, _)| saved.panic.harvested_at);
    newest.is_none_or(found_nothing_since).then(|| story::nothing(last_harvest))
}

fn show(
    arguments: &Last,
    told: &[(&Saved, &LastDump)],
    later: Option<NoPanic>,
) -> Result<(), Error> {
    match arguments.html.as_deref() {
        Some(path) if path == Path::new(STANDARD_OUTPUT) => {
            return print(&page::html(told, later.as_ref()));
        }
        Some(path) => return write_file(path, page::html(told, later.as_ref()).as_bytes()),
        None => {}
    }
    let stories =
        told.iter().map(|(saved, dump)| story::tell(&saved.panic, Some(saved), Some(dump)));
    print(&stories.chain(later.map(|later| later.to_string())).collect::<Vec<_>>().join("\n"))
}
