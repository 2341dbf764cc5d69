//! Devices come and go one after another until the kernel panics. Each operation begins as soon as
//! the guest has finished the previous one.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::draw::{BLOCK, DIMMS, Operation, Operations, VIRTIO_MEM_BLOCKS};
use crate::error::Error;
use crate::machine::DEVICE_MEMORY;
use crate::machine::monitor::Said;
use crate::machine::vm::Arrival;
use crate::stage::{First, PANIC};

/// Waits at most ten seconds until the kernel has forgotten the plugged-in CPU. QEMU does not
/// report that it is gone.
const CPU_GONE: &str = "for look in $(seq 500); do [ -e /sys/devices/system/cpu/cpu2 ] || exit 0; \
                        sleep 0.02; done; exit 1";
/// Waits at most ten seconds until FILES, the states of memory blocks, say WANTED. QEMU reports a
/// new size of virtio-mem before the kernel has brought the last block online, or has forgotten it.
const RESIZED: &str = "cd /sys/devices/system/memory; for look in $(seq 500); do \
                       [ \"$(echo $(cat FILES 2>/dev/null))\" = \"WANTED\" ] && exit 0; \
                       sleep 0.02; done; exit 1";
/// How long the guest may say nothing of a device. A removal can get lost between QEMU and a guest
/// that works on an earlier event.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at the monitor, and at the console.
const PAUSE: Duration = Duration::from_millis(2);

/// What had come and gone when the kernel panicked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upheaval {
    /// Operations that the guest had finished.
    pub done: u32,
    pub refused: u32,
    pub in_flight: Option<Operation>,
    /// Memory that had come or gone, and how long before the panic was seen the guest had finished.
    pub changed: Vec<(Range<u64>, Duration)>,
}

/// Runs operations until the panic.
pub fn until_the_panic(first: &mut First<'_, '_>, mut devices: Devices) -> Result<Upheaval, Error> {
    let mut upheaval = Upheaval::default();
    let mut changed: Vec<(Range<u64>, Instant)> = Vec::new();
    loop {
        let operation = devices.draw();
        upheaval.in_flight = Some(operation);
        match devices.turn(first, operation)? {
            Answer::Done => {
                if let Some(memory) = operation.memory() {
                    changed.retain(|(known, _)| *known != memory);
                    changed.push((memory, Instant::now()));
                }
                upheaval.done += 1;
            }
            Answer::Refused | Answer::Silent => upheaval.refused += 1,
            Answer::Panic => {
                upheaval.changed =
                    changed.into_iter().map(|(memory, at)| (memory, at.elapsed())).collect();
                first.note(format!(
                    "the kernel panics: {} done, {operation:?} in flight",
                    upheaval.done
                ));
                return Ok(upheaval);
            }
        }
    }
}

/// What is plugged in, and what is drawn next.
pub struct Devices {
    operations: Operations,
    /// Identifiers of the DIMMs, and of the CPU.
    dimms: [String; DIMMS as usize],
    cpu: String,
    /// DIMMs that the guest has not taken, or not answered about. It may still do so.
    unclear: BTreeSet<u32>,
    silent: u32,
    turns: u32,
}

impl Devices {
    /// Operations of this seed; nothing is plugged in yet.
    pub fn of(seed: u64) -> Self {
        Self::drawn(Operations::of(seed))
    }

    /// The same on a machine with a device for virtio-mem.
    pub fn with_virtio_mem(seed: u64) -> Self {
        Self::drawn(Operations::with_virtio_mem(seed))
    }

    fn drawn(operations: Operations) -> Self {
        Self {
            operations,
            dimms: Default::default(),
            cpu: String::new(),
            unclear: BTreeSet::new(),
            silent: 0,
            turns: 0,
        }
    }

    /// The next operation.
    pub fn draw(&mut self) -> Operation {
        self.operations.draw()
    }

    /// How often the guest has not answered.
    pub fn silent(&self) -> u32 {
        self.silent
    }

