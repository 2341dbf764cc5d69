//! The agent: a plain shell on the guest's second serial port.
//!
//! The runner sends a command with a marker after it. The text that comes back before the marker is
//! the output; the number after the marker is the exit status.

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::error::{Error, check_eq};
use crate::machine::vm::{Arrival, Line, Vm};

/// Which kernel a user space is for. The agent greets with this word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    First,
    Capture,
}

impl Role {
    pub const fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Capture => "capture",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub status: i32,
    /// Both its output streams, without the last line feed.
    pub text: String,
}

impl Vm {
    /// Waits for the greeting of a user space and returns its kernel's release. `see` is shown
    /// every console line meanwhile, and its error ends the wait.
    pub fn await_greeting(
        &mut self,
        role: Role,
        mut see: impl FnMut(&Line) -> Result<(), Error>,
    ) -> Result<String, Error> {
        let greeting = format!("@{} ", role.word());
        let waiting_for = format!("the user space of the {} kernel", role.word());
        loop {
            match self.next(&waiting_for)? {
                Arrival::Console(line) => see(&line)?,
                Arrival::Agent(text) => {
                    if let Some(release) = text.strip_prefix(&greeting) {
                        return Ok(release.to_owned());
                    }
                }
                Arrival::End => unreachable!("next() makes an error of the end"),
            }
        }
    }

    pub fn run(&mut self, command: &str) -> Result<Output, Error> {
        self.commands += 1;
        let marker = format!("@{}@ ", self.commands);
        // The command's output may lack its last line feed, so the marker brings its own.
        self.say(&format!("({command}) 2>&1; printf '\\n{marker}%d\\n' $?\n"))?;
        let mut text = String::new();
        loop {
            let Arrival::Agent(line) = self.next(&format!("`{command}` in the guest"))? else {
                continue;
            };
            if let Some(status) = line.strip_prefix(&marker) {
                let status =
                    status.parse().map_err(|_| Error::unreadable("an exit status", &line))?;
                return Ok(Output { status, text: text.trim_end_matches('\n').to_owned() });
            }
            text.push_str(&line);
            text.push('\n');
        }
    }

    /// Runs a shell command in the guest that must end with this status, and returns its output.
    pub fn run_to(&mut self, expected: i32, command: &str) -> Result<String, Error> {
        let Output { status, text } = self.run(command)?;
        check_eq!(status, expected, "status of `{command}` in the guest, which said {text}")?;
        Ok(text)
    }

    /// Runs a shell command in the guest that must succeed, and returns its output.
    pub fn run_ok(&mut self, command: &str) -> Result<String, Error> {
        self.run_to(0, command)
    }

    /// Runs a shell command in the guest that must succeed, and returns the bytes that it writes.
    pub fn run_for_bytes(&mut self, command: &str) -> Result<Vec<u8>, Error> {
        let text = self.run_ok(&format!("{command} | base64 -w 0"))?;
        let bytes = BASE64_STANDARD.decode(text.trim());
        bytes.map_err(|error| Error::unreadable("base64", error))
    }

    /// Sends a line to the agent and expects no answer.
    pub fn say(&mut self, text: &str) -> Result<(), Error> {
        let sent = self.agent.write_all(text.as_bytes());
        sent.map_err(|source| Error::File {
            action: "write to",
            path: "the agent's socket".into(),
            source,
        })
    }
}
