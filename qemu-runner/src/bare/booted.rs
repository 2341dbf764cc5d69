//! (1) The crash kernel, booted once for each kind of machine: it has described the machine and
//! awaits its orders.
//!
//! A case takes the facts from one such machine and starts from another, because the way through
//! the firmware takes longer than the case itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use orders::map;

use super::case::Cpu;
use super::description::Facts;
use super::ramdisk;
use super::run::{LIMIT, RAMDISK, directory_name, machine, remove_big_files};
use crate::assets::Qemu;
use crate::assets::shared::Shared;
use crate::context::Context;
use crate::error::{Error, check};
use crate::host;
use crate::machine::checkpoint::Checkpoint;
use crate::machine::deadline::Deadline;
use crate::machine::vm::{Arrival, Vm};
use crate::machine::{Boot, Machine};

/// What the crash kernel says when it waits.
const AWAITING: &str = "awaiting orders";

/// What makes machines different at the moment when orders are awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub cpu: Cpu,
    /// COM1 never takes a byte.
    pub stuck_console: bool,
}

/// A machine whose crash kernel awaits its orders.
#[derive(Debug)]
pub struct Booted {
    pub facts: Facts,
    pub said: Vec<String>,
    pub ramdisk: PathBuf,
    checkpoint: Checkpoint,
}

/// Those that cases continue from; removed when dropped.
#[derive(Debug)]
pub struct Machines {
    directory: Shared,
    booted: Mutex<BTreeMap<Kind, Arc<Booted>>>,
}

impl Machines {
    /// None yet.
    pub fn new(context: &Context) -> Result<Self, Error> {
        let directory = context.shared_directory("bare-machines-")?;
        Ok(Self { directory, booted: Mutex::default() })
    }

    /// The machine of this kind, which boots when it is asked for the first time.
    pub fn booted(&self, context: &Context, kind: Kind) -> Result<Arc<Booted>, Error> {
        // Held while the machine boots, so that two cases do not boot the same.
        let mut known = self.booted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(booted) = known.get(&kind) {
            return Ok(Arc::clone(booted));
        }
        let booted = Arc::new(self.boot(context, kind)?);
        known.insert(kind, Arc::clone(&booted));
        Ok(booted)
    }

    fn boot(&self, context: &Context, kind: Kind) -> Result<Booted, Error> {
        let Kind { cpu, stuck_console } = kind;
        let name =
            format!("machine-{cpu:?}{}", if stuck_console { "-stuck" } else { "" }).to_lowercase();
        let (directory, place) =
            (context.fresh_directory(&directory_name(&name))?, self.directory.place(&name));
        let (kernel, ramdisk) = (context.bare("crash-kernel")?, place.join(RAMDISK));
        host::write(&ramdisk, &ramdisk::awaiting())?;
        let boot =
            Boot::CrashKernel { kernel, ramdisk: ramdisk.clone(), trace: None, stuck_console };
        let mut vm = Vm::start(
            &context.assets()?.qemu,
            &machine(cpu, boot),
            &directory,
            Deadline::after(LIMIT),
            None,
        )?;
        let mut said = Vec::new();
        loop {
            match vm.next("the crash kernel to await its orders")? {
                Arrival::Agent(line) if line == AWAITING => break,
                Arrival::Agent(line) => said.push(line),
                _ => {}
            }
        }
        let facts = Facts::parse(said.iter().map(String::as_str))?;
        let checkpoint = Checkpoint::take(&mut vm, place)?;
        drop(vm);
        remove_big_files(context, &directory, false)?;
        Ok(Booted { facts, said, ramdisk, checkpoint })
    }
}

impl Booted {
    /// A machine that continues from here with other orders.
    pub fn resume(
        &self,
        qemu: &Qemu,
        machine: &Machine,
        directory: &Path,
        deadline: Deadline,
        orders: &[u8],
    ) -> Result<Vm, Error> {
        let (room, len) = (map::ORDERS_LEN as usize, orders.len());
        check!(len <= room, "bytes of orders: expected {room} at most, found {len}")?;
        let mut vm = Vm::start(qemu, machine, directory, deadline, Some(&self.checkpoint))?;
        vm.ram.write(map::ORDERS, orders)?;
        vm.monitor.go_on()?;
        Ok(vm)
    }
}
