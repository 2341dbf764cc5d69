//! `[2]` `[4]` `[5]` A job in a process of its own: it may be killed for lack of memory, or by an
//! oops of the kernel, and /init lives on.
//!
//! *On entry* a job. *On exit* its result: from its standard output, one line of JSON after signs
//! of life, or from how the process ended.

use std::env;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use capture_init::Filesystem;
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::step::{Done, Place, Step, Trouble};
use crate::{alive, copy, filesystem, filter, log, makedumpfile, modules};

/// This program, whatever its path in the initrd.
const SELF: &str = "/proc/self/exe";
/// The crashed kernel's memory.
pub const VMCORE: &str = "/proc/vmcore";
/// SIGKILL. The kernel sends it for lack of memory and after most oopses (`page_fault_oops`,
/// arch/x86/mm/fault.c), and [`end_half_dead`] sends it.
const KILLED: i32 = Signal::KILL.as_raw();

/// The process that saves something now; 0: none.
static SAVING: AtomicU32 = AtomicU32::new(0);

/// The argument of the process.
#[derive(Debug, Serialize, Deserialize)]
pub enum Job {
    /// Saves something. Its result is `Result<Done, Trouble>`.
    Save {
        /// What.
        step: Step,
        /// Where.
        place: Place,
    },
    /// Loads a module. Its result is `Result<(), String>`.
    Load {
        /// Its file.
        module: PathBuf,
        /// As finit_module(2) takes them.
        parameters: String,
    },
    /// Mounts the target. Its result is `Result<(), String>`.
    Mount {
        /// The device's node.
        device: PathBuf,
        /// What it holds.
        filesystem: Filesystem,
    },
}

/// The process ended without a result, or could not be started: why, in words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoResult(String);

#[cfg(test)]
impl NoResult {
    /// Of a process that was killed.
    pub fn killed() -> Self {
        Self("its process was killed".into())
    }
}

/// Saves something, and waits for it.
pub fn save(step: &Step, place: &Place) -> Result<Done, Trouble> {
    let job = Job::Save { step: step.clone(), place: place.clone() };
    run(&job).unwrap_or_else(|error| Err(Trouble::of_step(error)))
}

/// Kills the process that saves something if an oops has ended its first thread. Its other threads
/// would keep its pipe open, and nothing would come.
pub fn end_half_dead(root: &Path) {
    let pid = SAVING.load(Ordering::Relaxed);
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(raw) = raw
        && alive::is_gone(&root.join(format!("proc/{pid}/stat")))
    {
        // A process that has ended whole stays as it is until /init has waited for it.
        let _ = kill_process(raw, Signal::KILL);
    }
}

/// Does a job, and waits for its result.
pub fn run<T: DeserializeOwned>(job: &Job) -> Result<T, NoResult> {
    let not_started = |error: &dyn std::fmt::Display| {
        NoResult(format!("no process can be started for it: {error}"))
    };
    let json = serde_json::to_string(job).map_err(|error| not_started(&error))?;
    let mut command = Command::new(SELF);
    command.arg(json).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(|error| not_started(&error))?;
    // One at a time. Modules have one thread each, and may be loaded beside it.
    let saves = matches!(job, Job::Save { .. });
    if saves {
        SAVING.store(child.id(), Ordering::Relaxed);
    }
    // There is a pipe.
    let output = child.stdout.take().map(|pipe| listen(pipe, alive::sign)).unwrap_or_default();
    if saves {
        SAVING.store(0, Ordering::Relaxed);
    }
    let status = child.wait().map_err(|error| not_started(&error))?;
    result(&output, status)
}

/// Reads until the process ends or closes the pipe. Whatever it writes is a sign of life.
fn listen(mut pipe: impl Read, sign: impl Fn()) -> Vec<u8> {
    let (mut output, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return output,
            Ok(count) => output.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return output,
        }
        sign();
    }
}

