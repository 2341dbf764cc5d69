//! The event log of the machine's management controller, read through QEMU's monitor.
//!
//! *On entry*: no program in the guest uses the controller. Debian's cloud kernels have no driver
//! for it.

use handoff::Verdict;
use purgatory::black_box::ipmi;

use super::KCS_PORT;
use super::vm::Vm;
use crate::error::{Error, check, check_eq};

/// Get SEL Entry (IPMI v2.0, section 31.5).
const GET_SEL_ENTRY: u8 = 0x43;
/// In its request: the newest entry, from its first byte, all of it.
const NEWEST: [u8; 6] = [0, 0, 0xff, 0xff, 0, 0xff];
/// Bytes of an entry (table 32-1).
const SEL_ENTRY_LEN: usize = 16;
/// Bytes of its response before the entry: function, command, completion code, next id.
const RESPONSE_TO_ENTRY: usize = 5;
/// Bytes of Add SEL Entry before the entry: function, command.
const REQUEST_TO_ENTRY: usize = 2;

/// The newest entry of the event log must be the purgatory's, for this verdict.
pub fn expect_newest_entry(vm: &mut Vm, verdict: Verdict) -> Result<(), Error> {
    let added = ipmi::entry(verdict);
    let request = [&[added[0], GET_SEL_ENTRY][..], &NEWEST].concat();
    let mut response = [0; RESPONSE_TO_ENTRY + SEL_ENTRY_LEN];
    let mut controller = Controller { vm, failure: None };
    let answered = ipmi::transact(&mut controller, &request, &mut response);
    if let Some(error) = controller.failure {
        return Err(error);
    }
    check!(answered.is_ok(), "the management controller does not answer")?;
    // Without the id and the timestamp, which the controller has set.
    let own = |entry: &[u8]| [&entry[2..3], &entry[7..]].concat();
    let (found, wanted) = (own(&response[RESPONSE_TO_ENTRY..]), own(&added[REQUEST_TO_ENTRY..]));
    check_eq!(found, wanted, "newest entry of the event log")
}

/// The management controller, through QEMU's monitor.
struct Controller<'a> {
    vm: &'a mut Vm,
    failure: Option<Error>,
}

impl Controller<'_> {
    fn read_port(&mut self, port: u16) -> u8 {
        self.vm.monitor.read_port(port).unwrap_or_else(|error| {
            self.failure = Some(error);
            0xff
        })
    }

    fn write_port(&mut self, port: u16, byte: u8) {
        if let Err(error) = self.vm.monitor.write_port(port, byte) {
            self.failure = Some(error);
        }
    }
}

impl ipmi::Ports for Controller<'_> {
    fn status(&mut self) -> u8 {
        self.read_port(KCS_PORT + 1)
    }

    fn read(&mut self) -> u8 {
        self.read_port(KCS_PORT)
    }

    fn control(&mut self, code: u8) {
        self.write_port(KCS_PORT + 1, code);
    }

    fn write(&mut self, byte: u8) {
        self.write_port(KCS_PORT, byte);
    }

    fn expired(&mut self) -> bool {
        self.failure.is_some() || self.vm.deadline.left().is_none()
    }
}