    /// Begins this operation, and waits until the guest has finished it, rejected it, or panicked.
    pub fn turn(
        &mut self,
        first: &mut First<'_, '_>,
        operation: Operation,
    ) -> Result<Answer, Error> {
        // New each time, so that an event of an earlier device does not count.
        let turn = self.turns;
        self.turns += 1;
        let id = format!("drawn-{turn}");
        let monitor = &mut first.vm.monitor;
        let answer = match operation {
            Operation::AddDimm(number) => {
                let address = operation.memory().map_or(0, |range| range.start);
                monitor.begin_dimm(&id, number, address)?;
                self.dimms[number as usize].clone_from(&id);
                device(first, &id, Said::Taken)?
            }
            Operation::RemoveDimm(number) => {
                let id = self.dimms[number as usize].clone();
                // An answer may have come late.
                if self.unclear.remove(&number) && !monitor.has_dimm(&id)? {
                    Answer::Done
                } else {
                    monitor.begin_removal(&id)?;
                    device(first, &id, Said::Returned)?
                }
            }
            Operation::AddCpu => {
                monitor.begin_cpu(&id)?;
                self.cpu.clone_from(&id);
                match device(first, &id, Said::Taken)? {
                    // A CPU that is not online waits for its first start-up interrupt.
                    Answer::Done => {
                        shell(first, turn, "echo 1 >/sys/devices/system/cpu/cpu2/online")?
                    }
                    answer => answer,
                }
            }
            Operation::RemoveCpu => {
                monitor.begin_removal(&self.cpu)?;
                shell(first, turn, CPU_GONE)?
            }
            Operation::Offline => {
                shell(first, turn, "echo 0 >/sys/devices/system/cpu/cpu1/online")?
            }
            Operation::Online => shell(first, turn, "echo 1 >/sys/devices/system/cpu/cpu1/online")?,
            Operation::Resize { to, .. } => {
                monitor.begin_resize(u64::from(to) * BLOCK)?;
                shell(first, turn, &resized(to))?
            }
        };
        if answer == Answer::Silent {
            first.note(format!("the guest says nothing of {operation:?}"));
            self.silent += 1;
        }
        match (answer, operation) {
            // QEMU has plugged it in, whatever the guest makes of it.
            (Answer::Refused | Answer::Silent, Operation::AddDimm(number)) => {
                self.unclear.insert(number);
                self.operations.done(operation);
            }
            // The request stands, and the guest may still follow it.
            (Answer::Refused, Operation::Resize { .. }) => self.operations.done(operation),
            (Answer::Silent, Operation::RemoveDimm(number)) => _ = self.unclear.insert(number),
            (Answer::Done, _) => self.operations.done(operation),
            _ => {}
        }
        Ok(answer)
    }
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Refused,
    /// The guest has not answered.
    Silent,
    Panic,
}

/// Waits until the guest did what is `wanted` with the device `id`, rejected it, or panicked, or
/// [`PATIENCE`] is over.
fn device(first: &mut First<'_, '_>, id: &str, wanted: Said) -> Result<Answer, Error> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match first.vm.monitor.said_of(id, PAUSE)? {
            Some(said) if said == wanted => return Ok(Answer::Done),
            Some(Said::Refused) => return Ok(Answer::Refused),
            _ => {}
        }
        if let Some(Arrival::Console(line)) =
            first.vm.next_within(PAUSE, "a device to come or go, or the panic")?
            && line.text.contains(PANIC)
        {
            return Ok(Answer::Panic);
        }
    }
    Ok(Answer::Silent)
}

/// The command that waits until virtio-mem has so many blocks online, and no other.
fn resized(blocks: u32) -> String {
    let first = DEVICE_MEMORY / BLOCK + u64::from(DIMMS);
    let blocks_of_device = first..first + u64::from(VIRTIO_MEM_BLOCKS);
    let files: Vec<_> = blocks_of_device.map(|block| format!("memory{block}/state")).collect();
    let wanted = vec!["online"; blocks as usize].join(" ");
    RESIZED.replace("FILES", &files.join(" ")).replace("WANTED", &wanted)
}

/// Runs a command in the guest, which may panic before the command ends.
fn shell(first: &mut First<'_, '_>, turn: u32, command: &str) -> Result<Answer, Error> {
    let marker = format!("@drawn-{turn}@ ");
    first.vm.say(&format!("({command}) 2>/dev/null; printf '\\n{marker}%d\\n' $?\n"))?;
    loop {
        match first.vm.next("a command to end, or the panic")? {
            Arrival::Console(line) if line.text.contains(PANIC) => return Ok(Answer::Panic),
            Arrival::Agent(text) => match text.strip_prefix(&marker) {
                Some("0") => return Ok(Answer::Done),
                Some(_) => return Ok(Answer::Refused),
                None => {}
            },
            _ => {}
        }
    }
}
