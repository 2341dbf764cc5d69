//! `[4…8]` The order of steps, and what comes after a step that fails.
//!
//! ```text
//! log ─→ makedumpfile, if the task wants it ─→ own filter ─→ unfiltered copy ─→ what there is
//!        └────────────── the first that succeeds ends the list ──────────────┘
//! ```
//!
//! A target that is full or broken ends the list at once: the next dump would be larger. What was
//! written so far stays.

use capture_init::{Record, State, Task};

use crate::console::Console;
use crate::step::{Done, Place, Step, Trouble};
use crate::target::Target;
use crate::{alive, clock};

/// Runs a step.
pub type Run<'a> = dyn FnMut(&Step, &Place) -> Result<Done, Trouble> + 'a;

/// Saves log and dump. Returns whether the dump is complete.
pub fn save(
    target: &mut dyn Target,
    task: &Task,
    record: &mut Record,
    run: &mut Run<'_>,
    console: &Console,
) -> bool {
    note(target, record, console);
    log(target, record, run, console);
    let steps = dump_steps(task);
    for (step, next) in steps.iter().zip(steps[1..].iter().map(Some).chain([None])) {
        let trouble = match dump(target, step, record, run, console) {
            Ok(troubles) => {
                for trouble in troubles {
                    trouble_is(trouble, "the dump is complete otherwise", record, console);
                }
                record.state = State::Complete;
                record.times.saved_ms = Some(clock::since_boot_ms());
                note(target, record, console);
                return true;
            }
            Err(trouble) => trouble,
        };
        let next = next.filter(|_| !trouble.is_target);
        let what = format!("{step} failed: {}", trouble.words);
        match next {
            Some(next) => trouble_is(what, &format!("trying {next} next"), record, console),
            None => trouble_is(what, "what was written so far stays", record, console),
        }
        if next.is_none() {
            break;
        }
    }
    record.state = State::Incomplete;
    note(target, record, console);
    false
}

/// The ways to make a dump, in order.
fn dump_steps(task: &Task) -> Vec<Step> {
    let makedumpfile = task.makedumpfile.clone().map(Step::Makedumpfile);
    makedumpfile.into_iter().chain([Step::Filter(task.level), Step::Copy]).collect()
}

fn log(target: &mut dyn Target, record: &mut Record, run: &mut Run<'_>, console: &Console) {
    alive::begin("while saving the crashed kernel's log");
    let saved = run(&Step::Log, &target.log_place()).and_then(|done| match done {
        Done::Log { bytes, kernel, crash } => {
            target.log_saved(bytes).map_err(Trouble::target("the log does not reach the disk"))?;
            Ok((bytes, kernel, crash))
        }
        Done::Dump { .. } => Err(Trouble::of_step("its process wrote something else")),
    });
    match saved {
        Ok((bytes, kernel, crash)) => {
            if let Some(crash) = crash {
                console.say(&format!("the crashed kernel said: {crash}"));
            }
            console.say(&format!("its log is saved: {} KiB", bytes.div_ceil(1024)));
            (record.log_bytes, record.kernel) = (Some(bytes), kernel);
        }
        Err(trouble) => {
            let what = format!("{} cannot be saved: {}", Step::Log, trouble.words);
            trouble_is(what, "continuing with the dump", record, console);
        }
    }
}

/// One way to make a dump. Returns what is not as it should be.
fn dump(
    target: &mut dyn Target,
    step: &Step,
    record: &mut Record,
    run: &mut Run<'_>,
    console: &Console,
) -> Result<Vec<String>, Trouble> {
    alive::begin(format_args!("while writing {step}"));
    let place = target.dump_place(step);
    record.times.dump_ms = Some(clock::since_boot_ms());
    note(target, record, console);
    let (room, name) = (place.room >> 20, target.name());
    console.say(&format!("writing {step} to {name}, which has room for {room} MiB"));
    match run(step, &place)? {
        Done::Dump { dump, troubles } => {
            target
                .dump_saved(step, &dump)
                .map_err(Trouble::target("the dump does not reach the disk"))?;
            record.dump = Some(dump);
            Ok(troubles)
        }
        Done::Log { .. } => Err(Trouble::of_step("its process wrote something else")),
    }
}

fn note(target: &mut dyn Target, record: &Record, console: &Console) {
    if let Err(error) = target.note(record) {
        let name = target.name();
        console.warn(&format!("cannot write the record to {name}: {error}; continuing without it"));
    }
}

fn trouble_is(what: String, next: &str, record: &mut Record, console: &Console) {
    console.warn(&format!("{what}; {next}"));
    record.troubles.push(what);
}

#[cfg(test)]
mod tests;
