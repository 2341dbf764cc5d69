//! One running QEMU: console, agent, monitor, and one deadline. Dropping it kills QEMU.
//!
//! A wait ends when a line arrives on a channel; two threads feed it from the serial ports. Only
//! two places poll, because QEMU offers no event: [`Vm::next_within`], and `monitor/migration.rs`.

mod arrival; // what its serial ports bring, line by line

use std::fs::{self, File};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::assets::Qemu;
use crate::error::{Error, check};
use crate::host;
use crate::machine::checkpoint::Checkpoint;
use crate::machine::deadline::Deadline;
use crate::machine::emulator::Emulator;
use crate::machine::monitor::Monitor;
use crate::machine::ram::Ram;
use crate::machine::{Ends, Machine, Talk, shell_text};

pub use arrival::{Arrival, Line};
use arrival::{read_agent, read_console};

/// The file in a run's directory that holds all the console said.
pub const SERIAL_LOG: &str = "serial.log";
pub const RAM: &str = "ram";
/// The file that holds what QEMU logs: resets, triple faults.
pub const QEMU_LOG: &str = "qemu.log";
/// The file that holds what SeaBIOS says about its own work.
pub const FIRMWARE_LOG: &str = "firmware.log";
/// The file that holds QEMU's command line.
pub const SCRIPT: &str = "qemu.sh";
/// What QEMU logs on a triple fault (`handle_exception…`, target/i386/tcg/excp_helper.c).
const TRIPLE_FAULT: &str = "Triple fault";
/// What SeaBIOS says when a CPU has come to it without a reset of the machine, which it then asks
/// for (`tryReboot`, src/resume.c).
const FIRMWARE_RESET: &str = "Attempting a hard reboot";

/// How much later than the guest has written it a line may be read here on a busy host: by so much
/// a delay may look too short.
pub(crate) const READ_LATENCY: Duration = Duration::from_millis(500);
/// How much longer than announced a reset may take on a busy host.
const RESET_SLACK: Duration = Duration::from_secs(30);

/// A reset must have been waited for as long as announced, and not much longer.
pub fn expect_wait(delay: Duration, waited: Duration) -> Result<(), Error> {
    let in_time = delay.saturating_sub(READ_LATENCY)..=delay + RESET_SLACK;
    check!(in_time.contains(&waited), "wait before the reset: not {in_time:?}, but {waited:?}")
}

#[derive(Debug)]
pub struct Vm {
    child: Emulator,
    arrivals: Receiver<Arrival>,
    ended: bool,
    pub(crate) agent: UnixStream,
    pub monitor: Monitor,
    pub ram: Ram,
    pub deadline: Deadline,
    pub command_line: String,
    directory: PathBuf,
    qemu_log: PathBuf,
    firmware_log: PathBuf,
    /// The agent's commands are numbered, so that no answer is taken for another's.
    pub(crate) commands: u64,
    _sockets: TempDir,
}

impl Vm {
    /// Starts `machine`, with its logs in `directory`. From a checkpoint, it is the machine that
    /// was kept, and hangs until its monitor lets it continue.
    pub fn start(
        qemu: &Qemu,
        machine: &Machine,
        directory: &Path,
        deadline: Deadline,
        from: Option<&Checkpoint>,
    ) -> Result<Self, Error> {
        if let Some(checkpoint) = from {
            checkpoint.copy_to(directory)?;
        }
        let sockets = tempfile::tempdir()
            .map_err(Error::file("make a directory in", &std::env::temp_dir()))?;
        let (agent_at, monitor_at) = (sockets.path().join("agent"), sockets.path().join("monitor"));
        let agent = UnixListener::bind(&agent_at).map_err(Error::file("listen on", &agent_at))?;
        let monitor =
            UnixListener::bind(&monitor_at).map_err(Error::file("listen on", &monitor_at))?;
        let talk = Talk::Runner { agent: agent_at.clone(), monitor: monitor_at };
        let ends = Ends {
            ram: directory.join(RAM),
            qemu_log: directory.join(QEMU_LOG),
            firmware_log: directory.join(FIRMWARE_LOG),
            talk,
            incoming: from.is_some(),
        };

        // By hand it can only be switched on.
        let by_hand = machine.command(qemu, &Ends { incoming: false, ..ends.clone() });
        let line = shell_text(qemu, &by_hand);
        let script = directory.join(SCRIPT);
        fs::write(&script, format!("{line}\n")).map_err(Error::file("write", &script))?;

        let stderr = directory.join("qemu.stderr");
        let mut child = Emulator::start(&mut machine.command(qemu, &ends), &stderr)?;
        let agent = child.accept(&agent, deadline)?;
        let mut monitor = Monitor::new(child.accept(&monitor, deadline)?, deadline)?;
        let ram = Ram::open(&ends.ram, machine.layout())?;

        let (sender, arrivals) = mpsc::channel();
        let console = child.take_output();
        let log = directory.join(SERIAL_LOG);
        // What a checkpoint's console had said stands in it.
        let log = File::options()
            .append(true)
            .create(true)
            .open(&log)
            .map_err(Error::file("create", &log))?;
        let to_agent = agent.try_clone().map_err(Error::file("share", &agent_at))?;
        let from_agent = sender.clone();
        thread::spawn(move || read_console(console, log, &sender));
        thread::spawn(move || read_agent(agent, &from_agent));
        if let Some(checkpoint) = from {
            monitor.load(&checkpoint.state())?;
        }
        Ok(Self {
            child,
            arrivals,
            ended: false,
            agent: to_agent,
            monitor,
            ram,
            deadline,
            command_line: line,
            directory: directory.to_owned(),
            qemu_log: ends.qemu_log,
            firmware_log: ends.firmware_log,
            commands: 0,
            _sockets: sockets,
        })
    }

