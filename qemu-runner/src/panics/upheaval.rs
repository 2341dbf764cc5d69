//! Devices come and go one after another until the kernel panics. Each operation begins as soon as
//! the guest has finished the previous one.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::draw::{Operation, Operations};
use crate::error::Error;
use crate::machine::monitor::Said;
use crate::machine::vm::Arrival;
use crate::stage::{First, PANIC};

/// Waits at most ten seconds until the kernel has forgotten the plugged-in CPU. QEMU does not
/// report that it is gone.
const CPU_GONE: &str = "for look in $(seq 500); do [ -e /sys/devices/system/cpu/cpu2 ] || exit 0; \
                        sleep 0.02; done; exit 1";
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

/// Runs operations of this seed until the panic.
pub fn until_the_panic(first: &mut First<'_, '_>, seed: u64) -> Result<Upheaval, Error> {
    let mut operations = Operations::of(seed);
    let mut upheaval = Upheaval::default();
    // Identifiers of what is plugged in: the DIMMs, and the CPU.
    let mut dimms: [String; super::draw::DIMMS as usize] = Default::default();
    let mut cpu = String::new();
    let mut changed: Vec<(Range<u64>, Instant)> = Vec::new();
    for turn in 0_u32.. {
        let operation = operations.draw();
        upheaval.in_flight = Some(operation);
        // New each time, so that an event of an earlier device does not count.
        let id = format!("drawn-{turn}");
        let monitor = &mut first.vm.monitor;
        let answer = match operation {
            Operation::AddDimm(number) => {
                let address = operation.memory().map_or(0, |range| range.start);
                monitor.begin_dimm(&id, number, address)?;
                dimms[number as usize].clone_from(&id);
                device(first, &id, Said::Taken)?
            }
            Operation::RemoveDimm(number) => {
                let id = dimms[number as usize].clone();
                monitor.begin_removal(&id)?;
                device(first, &id, Said::Returned)?
            }
            Operation::AddCpu => {
                monitor.begin_cpu(&id)?;
                cpu.clone_from(&id);
                match device(first, &id, Said::Taken)? {
                    // A CPU that is not online waits for its first start-up interrupt.
                    Answer::Done => {
                        shell(first, turn, "echo 1 >/sys/devices/system/cpu/cpu2/online")?
                    }
                    answer => answer,
                }
            }
            Operation::RemoveCpu => {
                monitor.begin_removal(&cpu)?;
                shell(first, turn, CPU_GONE)?
            }
            Operation::Offline => {
                shell(first, turn, "echo 0 >/sys/devices/system/cpu/cpu1/online")?
            }
            Operation::Online => shell(first, turn, "echo 1 >/sys/devices/system/cpu/cpu1/online")?,
        };
        match answer {
            Answer::Done => {
                operations.done(operation);
                if let Some(memory) = operation.memory() {
                    changed.retain(|(known, _)| *known != memory);
                    changed.push((memory, Instant::now()));
                }
                upheaval.done += 1;
            }
            Answer::Refused => upheaval.refused += 1,
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
    unreachable!("the kernel panics long before the numbers end")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Refused,
    Panic,
}

/// Waits until the guest did what is `wanted` with the device `id`, rejected it, or panicked.
fn device(first: &mut First<'_, '_>, id: &str, wanted: Said) -> Result<Answer, Error> {
    loop {
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
