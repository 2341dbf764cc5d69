//! One thing after another comes or goes, each as soon as the guest is done with the one before, until the kernel has panicked.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::draw::{Operation, Operations};
use crate::capture::PANIC;
use crate::error::Error;
use crate::first::First;
use crate::monitor::Said;
use crate::storm::size::BLOCK_MIB;
use crate::vm::Arrival;

/// Where DIMMs come: QEMU's memory for devices begins at 4 GiB where less is there at boot (`pc_get_device_memory_range`, hw/i386/pc.c).
const DIMMS_AT: u64 = 1 << 32;
/// Waits until the kernel has forgotten the CPU that was plugged in, ten seconds at most; QEMU itself never says that it has gone.
const CPU_GONE: &str = "for look in $(seq 500); do [ -e /sys/devices/system/cpu/cpu2 ] || exit 0; sleep 0.02; done; exit 1";
/// How long to wait for the monitor before the console is looked at again, and the other way round.
const PAUSE: Duration = Duration::from_millis(2);

/// What had come and gone when the kernel panicked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upheaval {
    /// How many operations the guest had done.
    pub done: u32,
    /// How many it had refused.
    pub refused: u32,
    /// The one that it was in the middle of.
    pub in_flight: Option<Operation>,
    /// Memory that had come or gone, and how long before the panic was seen the guest had last done with it.
    pub changed: Vec<(Range<u64>, Duration)>,
}

impl Operation {
    /// The memory that it is about.
    pub fn memory(self) -> Option<Range<u64>> {
        match self {
            Self::AddDimm(number) | Self::RemoveDimm(number) => {
                let start = DIMMS_AT + u64::from(number) * (BLOCK_MIB << 20);
                Some(start..start + (BLOCK_MIB << 20))
            }
            _ => None,
        }
    }
}

/// Lets things come and go until the panic.
pub fn until_the_panic(first: &mut First<'_, '_>, seed: u64) -> Result<Upheaval, Error> {
    let mut operations = Operations::of(seed);
    let mut upheaval = Upheaval::default();
    // The identifiers of what is plugged in: DIMM by DIMM, and the CPU.
    let mut dimms: [String; super::draw::DIMMS as usize] = Default::default();
    let mut cpu = String::new();
    let mut changed: Vec<(Range<u64>, Instant)> = Vec::new();
    for turn in 0_u32.. {
        let operation = operations.draw();
        upheaval.in_flight = Some(operation);
        // A new one each time, so that no word about an earlier device is taken for one about this.
        let id = format!("drawn-{turn}");
        let monitor = &mut first.vm.monitor;
        let answer = match operation {
            Operation::AddDimm(number) => {
                let address = operation.memory().map_or(DIMMS_AT, |range| range.start);
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
                    // Whoever is not online waits for its first start-up interrupt.
                    Answer::Done => shell(first, turn, "echo 1 >/sys/devices/system/cpu/cpu2/online")?,
                    answer => answer,
                }
            }
            Operation::RemoveCpu => {
                monitor.begin_removal(&cpu)?;
                shell(first, turn, CPU_GONE)?
            }
            Operation::Offline => shell(first, turn, "echo 0 >/sys/devices/system/cpu/cpu1/online")?,
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
                upheaval.changed = changed.into_iter().map(|(memory, at)| (memory, at.elapsed())).collect();
                first.note(format!("the kernel panics: {} done, {operation:?} in flight", upheaval.done));
                return Ok(upheaval);
            }
        }
    }
    unreachable!("the kernel panics long before the numbers end")
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Refused,
    Panic,
}

/// Waits until the guest has done with the device `id` what is `wanted`, has refused it, or has panicked.
fn device(first: &mut First<'_, '_>, id: &str, wanted: Said) -> Result<Answer, Error> {
    loop {
        match first.vm.monitor.said_of(id, PAUSE)? {
            Some(said) if said == wanted => return Ok(Answer::Done),
            Some(Said::Refused) => return Ok(Answer::Refused),
            _ => {}
        }
        if let Some(Arrival::Console(line)) = first.vm.next_within(PAUSE, "a device to come or go, or the panic")?
            && line.text.contains(PANIC)
        {
            return Ok(Answer::Panic);
        }
    }
}

/// Runs a command in the guest, which may panic meanwhile.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dimm_has_a_block_of_its_own_above_4_gib() {
        assert_eq!(Operation::AddDimm(0).memory(), Some(0x1_0000_0000..0x1_0800_0000));
        assert_eq!(Operation::RemoveDimm(3).memory(), Operation::AddDimm(3).memory());
        assert_eq!(Operation::Offline.memory(), None);
    }
}
