//! A controller as IPMI v2.0 describes it, and controllers that do not answer as they must.

extern crate std;
use std::vec::Vec;

use super::*;

const STATE_ERROR: u8 = 0b11 << 6;

/// What the controller does with a request.
type Answer = fn(&[u8]) -> Vec<u8>;

/// A controller with a KCS interface (section 9.11).
struct Controller {
    state: u8,
    request: Vec<u8>,
    last_byte_follows: bool,
    /// Bytes to be read, and those that are left.
    response: Vec<u8>,
    output: Option<u8>,
    answer: Answer,
    added: Vec<Vec<u8>>,
    aborts: u32,
    /// Polls until the time is over.
    patience: u32,
}

impl Controller {
    fn new(state: u8, answer: Answer) -> Self {
        Self {
            state,
            request: Vec::new(),
            last_byte_follows: false,
            response: Vec::new(),
            output: None,
            answer,
            added: Vec::new(),
            aborts: 0,
            patience: 1000,
        }
    }

    fn next_output(&mut self) {
        if self.response.is_empty() {
            self.state = STATE_IDLE;
            self.output = Some(0);
        } else {
            self.state = STATE_READ;
            self.output = Some(self.response.remove(0));
        }
    }
}

impl Ports for Controller {
    fn status(&mut self) -> u8 {
        self.state | if self.output.is_some() { OBF } else { 0 }
    }

    fn read(&mut self) -> u8 {
        self.output.take().unwrap_or(0xee)
    }

    fn control(&mut self, code: u8) {
        match code {
            WRITE_START if self.state == STATE_IDLE => {
                self.state = STATE_WRITE;
                self.request.clear();
                // Nothing waits for it.
                self.output = Some(0);
            }
            WRITE_END if self.state == STATE_WRITE => self.last_byte_follows = true,
            ABORT => {
                self.aborts += 1;
                self.response = std::vec![0x01];
                self.last_byte_follows = false;
                self.state = STATE_WRITE;
                self.request.clear();
                self.output = None;
            }
            _ => self.state = STATE_ERROR,
        }
    }

    fn write(&mut self, byte: u8) {
        match self.state {
            STATE_WRITE if self.request.is_empty() && !self.response.is_empty() => {
                self.next_output() // after an abort
            }
            STATE_WRITE => {
                self.request.push(byte);
                if self.last_byte_follows {
                    self.last_byte_follows = false;
                    self.added.push(self.request.clone());
                    self.response = (self.answer)(&self.request);
                    self.next_output();
                }
            }
            STATE_READ if byte == READ => self.next_output(),
            _ => self.state = STATE_ERROR,
        }
    }

    fn expired(&mut self) -> bool {
        self.patience = self.patience.saturating_sub(1);
        self.patience == 0
    }
}

fn takes(_: &[u8]) -> Vec<u8> {
    std::vec![ADD_SEL_ENTRY[0] | 4, ADD_SEL_ENTRY[1], COMPLETED, 0x07, 0x00]
}

#[test]
fn entry_names_the_verdict_in_a_critical_stop() {
    let entry = entry(Verdict::SegmentCorrupt);
    assert_eq!(entry[..2], [0x28, 0x44]);
    assert_eq!(entry[4], 0x02);
    assert_eq!(entry[9..12], [0x41, 0x00, 0x04]);
    assert_eq!(entry[12..], [0x20, 0x00, 0x6f, 0x81, 0x30, 0xff]);
    // The number of every verdict fits.
    assert!(Verdict::ALL.iter().all(|verdict| u8::try_from(*verdict as u32).is_ok()));
}

#[test]
fn entry_is_added_once() {
    let mut controller = Controller::new(STATE_IDLE, takes);
    assert_eq!(add_entry(&mut controller, Verdict::Exception), Ok(()));
    assert_eq!(controller.added, [entry(Verdict::Exception)]);
    assert_eq!(controller.aborts, 0);
}

#[test]
fn transaction_that_linux_left_is_aborted_first() {
    for state in [STATE_WRITE, STATE_READ, STATE_ERROR] {
        let mut controller = Controller::new(state, takes);
        assert_eq!(add_entry(&mut controller, Verdict::ZeroTail), Ok(()), "{state:#x}");
        assert_eq!((controller.added.len(), controller.aborts), (1, 1), "{state:#x}");
    }
}

#[test]
fn refused_entry_is_no_success() {
    let full = |_: &[u8]| std::vec![ADD_SEL_ENTRY[0] | 4, ADD_SEL_ENTRY[1], 0xc4];
    let mut controller = Controller::new(STATE_IDLE, full);
    assert_eq!(add_entry(&mut controller, Verdict::Exception), Err(NoAnswer));
    assert_eq!(controller.added.len(), 1);
}

/// Ports whose status is always the same.
struct Stuck {
    status: u8,
    accesses: u32,
    patience: u32,
}

impl Ports for Stuck {
    fn status(&mut self) -> u8 {
        self.accesses += 1;
        self.status
    }

    fn read(&mut self) -> u8 {
        self.accesses += 1;
        0xff
    }

    fn control(&mut self, _: u8) {}

    fn write(&mut self, _: u8) {}

    fn expired(&mut self) -> bool {
        self.patience = self.patience.saturating_sub(1);
        self.patience == 0
    }
}

#[test]
fn controller_that_does_not_answer_is_given_up() {
    // Miri is slow: it tries every fifth status.
    for status in (0..=u8::MAX).step_by(if cfg!(miri) { 5 } else { 1 }) {
        let mut stuck = Stuck { status, accesses: 0, patience: 100 };
        assert_eq!(add_entry(&mut stuck, Verdict::Exception), Err(NoAnswer), "{status:#x}");
        assert!(stuck.accesses < 1000, "{status:#x}: {} accesses", stuck.accesses);
    }
}
