//! `[5]` A step in a process of its own.
//!
//! *On entry* a step and its place. *On exit* its result: from its standard output, one line of
//! JSON, or from how the process ended.

use std::env;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::step::{Done, Place, Step, Trouble};
use crate::{copy, filter, log, makedumpfile};

/// This program, whatever its path in the initrd.
const SELF: &str = "/proc/self/exe";
/// The crashed kernel's memory.
pub const VMCORE: &str = "/proc/vmcore";
/// SIGKILL. Nothing but a lack of memory sends it here.
const KILLED: i32 = 9;

/// The argument of the process.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    step: Step,
    place: Place,
}

/// Runs a step, and waits for it.
pub fn run(step: &Step, place: &Place) -> Result<Done, Trouble> {
    let job = Job { step: step.clone(), place: place.clone() };
    let json = serde_json::to_string(&job).map_err(Trouble::of_step)?;
    let output =
        Command::new(SELF).arg(json).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| {
        Trouble::of_step(format_args!("no process can be started for {step}: {error}"))
    })?;
    result(&output.stdout, output.status)
}

/// What a process left behind.
fn result(output: &[u8], status: ExitStatus) -> Result<Done, Trouble> {
    if let Ok(result) = serde_json::from_slice(output) {
        return result;
    }
    Err(Trouble::of_step(match (status.signal(), status.code()) {
        (Some(KILLED), _) => "its process was killed, probably because memory ran out".to_owned(),
        (Some(signal), _) => format!("its process was ended by signal {signal}"),
        (None, code) => format!("its process ended with exit status {}", code.unwrap_or_default()),
    }))
}

/// In the process: does what the argument says, and prints the result.
pub fn main() -> io::Result<()> {
    let job: Job = serde_json::from_str(&env::args().nth(1).ok_or_else(usage)?)?;
    let (vmcore, console) = (Path::new(VMCORE), Console::new(Path::new("/")));
    let result = match &job.step {
        Step::Log => log::save(vmcore, &job.place),
        Step::Makedumpfile(arguments) => makedumpfile::save(arguments, vmcore, &job.place),
        Step::Filter(level) => filter::save(vmcore, *level, &job.place, &console),
        Step::Copy => copy::save(vmcore, &job.place, &console),
    };
    serde_json::to_writer(io::stdout(), &result)?;
    Ok(())
}

fn usage() -> io::Error {
    io::Error::other("this is the /init of a capture kernel; use `kdump-loader load --capture`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_of_a_process_is_its_output() {
        let done = Done::Log { bytes: 7, kernel: None, crash: None };
        let line = serde_json::to_vec(&Ok::<_, Trouble>(done.clone())).unwrap();
        assert_eq!(result(&line, ExitStatus::from_raw(0)), Ok(done));
        let full = Trouble::of_target("the disk is full");
        let line = serde_json::to_vec(&Err::<Done, _>(full.clone())).unwrap();
        assert_eq!(result(&line, ExitStatus::from_raw(0)), Err(full));
    }

    #[test]
    fn process_that_was_killed_ran_out_of_memory() {
        let trouble = result(b"{\"O", ExitStatus::from_raw(KILLED)).unwrap_err();
        assert!(trouble.words.contains("memory ran out") && !trouble.is_target, "{trouble:?}");
    }

    #[test]
    fn process_that_panicked_is_reported_with_its_signal() {
        let trouble = result(b"", ExitStatus::from_raw(6)).unwrap_err();
        assert_eq!(trouble.words, "its process was ended by signal 6");
    }
}
