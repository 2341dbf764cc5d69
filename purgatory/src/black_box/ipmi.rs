//! `[8]` A line in the system event log of the management controller, through a KCS interface
//! (IPMI v2.0, chapter 9).
//!
//! *On entry*: Linux may have left a transaction unfinished.
//!
//! *On exit*: the controller has taken the entry, or was given up in bounded time.

use handoff::Verdict;

/// Status: data from the controller can be read.
const OBF: u8 = 1 << 0;
/// Status: data for the controller was not read yet.
const IBF: u8 = 1 << 1;
/// Status: the bits of the state.
const STATE: u8 = 0b11 << 6;
const STATE_IDLE: u8 = 0b00 << 6;
const STATE_READ: u8 = 0b01 << 6;
const STATE_WRITE: u8 = 0b10 << 6;

/// Control codes (table 9-4).
const ABORT: u8 = 0x60;
const WRITE_START: u8 = 0x61;
const WRITE_END: u8 = 0x62;
const READ: u8 = 0x68;

/// Add SEL Entry: network function "Storage" for LUN 0, then the command (section 31.6).
const ADD_SEL_ENTRY: [u8; 2] = [0x0a << 2, 0x44];
/// A completion code: the command was executed.
const COMPLETED: u8 = 0;
/// A response begins with the network function and the command; the completion code follows.
const COMPLETION_CODE_AT: usize = 2;
/// Tries, each after an abort but the first.
const TRIES: u32 = 3;

/// The registers of a KCS interface, and a deadline.
pub trait Ports {
    /// Reads the status register.
    fn status(&mut self) -> u8;
    /// Reads data out.
    fn read(&mut self) -> u8;
    /// Writes a control code.
    fn control(&mut self, code: u8);
    /// Writes data in.
    fn write(&mut self, byte: u8);
    /// Whether the time for all of it is over.
    fn expired(&mut self) -> bool;
}

/// The controller broke the protocol, or did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// The entry: a run-time critical stop, with the verdict's number (table 32-1, "SEL event
/// records").
pub fn entry(verdict: Verdict) -> [u8; 18] {
    /// Record id and timestamp: the controller sets them.
    const SET_BY_CONTROLLER: u8 = 0;
    /// A system event.
    const RECORD_TYPE: u8 = 0x02;
    /// Generator: system software with id 0x20, as Linux names itself (`send_panic_events`,
    /// drivers/char/ipmi/ipmi_msghandler.c).
    const GENERATOR: [u8; 2] = [0x41, 0];
    /// The format of the event in IPMI v1.5 and v2.0.
    const EVENT_REVISION: u8 = 0x04;
    /// OS Critical Stop (table 42-3).
    const SENSOR_TYPE: u8 = 0x20;
    const SENSOR_NUMBER: u8 = 0;
    /// Asserted, with offsets of its own kind of sensor (table 42-1).
    const EVENT_TYPE: u8 = 0x6f;
    /// Run-time critical stop; byte 2 is ours, byte 3 is unspecified.
    const EVENT_DATA_1: u8 = 0b10 << 6 | 0x01;
    const UNSPECIFIED: u8 = 0xff;
    const T: u8 = SET_BY_CONTROLLER;
    let [function, command] = ADD_SEL_ENTRY;
    let [software, channel] = GENERATOR;
    [
        function,
        command,
        T,
        T,
        RECORD_TYPE,
        T,
        T,
        T,
        T,
        software,
        channel,
        EVENT_REVISION,
        SENSOR_TYPE,
        SENSOR_NUMBER,
        EVENT_TYPE,
        EVENT_DATA_1,
        verdict as u32 as u8,
        UNSPECIFIED,
    ]
}

/// Adds the entry to the event log.
pub fn add_entry(ports: &mut impl Ports, verdict: Verdict) -> Result<(), NoAnswer> {
    let mut response = [0; COMPLETION_CODE_AT + 1];
    transact(ports, &entry(verdict), &mut response)?;
    ensure(response == [ADD_SEL_ENTRY[0] | 1 << 2, ADD_SEL_ENTRY[1], COMPLETED])
}

/// Sends a request and reads the response. Bytes that do not fit `response` are
/// dropped.
pub fn transact(
    ports: &mut impl Ports,
    request: &[u8],
    response: &mut [u8],
) -> Result<(), NoAnswer> {
    // A state that is not idle is an unfinished transaction.
    let mut abort_first = ports.status() & STATE != STATE_IDLE;
    for _ in 0..TRIES {
        if abort_first && abort(ports).is_err() {
            continue;
        }
        if send(ports, request).is_ok() {
            // Not sent again if the response is missing: the entry may be in the log.
            return receive(ports, response);
        }
        abort_first = true;
    }
    Err(NoAnswer)
}

/// Sends all bytes of a request (figure 9-6).
fn send(ports: &mut impl Ports, request: &[u8]) -> Result<(), NoAnswer> {
    let (last, before) = request.split_last().ok_or(NoAnswer)?;
    await_status(ports, IBF, 0)?;
    control(ports, WRITE_START)?;
    for &byte in before {
        ports.write(byte);
        await_taken(ports, STATE_WRITE)?;
    }
    control(ports, WRITE_END)?;
    ports.write(*last);
    Ok(())
}

/// Reads a response to its end (figure 9-7).
fn receive(ports: &mut impl Ports, response: &mut [u8]) -> Result<(), NoAnswer> {
    let mut at = 0;
    loop {
        let status = await_status(ports, IBF, 0)?;
        let state = status & STATE;
        ensure(state == STATE_READ || state == STATE_IDLE)?;
        await_status(ports, OBF, OBF)?;
        let byte = ports.read();
        if state == STATE_IDLE {
            return Ok(());
        }
        if let Some(room) = response.get_mut(at) {
            *room = byte;
        }
        at += 1;
        ports.write(READ);
        // A controller that never stops sending would not be waited for anywhere else.
        ensure(!ports.expired())?;
    }
}

/// Ends whatever transaction there is (figure 9-8). The controller answers with a status byte.
fn abort(ports: &mut impl Ports) -> Result<(), NoAnswer> {
    await_status(ports, IBF, 0)?;
    ports.control(ABORT);
    await_status(ports, IBF, 0)?;
    clear_output(ports);
    ports.write(0);
    receive(ports, &mut [])
}

/// Writes a control code that begins or continues a write.
fn control(ports: &mut impl Ports, code: u8) -> Result<(), NoAnswer> {
    ports.control(code);
    await_taken(ports, STATE_WRITE)
}

/// Waits until the controller has read what was written, in the expected state.
fn await_taken(ports: &mut impl Ports, expected: u8) -> Result<(), NoAnswer> {
    let status = await_status(ports, IBF, 0)?;
    ensure(status & STATE == expected)?;
    clear_output(ports);
    Ok(())
}

/// Reads what the controller left, which nothing waits for.
fn clear_output(ports: &mut impl Ports) {
    if ports.status() & OBF != 0 {
        ports.read();
    }
}

/// Polls the status until `bit` is as `wanted`.
fn await_status(ports: &mut impl Ports, bit: u8, wanted: u8) -> Result<u8, NoAnswer> {
    loop {
        let status = ports.status();
        if status & bit == wanted {
            return Ok(status);
        }
        if ports.expired() {
            return Err(NoAnswer);
        }
    }
}

fn ensure(condition: bool) -> Result<(), NoAnswer> {
    condition.then_some(()).ok_or(NoAnswer)
}

#[cfg(test)]
mod tests;
