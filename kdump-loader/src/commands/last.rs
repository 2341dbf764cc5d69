//! `kdump-loader last`: the story of the last panic before this boot.

use std::path::Path;

use serde::Serialize;

use super::{Error, print, print_json};
use crate::arm::request_for::OURSELVES;
use crate::black_box::armed::{self, ArmedBox};
use crate::black_box::panic::{Outcome, Panic};
use crate::black_box::saved::{self, Saved};
use crate::black_box::story;
use crate::cli::Last;
use crate::health::last_dump::{self, LastDump};
use crate::health::{Target, survey};

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

/// Tells it, and notes that it was told. With --note-shutdown, only leaves a note for the next boot.
pub fn run(arguments: &Last) -> Result<(), Error> {
    let root = &arguments.root;
    if arguments.note_shutdown {
        return Ok(ArmedBox::note_shutdown(root, Some(armed::now()))?);
    }
    let all = Saved::all(root);
    if all.is_empty() && saved::is_forbidden(root) {
        return Err(Error::Forbidden { path: root.join(armed::STATE) });
    }
    let skipped = if arguments.all { 0 } else { all.len().saturating_sub(1) };
    let told = &all[skipped..];
    // The saver's settings say where dumps go, if it is known.
    let saver = if told.is_empty() { None } else { survey(root, None, Path::new(OURSELVES)).saver };
    let target = saver.and_then(|saver| saver.target);
    let dumps: Vec<_> =
        told.iter().map(|saved| dump(root, target.as_ref(), &saved.panic)).collect();
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
        print(&text(told, &dumps, last_harvest.as_ref()))?;
    }
    told.iter().for_each(Saved::mark_seen);
    Ok(())
}

/// The dump of a panic.
pub fn dump(root: &Path, target: Option<&Target>, panic: &Panic) -> LastDump {
    last_dump::find(root, target, panic.arming.armed_at, panic.harvested_at)
}

fn text(told: &[Saved], dumps: &[LastDump], last_harvest: Option<&Outcome>) -> String {
    let newest = told.last().map(|saved| saved.panic.harvested_at);
    let mut parts: Vec<_> = told
        .iter()
        .zip(dumps)
        .map(|(saved, dump)| story::tell(&saved.panic, Some(saved), Some(dump)))
        .collect();
    // A later boot that cannot tell must not look like one without a panic.
    let later = last_harvest.filter(|outcome| {
        outcome.nothing.is_some() && newest.is_none_or(|newest| newest < outcome.harvested_at)
    });
    if parts.is_empty() || later.is_some() {
        parts.push(story::tell_nothing(last_harvest));
    }
    parts.join("\n")
}
