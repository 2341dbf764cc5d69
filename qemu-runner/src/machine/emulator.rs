//! QEMU's process. Dropping it kills it, so no failure leaves a process.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::machine::deadline::Deadline;

/// How often to look whether QEMU is still there while waiting for its first call.
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Emulator {
    child: Child,
    stderr: PathBuf,
}

impl Emulator {
    /// Starts `command`, whose errors go to the file `stderr`.
    pub fn start(command: &mut Command, stderr: &Path) -> Result<Self, Error> {
        let errors = File::create(stderr).map_err(Error::file("create", stderr))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let child =
            command.spawn().map_err(Error::file("run", Path::new(command.get_program())))?;
        Ok(Self { child, stderr: stderr.to_owned() })
    }

    /// Its standard output.
    pub fn take_output(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("standard output is taken once")
    }

    /// Its exit status, once its console has ended; `None` when a signal ended it.
    pub fn exit_status(&mut self) -> Result<Option<i32>, Error> {
        Ok(self.child.wait().map_err(|error| Error::Host(format!("QEMU: {error}")))?.code())
    }

    /// Waits for its call on a socket.
    pub fn accept(
        &mut self,
        listener: &UnixListener,
        deadline: Deadline,
    ) -> Result<UnixStream, Error> {
        let launch = |reason: String| Error::Host(format!("QEMU did not start: {reason}"));
        listener.set_nonblocking(true).map_err(|error| launch(error.to_string()))?;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(|error| launch(error.to_string()))?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(launch(error.to_string())),
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let said = fs::read_to_string(&self.stderr).unwrap_or_default();
                return Err(launch(format!("{status}; it said: {}", said.trim())));
            }
            if deadline.left().is_none() {
                return Err(launch("it did not open its sockets before the deadline".into()));
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself, so neither step's failure means anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
