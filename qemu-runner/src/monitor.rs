//! QMP: plugging, injecting, asking.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;

use qapi::qmp::{self, Event, ShutdownCause};
use qapi::{Command, ExecuteError, Qmp, Stream};
use serde_json::json;

use crate::deadline::Deadline;
use crate::error::Error;

/// `_OST` status "success" (ACPI specification, "_OST (OSPM Status Indication)").
const OST_SUCCESS: i64 = 0;

/// A connection to QEMU's monitor.
pub struct Monitor {
    qmp: Qmp<Stream<BufReader<UnixStream>, UnixStream>>,
    deadline: Deadline,
    seen: Vec<Event>,
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
        let mut monitor = Self { qmp: Qmp::new(Stream::new(reader, stream)), deadline, seen: Vec::new() };
        monitor.limit()?;
        monitor.qmp.handshake().map_err(|source| Error::Monitor { command: "handshake".into(), source })?;
        Ok(monitor)
    }

    /// Plugs in the memory backend `dimm{number}` and waits until the guest has taken it.
    pub fn add_dimm(&mut self, number: u32) -> Result<(), Error> {
        let arguments = json!({ "memdev": format!("dimm{number}") });
        self.add_device("pc-dimm", &format!("plugged-dimm{number}"), arguments)
    }

    /// Plugs in the first CPU that is not there yet and waits until the guest has taken it.
    pub fn add_cpu(&mut self) -> Result<(), Error> {
        let places = self.execute(qmp::query_hotpluggable_cpus {})?;
        // The list is in descending order of the socket; Linux numbers CPUs as they come.
        let free = places.into_iter().rev().find(|place| place.qom_path.is_none());
        let place = free.ok_or_else(|| Error::Check {
            what: "places for CPUs".into(),
            expected: "a free one".into(),
            found: "none".into(),
        })?;
        let arguments = serde_json::to_value(&place.props).expect("QMP types are JSON");
        self.add_device(&place.type_, "plugged-cpu", arguments)
    }

    /// Asks the guest to give the CPU back that was plugged in last; whether it does is for the guest to say.
    pub fn ask_for_cpu(&mut self) -> Result<(), Error> {
        self.execute(qmp::device_del { id: "plugged-cpu".into() }).map(drop)
    }

    /// Asks the guest to give a DIMM back; whether it does is for the guest to say.
    pub fn ask_for_dimm(&mut self, number: u32) -> Result<(), Error> {
        self.execute(qmp::device_del { id: format!("plugged-dimm{number}") }).map(drop)
    }

    /// Injects a non-maskable interrupt into every CPU.
    pub fn inject_nmi(&mut self) -> Result<(), Error> {
        self.execute(qmp::inject_nmi {}).map(drop)
    }

    /// Whether every CPU stands in HLT.
    pub fn all_cpus_halted(&mut self) -> Result<bool, Error> {
        let registers = self.execute(qmp::human_monitor_command { cpu_index: None, command_line: "info registers -a".into() })?;
        let states: Vec<_> = registers.split_whitespace().filter(|word| word.starts_with("HLT=")).collect();
        Ok(!states.is_empty() && states.iter().all(|state| *state == "HLT=1"))
    }

    /// Where the first CPU is.
    pub fn instruction_pointer(&mut self) -> Result<u64, Error> {
        let registers = self.execute(qmp::human_monitor_command { cpu_index: Some(0), command_line: "info registers".into() })?;
        let rip = registers.split_whitespace().find_map(|word| u64::from_str_radix(word.strip_prefix("RIP=")?, 16).ok());
        rip.ok_or_else(|| Error::Unintelligible { what: "the registers that QEMU shows", text: registers.clone() })
    }

    /// Why QEMU has ended; call it after the console has.
    pub fn shutdown_cause(&mut self) -> Result<ShutdownCause, Error> {
        self.await_event("the reason of the shutdown", |event| match event {
            Event::SHUTDOWN { data, .. } => Some(data.reason),
            _ => None,
        })
    }

    /// Plugs in a device and waits for the guest's firmware-level answer, which Linux gives when it has finished with it.
    fn add_device(&mut self, driver: &str, id: &str, arguments: serde_json::Value) -> Result<(), Error> {
        let serde_json::Value::Object(arguments) = arguments else { unreachable!("arguments are an object") };
        let arguments = arguments.into_iter().collect();
        self.execute(qmp::device_add { driver: driver.to_owned(), bus: None, id: Some(id.to_owned()), arguments })?;
        let status = self.await_event("the guest to take the device", |event| match event {
            Event::ACPI_DEVICE_OST { data, .. } if data.info.device.as_deref() == Some(id) => Some(data.info.status),
            _ => None,
        })?;
        crate::error::check_eq(format!("status that the guest gave for {id}"), &status, &OST_SUCCESS)
    }

    fn execute<C: Command>(&mut self, command: C) -> Result<C::Ok, Error> {
        self.limit()?;
        let result = self.qmp.execute(&command);
        self.seen.extend(self.qmp.events());
        result.map_err(|source| Error::Monitor { command: C::NAME.into(), source })
    }

    /// The first event, past or to come, that `wanted` recognises.
    fn await_event<T>(&mut self, what: &'static str, wanted: impl Fn(&Event) -> Option<T>) -> Result<T, Error> {
        loop {
            if let Some(found) = self.seen.iter().find_map(&wanted) {
                return Ok(found);
            }
            self.limit()?;
            let failed = |source| Error::MonitorSocket { action: what, source };
            let mut line = String::new();
            let count = self.qmp.inner_mut().get_mut_read().read_line(&mut line).map_err(failed)?;
            if count == 0 {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
            // Events that this version of the schema does not know are of no concern.
            if let Ok(event) = serde_json::from_str(&line) {
                self.seen.push(event);
            }
        }
    }

    /// The next read may last until the deadline.
    fn limit(&mut self) -> Result<(), Error> {
        let timeout = || ExecuteError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let Some(left) = self.deadline.left() else {
            return Err(Error::Monitor { command: "any command within the deadline".into(), source: timeout() });
        };
        let stream = self.qmp.inner().get_ref_write();
        stream.set_read_timeout(Some(left)).map_err(|source| Error::MonitorSocket { action: "set the timeout", source })
    }
}
