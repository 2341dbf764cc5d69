//! /init of the capture kernel: the only process that runs after a panic.
//!
//! ```text
//! [1] mounts → task → [2] modules → [3] disk → [4] target, log → [5] dump → [8] keep → [9] reset
//! beside all of them, in a thread: [0] memory, watchdogs, deadline, silence
//! ```
//!
//! *On entry* a kernel that found `/proc/vmcore`, and an initrd with this program, a task, modules.
//! There is no exit: every path ends in a reset, and each message says what happened, where, and
//! what comes next.
//!
//! With a job as its argument, the program does that job and ends.

#![forbid(unsafe_code)]

mod console; // messages
mod clock;
mod alive; // [0] what moved last, and when
mod guard; // [0] beside the steps
mod memory; // [0] how little memory was left
mod watchdog; // [0] watchdogs that were running
mod mounts; // [1] /proc, /sys, /dev
mod modules; // [2] drivers
mod disk; // [3] the target's disk
mod target; // [4] what the steps need of a target
mod filesystem; // [4] mounts it
mod folder; // [4] a folder in it
mod partition; // [4] or a raw partition
mod step; // what is done, where, with which result
mod save; // [4…8] the order of steps
mod child; // [2] [4] [5] what may die, in its own process
mod output; // [5] where a step writes
mod progress; // [5] how far it is
mod log; // [4] the crashed kernel's log
mod makedumpfile; // [5a] a dump by makedumpfile
mod filter; // [5b] a dump by our own filter
mod copy; // [5c] an unfiltered copy
mod keep; // [8] earlier dumps
mod last_words; // if nothing else can be saved
mod end; // [9] the reset

#[cfg(test)]
#[allow(dead_code, reason = "the filter's tests use more of it")]
#[path = "../../../vmcore-filter/tests/dump/kernel.rs"]
mod made_up; // a vmcore

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use capture_init::{Record, TASK_PATH, Target as TaskTarget, Task};

use console::Console;
use folder::Folder;
use guard::Guard;
use partition::Partition;
use target::Target;

/// The root of the system.
const ROOT: &str = "/";

fn main() -> ExitCode {
    let console = Console::new(Path::new(ROOT));
    end::on_panic(console.clone());
    // The kernel passes words of its command line to /init, so the number decides.
    if std::process::id() == 1 {
        capture(&console);
        end::reset(&console);
    }
    match child::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// From the first instruction to the last message.
fn capture(console: &Console) {
    let mut troubles = mounts::kernel_filesystems();
    let mut record = Record::new(clock::now(), clock::since_boot_ms());
    console.say(&format!("started {} after the kernel", seconds(record.times.init_ms)));
    for trouble in &troubles {
        console.warn(&format!("{trouble}; continuing without it"));
    }
    alive::begin("before the first module");
    let guard = Guard::start(Path::new(ROOT), console);
    if !Path::new(child::VMCORE).exists() {
        let vmcore = child::VMCORE;
        console.warn(&format!(
            "{vmcore} is missing, so there is nothing to save: no panic started this kernel"
        ));
        return;
    }
    let task = fs::read(TASK_PATH)
        .map_err(|error| format!("cannot read {TASK_PATH}: {error}"))
        .and_then(|bytes| Task::from_json(&bytes).map_err(|error| error.to_string()));
    let task = match task {
        Ok(task) => task,
        Err(error) => {
            console.warn(&format!("{error}; no dump without a target"));
            return last_words::print(console);
        }
    };
    if let Some(timeout) = task.timeout_seconds {
        guard.end_at(record.times.init_ms + u64::from(timeout) * 1000);
        console.say(&format!("the machine is reset after {timeout} s at the latest"));
    }
    guard.feed(&task.watchdogs);
    troubles.extend(modules::load_all(&task.modules, &task.parameters, console));
    for missing in watchdog::missing(Path::new(ROOT), &task.watchdogs) {
        console.warn(&missing);
        troubles.push(missing);
    }
    record.troubles = troubles;
    let mut target = match find(&task.target, &mut record, console) {
        Ok(target) => target,
        Err(error) => {
            console.warn(&format!("{error}; no dump without a target"));
            return last_words::print(console);
        }
    };
    record.times.target_ms = Some(clock::since_boot_ms());
    console.say(&format!("the target is {}", target.name()));
    let mut run = |step: &_, place: &_| child::save(step, place);
    let is_complete = save::save(&mut *target, &task, &mut record, &mut run, console);
    if is_complete {
        alive::begin("while removing earlier dumps");
        for words in target.remove_earlier(task.keep) {
            console.say(&words);
        }
    }
    record.memory = guard.memory();
    if let Err(error) = target.note(&record) {
        console.warn(&format!("cannot write the last record: {error}"));
    }
    summarize(&record, &*target, console);
}

/// Finds the target and makes it ready.
fn find(
    target: &TaskTarget,
    record: &mut Record,
    console: &Console,
) -> Result<Box<dyn Target>, Box<dyn std::error::Error>> {
    let (TaskTarget::Raw { disk: id } | TaskTarget::Directory { disk: id, .. }) = target;
    alive::begin("while looking for the target");
    let longest = || match modules::are_loading() {
        true => disk::LONGEST_WAIT_FOR_DRIVER,
        false => disk::LONGEST_WAIT,
    };
    let device = disk::wait_for(Path::new(ROOT), id, longest, console)?;
    console.say(&format!("{id} is {} of {} MiB", device.path.display(), device.bytes >> 20));
    Ok(match target {
        TaskTarget::Raw { .. } => Box::new(Partition::open(&device, record)?),
        TaskTarget::Directory { filesystem, path, .. } => {
            alive::begin(format_args!("while mounting {}", device.path.display()));
            filesystem::mount_for_writing(&device, *filesystem)?;
            let (root, name) = (Path::new(filesystem::MOUNTED), device.path.to_string_lossy());
            let folder = Folder::create(root, path, &name, record.began);
            Box::new(
                folder.map_err(|error| {
                    format!("cannot make a folder in {path} of {name}: {error}")
                })?,
            )
        }
    })
}

/// The last messages.
fn summarize(record: &Record, target: &dyn Target, console: &Console) {
    let (times, memory) = (&record.times, &record.memory);
    match (record.dump, times.saved_ms) {
        (Some(dump), Some(saved)) => console.say(&format!(
            "the dump is saved in {}: {} MiB, {} after the kernel started",
            target.name(),
            dump.bytes >> 20,
            seconds(saved)
        )),
        _ => console.warn(&format!("there is no complete dump in {}", target.name())),
    }
    console.say(&format!(
        "of {} MiB of memory, {} MiB were never used",
        memory.total_kib >> 10,
        memory.lowest_available_kib >> 10
    ));
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}
