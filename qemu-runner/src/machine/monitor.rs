//! QMP: plugging devices, injecting interrupts, asking for state.

mod migration; // a machine written into a file, and read back

use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use qapi::qmp::{self, Event, ShutdownCause};
use qapi::{Command, ExecuteError, Qmp, Stream};
use serde_json::json;

use crate::error::Error;
use crate::machine::VIRTIO_MEM;
use crate::machine::deadline::Deadline;

/// `_OST` status "success" (ACPI specification, "_OST (OSPM Status Indication)").
const OST_SUCCESS: i64 = 0;

/// `mce CPU BANK STATUS MCG_STATUS ADDRESS MISC`. IA32_MCi_STATUS 0xbd80…0134: valid, not
/// corrected, enabled, with address and miscellany, signaled, action required, a data read of level
/// 0; IA32_MCG_STATUS 0xd: in progress, restartable, for this CPU alone; miscellany 0x8c: a
/// physical address (SDM vol. 3B, "Machine-check architecture").
const MACHINE_CHECK: &str = "mce 0 9 0xbd80000000000134 0xd 0x12345000 0x8c";

/// What a guest says of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It has taken it.
    Taken,
    /// It has given it back.
    Returned,
    /// It will not take it, or not give it back.
    Refused,
}

/// What an event says of the device `id`. A guest that gives a device back says so on its way with
/// other statuses, none of which is the end.
fn said_of(id: &str, event: &Event) -> Option<Said> {
    match event {
        Event::ACPI_DEVICE_OST { data, .. }
            if data.info.device.as_deref() == Some(id) && data.info.status == OST_SUCCESS =>
        {
            Some(Said::Taken)
        }
        Event::DEVICE_DELETED { data, .. } if data.device.as_deref() == Some(id) => {
            Some(Said::Returned)
        }
        Event::DEVICE_UNPLUG_GUEST_ERROR { data, .. } if data.device.as_deref() == Some(id) => {
            Some(Said::Refused)
        }
        _ => None,
    }
}

/// A connection to QEMU's monitor.
pub struct Monitor {
    qmp: Qmp<Stream<BufReader<UnixStream>, UnixStream>>,
    deadline: Deadline,
    seen: Vec<Event>,
    /// The beginning of a line whose end had not come when the time for it was over.
    partial: Vec<u8>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Monitor").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Monitor {
    /// Shakes hands with QEMU on a fresh connection.
    pub fn new(stream: UnixStream, deadline: Deadline) -> Result<Self, Error> {
        let failed = |source| Error::MonitorSocket { action: "share", source };
        let reader = BufReader::new(stream.try_clone().map_err(failed)?);
        let mut monitor = Self {
            qmp: Qmp::new(Stream::new(reader, stream)),
            deadline,
            seen: Vec::new(),
            partial: Vec::new(),
        };
        monitor.limit()?;
        monitor
            .qmp
            .handshake()
            .map_err(|source| Error::Monitor { command: "handshake".into(), source })?;
        Ok(monitor)
    }

    /// Plugs in the memory backend `dimm{number}` and waits until the guest has taken it.
    pub fn add_dimm(&mut self, number: u32) -> Result<(), Error> {
        let arguments = json!({ "memdev": format!("dimm{number}") });
        self.add_device("pc-dimm", &format!("plugged-dimm{number}"), arguments)
    }

    /// Begins to plug in the memory backend `dimm{number}` at a physical address, as `id`, and does
    /// not wait.
    pub fn begin_dimm(&mut self, id: &str, number: u32, address: u64) -> Result<(), Error> {
        let arguments = json!({ "memdev": format!("dimm{number}"), "addr": address });
        self.begin_device("pc-dimm", id, arguments)
    }

    /// Begins to plug in the first CPU that is absent yet, as `id`, and does not wait.
    pub fn begin_cpu(&mut self, id: &str) -> Result<(), Error> {
        let (driver, arguments) = self.free_cpu()?;
        self.begin_device(&driver, id, arguments)
    }

    /// Asks the guest to give a device back, and does not wait.
    pub fn begin_removal(&mut self, id: &str) -> Result<(), Error> {
        self.execute(qmp::device_del { id: id.to_owned() }).map(drop)
    }

    /// What the guest has said of the device last, after waiting for a further event, `pause` at
    /// most.
    pub fn said_of(&mut self, id: &str, pause: Duration) -> Result<Option<Said>, Error> {
        self.read_event_within(pause)?;
        // The last word counts: a device that was taken may have been given back.
        Ok(self.seen.iter().rev().find_map(|event| said_of(id, event)))
    }

