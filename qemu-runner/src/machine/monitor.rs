//! QMP: what the runner asks of a running QEMU, and the events that QEMU reports.

mod devices; // DIMMs, CPUs and virtio-mem that come and go
mod migration; // a machine written into a file, and read back
mod throttle; // disks that become slow or hang

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, check_eq};
use crate::machine::deadline::Deadline;
pub use devices::Said;

/// Events that are kept at least. Each is looked at whenever something is waited for.
const KEPT: usize = 1000;

/// `mce CPU BANK STATUS MCG_STATUS ADDRESS MISC`. IA32_MCi_STATUS 0xbd80…0134: valid, not
/// corrected, enabled, with address and miscellany, signaled, action required, a data read of level
/// 0; IA32_MCG_STATUS 0xd: in progress, restartable, for this CPU alone; miscellany 0x8c: a
/// physical address (SDM vol. 3B, "Machine-check architecture").
const MACHINE_CHECK: &str = "mce 0 9 0xbd80000000000134 0xd 0x12345000 0x8c";

#[derive(Debug)]
pub struct Monitor {
    socket: BufReader<UnixStream>,
    deadline: Deadline,
    /// The last events, as QEMU's qapi/*.json describe them.
    seen: Vec<Value>,
    /// The beginning of a line whose end had not come when the time for it was over.
    partial: Vec<u8>,
}

impl Monitor {
    /// Shakes hands with QEMU on a fresh connection.
    pub fn new(stream: UnixStream, deadline: Deadline) -> Result<Self, Error> {
        let socket = BufReader::new(stream);
        let mut monitor = Self { socket, deadline, seen: Vec::new(), partial: Vec::new() };
        // The greeting comes first, and is no answer.
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Presses keys together on the guest's keyboard.
    pub fn press(&mut self, keys: &str) -> Result<(), Error> {
        let said = self.human(&format!("sendkey {keys}"))?;
        check_eq!(said.trim(), "", "QEMU's answer to keys")
    }

    pub fn inject_nmi(&mut self) -> Result<(), Error> {
        self.execute("inject-nmi", json!({})).map(drop)
    }

    /// Has the first CPU raise a machine check: memory at 0x12345000 had an error that was not
    /// corrected.
    pub fn inject_machine_check(&mut self) -> Result<(), Error> {
        let said = self.human(MACHINE_CHECK)?;
        check_eq!(said.trim(), "", "QEMU's answer to a machine check")
    }

    pub fn all_cpus_halted(&mut self) -> Result<bool, Error> {
        let registers = self.human("info registers -a")?;
        let mut states = registers.split_whitespace().filter(|word| word.starts_with("HLT="));
        let first = states.next();
        Ok(first == Some("HLT=1") && states.all(|state| state == "HLT=1"))
    }

    pub fn instruction_pointer(&mut self) -> Result<u64, Error> {
        let registers = self.human("info registers")?;
        let mut words = registers.split_whitespace();
        words
            .find_map(|word| u64::from_str_radix(word.strip_prefix("RIP=")?, 16).ok())
            .ok_or_else(|| Error::unreadable("the registers that QEMU shows", &registers))
    }

    /// QEMU must have ended because the guest has reset its machine; call it after the console has
    /// ended.
    pub fn expect_reset(&mut self) -> Result<(), Error> {
        let reason = self.await_event("the reason of the shutdown", |event| {
            let reason = event["data"]["reason"].as_str().map(str::to_owned);
            reason.filter(|_| event["event"] == "SHUTDOWN")
        })?;
        check_eq!(reason, "guest-reset", "how the machine ended")
    }

    /// Reads every event that a QEMU that has ended has left.
    pub fn read_to_end(&mut self) {
        // The end is an error.
        while self.read_until_deadline("the last event").is_ok() {}
    }

    /// How often the guest has signaled that it panicked and enters its capture kernel, as far as
    /// events were read.
    pub fn crash_loaded(&self) -> usize {
        self.seen.iter().filter(|event| event["event"] == "GUEST_CRASHLOADED").count()
    }

    /// How often a watchdog has reset the machine, as far as events were read.
    pub fn watchdog_resets(&self) -> usize {
        self.seen.iter().filter(|event| event["event"] == "WATCHDOG").count()
    }

    /// Reads one byte from an I/O port of the guest.
    pub fn read_port(&mut self, port: u16) -> Result<u8, Error> {
        let said = self.human(&format!("i /bx {port:#x}"))?;
        // `portb[0x0ca3] = 0x1`.
        let byte =
            said.split_once("= 0x").and_then(|(_, hex)| u8::from_str_radix(hex.trim(), 16).ok());
        byte.ok_or_else(|| Error::unreadable("the port that QEMU shows", &said))
    }

    /// Writes one byte to an I/O port of the guest.
    pub fn write_port(&mut self, port: u16, byte: u8) -> Result<(), Error> {
        let said = self.human(&format!("o /b {port:#x} {byte:#x}"))?;
        check_eq!(said.trim(), "", "QEMU's answer to a write to a port")
    }

    /// From now on a reset starts the machine again, with the memory that it has, instead of ending
    /// QEMU.
    pub fn survive_resets(&mut self) -> Result<(), Error> {
        self.execute("set-action", json!({"reboot": "reset"})).map(drop)
    }

    /// The guest hangs until [`Self::go_on`].
    pub fn stop(&mut self) -> Result<(), Error> {
        self.execute("stop", json!({})).map(drop)
    }

    /// Writes `len` bytes of the guest's physical memory from `start` into a file.
    pub fn save_memory(&mut self, start: u64, len: u64, path: &Path) -> Result<(), Error> {
        let arguments = json!({"val": start, "size": len, "filename": path});
        self.execute("pmemsave", arguments).map(drop)
    }

    /// Resets the machine.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.forget("RESET");
        self.execute("system_reset", json!({}))?;
        self.await_event("the reset", |event| (event["event"] == "RESET").then_some(()))
    }

