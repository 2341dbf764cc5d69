//! QMP: plugging devices, injecting interrupts, asking for state.

mod migration; // a machine written into a file, and read back
mod throttle; // disks that become slow or hang

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, check_eq};
use crate::machine::VIRTIO_MEM;
use crate::machine::deadline::Deadline;

/// `_OST` status "success" (ACPI specification, "_OST (OSPM Status Indication)").
const OST_SUCCESS: i64 = 0;

/// Events that are kept at least. Each is looked at whenever something is waited for.
const KEPT: usize = 1000;

/// `mce CPU BANK STATUS MCG_STATUS ADDRESS MISC`. IA32_MCi_STATUS 0xbd80…0134: valid, not
/// corrected, enabled, with address and miscellany, signaled, action required, a data read of level
/// 0; IA32_MCG_STATUS 0xd: in progress, restartable, for this CPU alone; miscellany 0x8c: a
/// physical address (SDM vol. 3B, "Machine-check architecture").
const MACHINE_CHECK: &str = "mce 0 9 0xbd80000000000134 0xd 0x12345000 0x8c";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Taken,
    Returned,
    /// It will not take it, or not give it back.
    Refused,
}

/// What an event says of the device `id`. A guest that gives a device back reports other statuses
/// on the way, none of which is the end.
fn said_of(id: &str, event: &Value) -> Option<Said> {
    let data = &event["data"];
    match event["event"].as_str()? {
        "ACPI_DEVICE_OST" if data["info"]["device"] == id => {
            (data["info"]["status"] == OST_SUCCESS).then_some(Said::Taken)
        }
        "DEVICE_DELETED" if data["device"] == id => Some(Said::Returned),
        "DEVICE_UNPLUG_GUEST_ERROR" if data["device"] == id => Some(Said::Refused),
        _ => None,
    }
}

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

    /// Plugs in the memory backend `dimm{number}` and waits until the guest has taken it.
    pub fn add_dimm(&mut self, number: u32) -> Result<(), Error> {
        let memdev = format!("dimm{number}");
        self.add_device(
            &format!("plugged-dimm{number}"),
            json!({"driver": "pc-dimm", "memdev": memdev}),
        )
    }

    /// Begins to plug in the memory backend `dimm{number}` at a physical address, as `id`, and does
    /// not wait.
    pub fn begin_dimm(&mut self, id: &str, number: u32, address: u64) -> Result<(), Error> {
        let memdev = format!("dimm{number}");
        self.begin_device(id, json!({"driver": "pc-dimm", "memdev": memdev, "addr": address}))
    }

    /// Begins to plug in the first CPU that is absent yet, as `id`, and does not wait.
    pub fn begin_cpu(&mut self, id: &str) -> Result<(), Error> {
        let device = self.free_cpu()?;
        self.begin_device(id, device)
    }

    /// Asks the guest to give a device back, and does not wait.
    pub fn begin_removal(&mut self, id: &str) -> Result<(), Error> {
        self.execute("device_del", json!({"id": id})).map(drop)
    }

    /// Whether the DIMM of this identifier is plugged in.
    pub fn has_dimm(&mut self, id: &str) -> Result<bool, Error> {
        let devices = self.execute("query-memory-devices", json!({}))?;
        Ok(devices.as_array().into_iter().flatten().any(|device| device["data"]["id"] == id))
    }

    /// What the guest has said of the device last, after waiting for a further event, `pause` at
    /// most.
    pub fn said_of(&mut self, id: &str, pause: Duration) -> Result<Option<Said>, Error> {
        self.read(pause)?;
        // The last word counts: a device that was taken may have been given back.
        Ok(self.seen.iter().rev().find_map(|event| said_of(id, event)))
    }

    /// Plugs in the first CPU that is absent yet and waits until the guest has taken it.
    pub fn add_cpu(&mut self) -> Result<(), Error> {
        let device = self.free_cpu()?;
        self.add_device("plugged-cpu", device)
    }

    /// The first place for a CPU that has none, as arguments of `device_add`.
    fn free_cpu(&mut self) -> Result<Value, Error> {
        let places = self.execute("query-hotpluggable-cpus", json!({}))?;
        // The list is in descending order of the socket; Linux numbers CPUs as they come.
        let mut places = places.as_array().into_iter().flatten().rev();
        let free = places.find(|place| place.get("qom-path").is_none());
        let free = free.ok_or_else(|| Error::Failed("there is no free place for a CPU".into()))?;
        let mut device = free["props"].clone();
        device["driver"] = free["type"].clone();
        Ok(device)
    }

    /// Asks the guest to give the CPU back that was plugged in last; whether it does is for the
    /// guest to say.
    pub fn ask_for_cpu(&mut self) -> Result<(), Error> {
        self.begin_removal("plugged-cpu")
    }

    /// Asks the guest to give a DIMM back; whether it does is for the guest to say.
    pub fn ask_for_dimm(&mut self, number: u32) -> Result<(), Error> {
        self.begin_removal(&format!("plugged-dimm{number}"))
    }

    /// The same, and waits until the guest has given it back.
    pub fn remove_dimm(&mut self, number: u32) -> Result<(), Error> {
        let id = format!("plugged-dimm{number}");
        self.begin_removal(&id)?;
        self.await_event("the guest to give a DIMM back", |event| {
            (said_of(&id, event) == Some(Said::Returned)).then_some(())
        })
    }

    /// Tells the device for virtio-mem how large it shall be, and waits until the guest has made it
    /// so.
    pub fn resize_virtio_mem(&mut self, bytes: u64) -> Result<(), Error> {
        // What it was before may have been the same.
        self.forget("MEMORY_DEVICE_SIZE_CHANGE");
        self.begin_resize(bytes)?;
        self.await_event("the guest to resize virtio-mem", |event| {
            let resized = event["event"] == "MEMORY_DEVICE_SIZE_CHANGE";
            (resized && event["data"]["size"] == bytes).then_some(())
        })
    }

    /// Tells the device for virtio-mem how large it shall be, and does not wait.
    pub fn begin_resize(&mut self, bytes: u64) -> Result<(), Error> {
        let wanted = json!({"path": VIRTIO_MEM, "property": "requested-size", "value": bytes});
        self.execute("qom-set", wanted).map(drop)
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

    /// Plugs in a device and waits for the guest's firmware-level answer, which Linux gives when it
    /// has finished with it.
    fn add_device(&mut self, id: &str, device: Value) -> Result<(), Error> {
        self.begin_device(id, device)?;
        let status = self.await_event("the guest to take the device", |event| {
            let info = &event["data"]["info"];
            info["status"].as_i64().filter(|_| info["device"] == id)
        })?;
        check_eq!(status, OST_SUCCESS, "status that the guest gave for {id}")
    }

    fn begin_device(&mut self, id: &str, mut device: Value) -> Result<(), Error> {
        device["id"] = id.into();
        self.execute("device_add", device).map(drop)
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