    /// Plugs in the first CPU that is absent yet and waits until the guest has taken it.
    pub fn add_cpu(&mut self) -> Result<(), Error> {
        let (driver, arguments) = self.free_cpu()?;
        self.add_device(&driver, "plugged-cpu", arguments)
    }

    /// The first place for a CPU that has none, as driver and arguments.
    fn free_cpu(&mut self) -> Result<(String, serde_json::Value), Error> {
        let places = self.execute(qmp::query_hotpluggable_cpus {})?;
        // The list is in descending order of the socket; Linux numbers CPUs as they come.
        let free = places.into_iter().rev().find(|place| place.qom_path.is_none());
        let place = free.ok_or_else(|| Error::Check {
            what: "places for CPUs".into(),
            expected: "a free one".into(),
            found: "none".into(),
        })?;
        Ok((place.type_.clone(), serde_json::to_value(&place.props).expect("QMP types are JSON")))
    }

    /// Asks the guest to give the CPU back that was plugged in last; whether it does is for the
    /// guest to say.
    pub fn ask_for_cpu(&mut self) -> Result<(), Error> {
        self.execute(qmp::device_del { id: "plugged-cpu".into() }).map(drop)
    }

    /// Asks the guest to give a DIMM back; whether it does is for the guest to say.
    pub fn ask_for_dimm(&mut self, number: u32) -> Result<(), Error> {
        self.execute(qmp::device_del { id: format!("plugged-dimm{number}") }).map(drop)
    }

    /// Tells the device for virtio-mem how large it shall be, and waits until the guest has made it
    /// so.
    pub fn resize_virtio_mem(&mut self, bytes: u64) -> Result<(), Error> {
        // What it was before may have been the same.
        self.seen.retain(|event| !matches!(event, Event::MEMORY_DEVICE_SIZE_CHANGE { .. }));
        let (path, property) = (VIRTIO_MEM.to_owned(), "requested-size".to_owned());
        self.execute(qmp::qom_set { path, property, value: bytes.into() })?;
        self.await_event("the guest to resize virtio-mem", |event| match event {
            Event::MEMORY_DEVICE_SIZE_CHANGE { data, .. } if data.size == bytes => Some(()),
            _ => None,
        })
    }

    /// Injects a non-maskable interrupt into every CPU.
    pub fn inject_nmi(&mut self) -> Result<(), Error> {
        self.execute(qmp::inject_nmi {}).map(drop)
    }

    /// Has the first CPU raise a machine check: memory at 0x12345000 had an error that was not
    /// corrected.
    pub fn inject_machine_check(&mut self) -> Result<(), Error> {
        let said = self.execute(qmp::human_monitor_command {
            cpu_index: None,
            command_line: MACHINE_CHECK.into(),
        })?;
        crate::error::check_eq("QEMU's answer to a machine check", &said.trim(), &"")
    }

    /// Whether every CPU is halted.
    pub fn all_cpus_halted(&mut self) -> Result<bool, Error> {
        let registers = self.execute(qmp::human_monitor_command {
            cpu_index: None,
            command_line: "info registers -a".into(),
        })?;
        let states: Vec<_> =
            registers.split_whitespace().filter(|word| word.starts_with("HLT=")).collect();
        Ok(!states.is_empty() && states.iter().all(|state| *state == "HLT=1"))
    }

    /// Where the first CPU is.
    pub fn instruction_pointer(&mut self) -> Result<u64, Error> {
        let registers = self.execute(qmp::human_monitor_command {
            cpu_index: Some(0),
            command_line: "info registers".into(),
        })?;
        let rip = registers
            .split_whitespace()
            .find_map(|word| u64::from_str_radix(word.strip_prefix("RIP=")?, 16).ok());
        rip.ok_or_else(|| Error::Unintelligible {
            what: "the registers that QEMU shows",
            text: registers.clone(),
        })
    }

    /// Reads every event that a QEMU that has ended has left.
    pub fn read_to_end(&mut self) {
        // The end is an error.
        while self.limit().is_ok() && self.read_event("the last event").is_ok() {}
    }

    /// How often the guest has signaled that it panicked and enters its capture kernel, as far as
    /// events were read.
    pub fn crash_loaded(&self) -> usize {
        self.seen.iter().filter(|event| matches!(event, Event::GUEST_CRASHLOADED { .. })).count()
    }

    /// Reads one byte from an I/O port of the guest.
    pub fn read_port(&mut self, port: u16) -> Result<u8, Error> {
        let said = self.execute(qmp::human_monitor_command {
            cpu_index: None,
            command_line: format!("i /bx {port:#x}"),
        })?;
        // `portb[0x0ca3] = 0x1`.
        let byte =
            said.split_once("= 0x").and_then(|(_, hex)| u8::from_str_radix(hex.trim(), 16).ok());
        byte.ok_or(Error::Unintelligible { what: "the port that QEMU shows", text: said })
    }