    /// What QEMU's monitor for people answers. Its questions are about the first CPU.
    fn human(&mut self, command: &str) -> Result<String, Error> {
        let said = self.execute("human-monitor-command", json!({"command-line": command}))?;
        Ok(said.as_str().unwrap_or_default().to_owned())
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Host(format!("QMP {command}: {error}"));
        let line = json!({"execute": command, "arguments": arguments}).to_string();
        self.socket.get_mut().write_all(line.as_bytes()).map_err(|error| failed(&error))?;
        loop {
            match self.read_until_deadline(command)? {
                Value::Object(mut line) if line.contains_key("return") => {
                    return Ok(line["return"].take());
                }
                line if line.get("error").is_some() => return Err(failed(&line["error"]["desc"])),
                _ => {}
            }
        }
    }

    /// The first event, past or to come, that `wanted` recognises.
    fn await_event<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, Error> {
        loop {
            if let Some(found) = self.seen.iter().find_map(&wanted) {
                return Ok(found);
            }
            self.read_until_deadline(what)?;
        }
    }

    /// Earlier events of this name count no more.
    fn forget(&mut self, name: &str) {
        self.seen.retain(|event| event["event"] != name);
    }

    fn read_until_deadline(&mut self, what: &str) -> Result<Value, Error> {
        let late = || Error::Host(format!("QMP: no time is left for {what}"));
        let left = self.deadline.left().ok_or_else(late)?;
        self.read(left)?.ok_or_else(late)
    }

    /// The next line, or nothing if none comes within `pause`. Events are kept as well.
    fn read(&mut self, pause: Duration) -> Result<Option<Value>, Error> {
        let failed = |error: std::io::Error| Error::Host(format!("QMP: cannot read: {error}"));
        self.socket.get_ref().set_read_timeout(Some(pause)).map_err(failed)?;
        match self.socket.read_until(b'\n', &mut self.partial) {
            // What has come of the line stays in `partial`.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(None);
            }
            result => result.map_err(failed)?,
        };
        let line: Value = serde_json::from_slice(&std::mem::take(&mut self.partial))
            .map_err(|error| failed(error.into()))?;
        if line.get("event").is_some() {
            if self.seen.len() == 2 * KEPT {
                self.seen.drain(..KEPT);
            }
            self.seen.push(line.clone());
        }
        Ok(Some(line))
    }
}
