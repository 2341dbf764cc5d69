//! Two ways to save a dump on the same Debian: the /init of `load --capture`, and Debian's
//! kdump-tools with its initrd. How long each takes from the panic, and how large its dump is.
//!
//! Each machine is new and has the memory and the `crashkernel=` that its saver asks for.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::Error;
use crate::machine::deadline::Deadline;
use crate::stage::installed::{self, Guest, Kexec, LOADER};
use crate::stage::{First, Stage};

/// Time that one dump may take on a busy host.
const LIMIT: Duration = Duration::from_secs(1200);
/// Memory of each machine.
pub const MEMORY_MIB: u64 = 1024;

/// Who saves the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Saver {
    /// /init of `load --capture`, at dump level 17 with zstd.
    Capture,
    /// Debian's kdump-tools, with makedumpfile at dump level 31 and LZO, its fastest compression.
    KdumpTools,
}

impl Saver {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Capture, Self::KdumpTools];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Capture => "`load --capture`",
            Self::KdumpTools => "kdump-tools",
        }
    }

    /// `crashkernel=` of its machine: what `estimate` says, and the default of kdump-tools.
    pub fn crashkernel(self) -> &'static str {
        match self {
            Self::Capture => "80M",
            Self::KdumpTools => "192M",
        }
    }
}

/// A dump that was saved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// By whom.
    pub saver: Saver,
    /// Counts its runs, from 1.
    pub number: u32,
    /// From the console's line about the panic to the saver's line about the dump, as the host saw
    /// them.
    pub saved_after: Duration,
    /// From that panic to the reset of the machine.
    pub reset_after: Duration,
    /// Bytes of the dump.
    pub dump_len: u64,
}

/// One panic on a machine of its own.
pub fn run(context: &Context, saver: Saver, number: u32) -> Result<Saved, Error> {
    let deadline = Deadline::after(LIMIT);
    let play = |stage: &mut Stage<'_>| save(stage, saver, number);
    Stage::play(context, "savers", deadline, &[], play).map(|(saved, _)| saved)
}

fn save(stage: &mut Stage<'_>, saver: Saver, number: u32) -> Result<Saved, Error> {
    let guest = Guest {
        partition: true,
        memory_mib: MEMORY_MIB,
        crashkernel: saver.crashkernel(),
        ..Guest::with(Kexec::Peer)
    };
    let (mut first, disk) = installed::boot(stage, &guest)?;
    arm(&mut first, saver)?;
    first.vm.run_ok("sync")?;
    let mut crashed = first.panic(None)?;
    let panicked_at = crashed.panicked_at;
    let saved_after = match saver {
        Saver::Capture => crashed.await_saved()?,
        Saver::KdumpTools => {
            let words = "saved vmcore in /var/crash/";
            let at = crashed.vm.await_words("the capture service to save the dump", words)?.at;
            at.saturating_duration_since(panicked_at)
        }
    };
    crashed.orderly_reset()?;
    let reset_after = Instant::now().saturating_duration_since(panicked_at);
    drop(crashed);
    Ok(Saved { saver, number, saved_after, reset_after, dump_len: disk.dump_len()? })
}

fn arm(first: &mut First<'_, '_>, saver: Saver) -> Result<(), Error> {
    match saver {
        Saver::Capture => {
            let load = "load --kernel /boot/vmlinuz-$(uname -r) --capture /var/crash";
            first.vm.run_ok(&format!("systemctl stop kdump-tools.service; {LOADER} {load}"))?;
        }
        Saver::KdumpTools => {
            first.vm.run_ok("systemctl is-active kdump-tools.service")?;
        }
    }
    first.expect_armed(true, "by the saver")
}