    /// The next thing to arrive; an error when the deadline passes or QEMU has ended before.
    pub fn next(&mut self, waiting_for: &str) -> Result<Arrival, Error> {
        match self.next_or_end(waiting_for)? {
            Arrival::End => Err(self.gone(waiting_for)),
            arrival => Ok(arrival),
        }
    }

    pub fn next_or_end(&mut self, waiting_for: &str) -> Result<Arrival, Error> {
        if self.ended {
            return Ok(Arrival::End);
        }
        let left = self.left(waiting_for)?;
        self.receive(left).ok_or_else(|| self.too_late(waiting_for))
    }

    /// The next thing to arrive within `pause`, if something does.
    pub fn next_within(
        &mut self,
        pause: Duration,
        waiting_for: &str,
    ) -> Result<Option<Arrival>, Error> {
        let left = self.left(waiting_for)?;
        match self.receive(left.min(pause)) {
            Some(Arrival::End) => Err(self.gone(waiting_for)),
            arrival => Ok(arrival),
        }
    }

    /// The console's lines that have arrived already.
    pub fn arrived_on_console(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Ok(arrival) = self.arrivals.try_recv() {
            match arrival {
                Arrival::Console(line) => lines.push(line),
                Arrival::Agent(_) => {}
                Arrival::End => self.ended = true,
            }
        }
        lines
    }

    /// The agent's lines that were still on their way when the console ended; call it after that.
    pub fn last_words(&mut self) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        loop {
            let left = self.left("the last line")?;
            match self.arrivals.recv_timeout(left) {
                Ok(Arrival::Agent(line)) => lines.push(line),
                Ok(_) => {}
                // Both readers have come to their ends.
                Err(RecvTimeoutError::Disconnected) => return Ok(lines),
                Err(RecvTimeoutError::Timeout) => return Err(self.too_late("the last line")),
            }
        }
    }

    /// Waits for a console line with these words.
    pub fn await_words(&mut self, what: &str, words: &str) -> Result<Line, Error> {
        loop {
            if let Arrival::Console(line) = self.next(what)?
                && line.text.contains(words)
            {
                return Ok(line);
            }
        }
    }

    /// What arrives within `limit`; `None` when nothing does.
    fn receive(&mut self, limit: Duration) -> Option<Arrival> {
        let arrival = match self.arrivals.recv_timeout(limit) {
            Ok(arrival) => arrival,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => Arrival::End,
        };
        self.ended = matches!(arrival, Arrival::End);
        Some(arrival)
    }

    fn left(&self, waiting_for: &str) -> Result<Duration, Error> {
        self.deadline.left().ok_or_else(|| self.too_late(waiting_for))
    }

    fn gone(&self, waiting_for: &str) -> Error {
        let log = self.serial_log();
        Error::Failed(format!(
            "the machine ended while the runner waited for {waiting_for}; the serial log is {}",
            log.display()
        ))
    }

    fn too_late(&self, waiting_for: &str) -> Error {
        Error::Deadline {
            waiting_for: waiting_for.to_owned(),
            limit: self.deadline.limit,
            log: self.serial_log(),
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn serial_log(&self) -> PathBuf {
        self.directory.join(SERIAL_LOG)
    }

    /// QEMU's exit status; call it after the console has ended.
    pub fn exit_status(&mut self) -> Result<Option<i32>, Error> {
        self.child.exit_status()
    }

    pub fn qemu_log(&self) -> Result<String, Error> {
        let log = host::read(&self.qemu_log)?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// Whether the CPU reset itself because an exception could not be delivered.
    pub fn triple_faulted(&self) -> Result<bool, Error> {
        Ok(self.qemu_log()?.contains(TRIPLE_FAULT))
    }

    /// Whether SeaBIOS asked for a reset, because a CPU had come to it that should not have.
    pub fn firmware_reset(&self) -> Result<bool, Error> {
        let log = host::read(&self.firmware_log)?;
        Ok(String::from_utf8_lossy(&log).contains(FIRMWARE_RESET))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_must_be_waited_for_as_announced() {
        let wait = |ms| expect_wait(Duration::from_secs(1), Duration::from_millis(ms));
        assert!(wait(1000).is_ok() && wait(600).is_ok() && wait(400).is_err());
        assert!(wait(30_000).is_ok() && wait(32_000).is_err());
    }
}