/// What a process left behind.
fn result<T: DeserializeOwned>(output: &[u8], status: ExitStatus) -> Result<T, NoResult> {
    if let Ok(result) = serde_json::from_slice(output) {
        return Ok(result);
    }
    Err(NoResult(match (status.signal(), status.code()) {
        (Some(KILLED), _) => {
            "its process was killed: memory ran out, or the kernel had an oops".to_owned()
        }
        (Some(signal), _) => format!("its process was ended by signal {signal}"),
        (None, code) => format!("its process ended with exit status {}", code.unwrap_or_default()),
    }))
}

/// In the process: does what the argument says, and prints the result.
pub fn main() -> io::Result<()> {
    let job: Job = serde_json::from_str(&env::args().nth(1).ok_or_else(usage)?)?;
    alive::is_step();
    match &job {
        Job::Save { step, place } => print(&save_here(step, place)),
        Job::Load { module, parameters } => print(&modules::load_here(module, parameters)),
        Job::Mount { device, filesystem } => {
            let mounted = filesystem::mount_here(device, *filesystem);
            print(&mounted.map_err(|error| error.to_string()))
        }
    }
}

fn save_here(step: &Step, place: &Place) -> Result<Done, Trouble> {
    let (vmcore, console) = (Path::new(VMCORE), Console::new(Path::new("/")));
    match step {
        Step::Log => log::save(vmcore, place),
        Step::Makedumpfile(arguments) => makedumpfile::save(arguments, vmcore, place, &console),
        Step::Filter(level) => filter::save(vmcore, *level, place, &console),
        Step::Copy => copy::save(vmcore, place, &console),
    }
}

fn print(result: &impl Serialize) -> io::Result<()> {
    Ok(serde_json::to_writer(io::stdout(), result)?)
}

fn usage() -> io::Error {
    io::Error::other("this is the /init of a capture kernel; use `kdump-loader load --capture`")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    type Saved = Result<Done, Trouble>;

    #[test]
    fn result_of_a_process_is_its_output_after_signs_of_life() {
        let done: Saved = Ok(Done::Log { bytes: 7, kernel: None, crash: None });
        let full: Saved = Err(Trouble::of_target("the disk is full"));
        for expected in [done, full] {
            let output = [b"\n\n".to_vec(), serde_json::to_vec(&expected).unwrap()].concat();
            assert_eq!(result(&output, ExitStatus::from_raw(0)), Ok(expected));
        }
    }

    #[test]
    fn each_piece_of_output_is_a_sign_of_life() {
        let signs = Cell::new(0);
        let pipe = (&b"\n"[..]).chain(&b"\n"[..]).chain(&b"{}"[..]);
        assert_eq!(listen(pipe, || signs.set(signs.get() + 1)), b"\n\n{}");
        assert_eq!(signs.get(), 3);
    }

    #[test]
    fn process_that_was_killed_ran_out_of_memory_or_had_an_oops() {
        let error = result::<Saved>(b"{\"O", ExitStatus::from_raw(KILLED)).unwrap_err();
        assert!(error.to_string().contains("memory ran out, or the kernel had an oops"), "{error}");
    }

    #[test]
    fn process_whose_first_thread_is_gone_is_killed_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = root.path().join(format!("proc/{}", child.id()));
        fs::create_dir_all(&process).unwrap();
        SAVING.store(child.id(), Ordering::Relaxed);
        for state in ['S', 'D', 'Z'] {
            assert!(child.try_wait().unwrap().is_none(), "before {state}");
            fs::write(process.join("stat"), format!("7 (init) {state} 1 1")).unwrap();
            end_half_dead(root.path());
        }
        SAVING.store(0, Ordering::Relaxed);
        assert_eq!(child.wait().unwrap().signal(), Some(KILLED));
    }

    #[test]
    fn process_that_panicked_is_reported_with_its_signal() {
        let error = result::<Saved>(b"", ExitStatus::from_raw(6)).unwrap_err();
        assert_eq!(error.to_string(), "its process was ended by signal 6");
    }
}