    /// Writes one byte to an I/O port of the guest.
    pub fn write_port(&mut self, port: u16, byte: u8) -> Result<(), Error> {
        let said = self.execute(qmp::human_monitor_command {
            cpu_index: None,
            command_line: format!("o /b {port:#x} {byte:#x}"),
        })?;
        crate::error::check_eq("QEMU's answer to a write to a port", &said.trim(), &"")
    }

    /// Why QEMU has ended; call it after the console has.
    pub fn shutdown_cause(&mut self) -> Result<ShutdownCause, Error> {
        self.await_event("the reason of the shutdown", |event| match event {
            Event::SHUTDOWN { data, .. } => Some(data.reason),
            _ => None,
        })
    }

    /// Plugs in a device and waits for the guest's firmware-level answer, which Linux gives when it
    /// has finished with it.
    fn add_device(
        &mut self,
        driver: &str,
        id: &str,
        arguments: serde_json::Value,
    ) -> Result<(), Error> {
        self.begin_device(driver, id, arguments)?;
        let status = self.await_event("the guest to take the device", |event| match event {
            Event::ACPI_DEVICE_OST { data, .. } if data.info.device.as_deref() == Some(id) => {
                Some(data.info.status)
            }
            _ => None,
        })?;
        crate::error::check_eq(
            format!("status that the guest gave for {id}"),
            &status,
            &OST_SUCCESS,
        )
    }

    fn begin_device(
        &mut self,
        driver: &str,
        id: &str,
        arguments: serde_json::Value,
    ) -> Result<(), Error> {
        let serde_json::Value::Object(arguments) = arguments else {
            unreachable!("arguments are an object")
        };
        let arguments = arguments.into_iter().collect();
        self.execute(qmp::device_add {
            driver: driver.to_owned(),
            bus: None,
            id: Some(id.to_owned()),
            arguments,
        })
        .map(drop)
    }

    fn execute<C: Command>(&mut self, command: C) -> Result<C::Ok, Error> {
        self.limit()?;
        if !self.partial.is_empty() {
            // Its end must not be taken for the answer.
            self.read_event("the end of a line")?;
        }
        let result = self.qmp.execute(&command);
        self.seen.extend(self.qmp.events());
        result.map_err(|source| Error::Monitor { command: C::NAME.into(), source })
    }

    /// The first event, past or to come, that `wanted` recognises.
    fn await_event<T>(
        &mut self,
        what: &'static str,
        wanted: impl Fn(&Event) -> Option<T>,
    ) -> Result<T, Error> {
        loop {
            if let Some(found) = self.seen.iter().find_map(&wanted) {
                return Ok(found);
            }
            self.limit()?;
            self.read_event(what)?;
        }
    }

    /// Reads an event, or nothing if none comes within `pause`.
    fn read_event_within(&mut self, pause: Duration) -> Result<(), Error> {
        let stream = self.qmp.inner().get_ref_write();
        stream
            .set_read_timeout(Some(pause))
            .map_err(|source| Error::MonitorSocket { action: "set the timeout", source })?;
        match self.read_event("an event") {
            // What has come of the line stays in `partial`.
            Err(Error::MonitorSocket { source, .. })
                if matches!(source.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                Ok(())
            }
            result => result,
        }
    }

    /// Reads a line and remembers the event in it.
    fn read_event(&mut self, what: &'static str) -> Result<(), Error> {
        let failed = |source| Error::MonitorSocket { action: what, source };
        self.qmp.inner_mut().get_mut_read().read_until(b'\n', &mut self.partial).map_err(failed)?;
        let line = std::mem::take(&mut self.partial);
        if !line.ends_with(b"\n") {
            return Err(failed(ErrorKind::UnexpectedEof.into()));
        }
        // Events that this version of the schema does not know are of no concern.
        if let Ok(event) = serde_json::from_slice(&line) {
            self.seen.push(event);
        }
        Ok(())
    }

    /// The next read may last until the deadline.
    fn limit(&mut self) -> Result<(), Error> {
        let timeout = || ExecuteError::from(std::io::Error::from(ErrorKind::TimedOut));
        let Some(left) = self.deadline.left() else {
            return Err(Error::Monitor {
                command: "any command within the deadline".into(),
                source: timeout(),
            });
        };
        let stream = self.qmp.inner().get_ref_write();
        stream
            .set_read_timeout(Some(left))
            .map_err(|source| Error::MonitorSocket { action: "set the timeout", source })
    }
}
