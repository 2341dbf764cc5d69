//! A booted machine, saved on disk. Machines that boot the same start from there, each with a copy
//! of its memory.
//!
//! A checkpoint is two files: the memory, and what QEMU writes of the rest
//! (`monitor/migration.rs`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::assets::shared::Shared;
use crate::error::Error;
use crate::host::{self, succeed};
use crate::machine::vm::{RAM, SERIAL_LOG, Vm};

/// All of a machine but its memory.
const STATE: &str = "state";

#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
}

impl Checkpoint {
    /// Keeps `vm` as it is now in `directory`, which is made. The machine continues.
    pub fn take(vm: &mut Vm, directory: PathBuf) -> Result<Self, Error> {
        host::make(&directory)?;
        vm.monitor.save(&directory.join(STATE))?;
        for name in [RAM, SERIAL_LOG] {
            copy(&vm.directory().join(name), &directory.join(name))?;
        }
        vm.monitor.go_on()?;
        Ok(Self { directory })
    }

    pub fn state(&self) -> PathBuf {
        self.directory.join(STATE)
    }

    /// Puts its memory, and what its console had said as far as it had been read, into the
    /// directory of a machine that is to continue from here.
    pub fn copy_to(&self, directory: &Path) -> Result<(), Error> {
        [RAM, SERIAL_LOG]
            .iter()
            .try_for_each(|name| copy(&self.directory.join(name), &directory.join(name)))
    }
}

/// Copies a file with its holes, of which a guest's memory has many.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    succeed(Command::new("cp").arg("--sparse=auto").args([from, to]), 0)
}

#[derive(Debug)]
enum Known {
    /// One has booted: most kinds come only once, and are not worth their room.
    Once,
    /// A second one is booting, and will be kept.
    BeingKept,
    Kept(Arc<Checkpoint>),
}

/// How a machine comes to where its first user space is up.
#[derive(Debug)]
pub enum Way {
    Boots,
    /// It boots, and a [`Checkpoint`] is to be taken of it in this directory.
    BootsToBeKept(PathBuf),
    /// It continues from there.
    GoesOn(Arc<Checkpoint>),
}

/// The machines that are kept while scenarios run, by kind; removed when dropped.
#[derive(Debug)]
pub struct Checkpoints {
    directory: Shared,
    kinds: Mutex<HashMap<String, Known>>,
}

impl Checkpoints {
    /// None yet; they will be in this directory.
    pub fn within(directory: Shared) -> Self {
        Self { directory, kinds: Mutex::default() }
    }

    /// How a machine of this kind comes up. Nobody waits for another: while one is booting to be
    /// kept, others boot for themselves.
    pub fn way(&self, kind: &str) -> Way {
        let mut kinds = self.kinds();
        let kept = kinds.values().filter(|known| !matches!(known, Known::Once)).count();
        let place = self.directory.place(&kept.to_string());
        match kinds.get(kind) {
            None => {
                kinds.insert(kind.to_owned(), Known::Once);
                Way::Boots
            }
            Some(Known::Once) => {
                kinds.insert(kind.to_owned(), Known::BeingKept);
                Way::BootsToBeKept(place)
            }
            Some(Known::BeingKept) => Way::Boots,
            Some(Known::Kept(checkpoint)) => Way::GoesOn(Arc::clone(checkpoint)),
        }
    }

    /// From now on machines of this kind continue from `checkpoint`.
    pub fn keep(&self, kind: &str, checkpoint: Checkpoint) {
        self.kinds().insert(kind.to_owned(), Known::Kept(Arc::new(checkpoint)));
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
