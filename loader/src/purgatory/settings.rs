//! `[4]` The purgatory's configuration, apart from the segments. It is decided before anything is
//! placed.
//!
//! *On entry*
//! * the request and the machine.
//!
//! *On exit*
//! * values within the limits of `handoff`, so that the purgatory accepts them;
//! * an engine that every CPU supports;
//! * in a confidential guest, nothing that faults there.

use handoff::block::{
    DEFAULT_LEAF_SIZE, DEFAULT_RESET_DELAY_MS, HIGHEST_CONSOLE_PORT, MAX_LEAF_SIZE,
    MAX_RESET_DELAY_MS, MAX_TSC_KHZ, MIN_LEAF_SIZE,
};
use handoff::{ConsoleKind, EngineId, OnCorrupt, Permissions};

use crate::cmdline;
use crate::machine::signals::SignalPorts;
use crate::machine::{ConfidentialGuest, CpuFacts, Machine, PHYSICAL_BITS};
use crate::request::{Confidential, Console, EngineChoice, Request, SignalChoice};

mod foreign; // the configuration of foreign purgatories

pub(crate) use foreign::ForeignSettings;

/// Why the purgatory cannot be configured as requested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A CPU lacks what the requested engine requires.
    #[error(
        "engine {} needs {} on every CPU, but a CPU of this machine lacks it: use soft or auto",
        .0.word(), needs(*.0)
    )]
    EngineMissing(EngineId),
    /// The leaf size is out of range, or not a power of two.
    #[error(
        "leaf size {0} is not a power of two from {MIN_LEAF_SIZE} to {MAX_LEAF_SIZE} bytes: leave \
         it out, or use 262144 (256 KiB)"
    )]
    LeafSize(u32),
    /// The delay is too long.
    #[error(
        "the reset delay of {0} ms exceeds {MAX_RESET_DELAY_MS} ms (one hour): use a shorter delay"
    )]
    ResetDelay(u32),
    /// The port is 0, or so high that the UART would leave I/O space.
    #[error(
        "console port {0:#x} is outside 0x1 to {HIGHEST_CONSOLE_PORT:#x}, where the eight ports of \
         a UART fit: use 0x3f8 for ttyS0"
    )]
    ConsolePort(u16),
    /// The frequency of the time-stamp counter is 0 or impossibly high.
    #[error(
        "the time-stamp counter's frequency was measured as {0} kHz, outside 1 to {MAX_TSC_KHZ}: \
         try again; if this is a snapshot, take it again"
    )]
    Tsc(u32),
    /// The width of a physical address is impossible.
    #[error(
        "/proc/cpuinfo says that physical addresses have {bits} bits, outside {} to {}: if this is \
         a snapshot, take it again",
        PHYSICAL_BITS.start(), PHYSICAL_BITS.end()
    )]
    PhysicalBits {
        /// The width in bits.
        bits: u32,
    },
    /// The machine lacks the device of a requested signal.
    #[error("signal {signal} was requested, but {absent}: leave it out, or use auto")]
    SignalMissing {
        /// `pvpanic` or `ipmi`.
        signal: &'static str,
        /// What the machine does not show.
        absent: &'static str,
    },
    /// A foreign purgatory does not support a setting.
    #[error(
        "{whose} purgatory does not support {setting} {value}: leave {setting} out, or use \
         kdump-purgatory"
    )]
    Foreign {
        /// Whose purgatory, as in a sentence.
        whose: &'static str,
        /// The setting: `on-corrupt`, `reset-delay`, `engine`, `leaf-size`, `console` or `signal`.
        setting: &'static str,
        /// The requested value.
        value: String,
    },
}

/// What our purgatory does about a corrupt segment by default.
pub const DEFAULT_ON_CORRUPT: OnCorrupt = OnCorrupt::Reset;

/// The configuration of our purgatory, as it goes into the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The digest engine.
    pub engine: EngineId,
    /// The confidential guest that the image is for; `None` on an ordinary machine.
    pub confidential: Option<ConfidentialGuest>,
    /// Which instructions the purgatory may execute.
    pub permissions: Permissions,
    /// First I/O port of the UART that it prints on; `None` if it does not print.
    pub console: Option<u16>,
    /// What it does about a corrupt segment.
    pub on_corrupt: OnCorrupt,
    /// How long it shows a failure before it resets, in milliseconds.
    pub reset_delay_ms: u32,
    /// Frequency of the time-stamp counter in kHz.
    pub tsc_khz: u32,
    /// One past the highest physical address.
    pub phys_limit: u64,
    /// Bytes per leaf.
    pub leaf_size: u32,
    /// Ports through which it signals a panic out of the machine.
    pub signals: SignalPorts,
}

impl Settings {
    /// Decides the configuration. The errors name the setting, its value and the limit.
    pub(crate) fn decide(request: &Request, machine: &Machine) -> Result<Self, Error> {
        let leaf_size = request.leaf_size.unwrap_or(DEFAULT_LEAF_SIZE);
        let reset_delay_ms = request.reset_delay_ms.unwrap_or(DEFAULT_RESET_DELAY_MS);
        if !leaf_size.is_power_of_two() || !(MIN_LEAF_SIZE..=MAX_LEAF_SIZE).contains(&leaf_size) {
            return Err(Error::LeafSize(leaf_size));
        }
        if reset_delay_ms > MAX_RESET_DELAY_MS {
            return Err(Error::ResetDelay(reset_delay_ms));
        }
        let tsc_khz = machine.cpu.tsc_khz;
        if !(1..=MAX_TSC_KHZ).contains(&tsc_khz) {
            return Err(Error::Tsc(tsc_khz));
        }
        let bits = machine.cpu.physical_bits;
        if !PHYSICAL_BITS.contains(&bits) {
            return Err(Error::PhysicalBits { bits });
        }
        let confidential = confidential(request, machine);
        let permissions = permissions(confidential);
        Ok(Self {
            confidential,
            engine: engine(request.engine, &machine.cpu)?,
            permissions,
            console: console(request, permissions)?,
            on_corrupt: request.on_corrupt.unwrap_or(DEFAULT_ON_CORRUPT),
            reset_delay_ms,
            tsc_khz,
            phys_limit: 1 << bits,
            leaf_size,
            signals: signals(request.signals, machine.signals, permissions)?,
        })
    }

    /// The console's kind in the block.
    pub(crate) fn console_kind(&self) -> ConsoleKind {
        if self.console.is_some() { ConsoleKind::Uart8250 } else { ConsoleKind::None }
    }
}

/// The confidential guest that the image is for: the one that the machine shows, unless the request
/// says otherwise.
pub fn confidential(request: &Request, machine: &Machine) -> Option<ConfidentialGuest> {
    let asked = ConfidentialGuest { kind: "confidential", evidence: "the request" };
    match request.confidential {
        Confidential::Auto => machine.cpu.confidential,
        Confidential::Yes => Some(machine.cpu.confidential.unwrap_or(asked)),
        Confidential::No => None,
    }
}

/// In a confidential guest all of these instructions fault, and no handler is left to emulate them.
fn permissions(confidential: Option<ConfidentialGuest>) -> Permissions {
    if confidential.is_some() { Permissions::NONE } else { Permissions::ALL }
}

/// The requested engine, or the fastest, if every CPU supports it. Where CPUID is forbidden, the
/// purgatory relies on this check.
fn engine(choice: EngineChoice, cpu: &CpuFacts) -> Result<EngineId, Error> {
    match choice {
        EngineChoice::Auto if runs(EngineId::ShaNi, cpu) => Ok(EngineId::ShaNi),
        EngineChoice::Auto => Ok(EngineId::Soft),
        EngineChoice::Only(engine) if runs(engine, cpu) => Ok(engine),
        EngineChoice::Only(engine) => Err(Error::EngineMissing(engine)),
    }
}

/// Whether every CPU supports the engine.
fn runs(engine: EngineId, cpu: &CpuFacts) -> bool {
    match engine {
        EngineId::Soft => true,
        EngineId::ShaNi => cpu.sha_ni,
    }
}

/// The CPU features that the engine requires, for a message.
fn needs(engine: EngineId) -> &'static str {
    match engine {
        EngineId::Soft => "nothing special",
        EngineId::ShaNi => "SHA-NI, SSSE3 and SSE4.1",
    }
}

/// The console's port. Without permission for port I/O there is no console, even if one was
/// requested.
fn console(request: &Request, permissions: Permissions) -> Result<Option<u16>, Error> {
    let wanted = match request.console {
        Console::None => None,
        Console::Auto => cmdline::console_port(&request.command_line.line),
        Console::Port(port) => Some(port),
    };
    match wanted {
        Some(port) if !(1..=HIGHEST_CONSOLE_PORT).contains(&port) => Err(Error::ConsolePort(port)),
        _ if !permissions.allow(Permissions::PORT_IO) => Ok(None),
        _ => Ok(wanted),
    }
}

/// The ports of the requested signals. Without permission for port I/O there are none, even if
/// they were requested.
fn signals(
    choice: SignalChoice,
    machine: SignalPorts,
    permissions: Permissions,
) -> Result<SignalPorts, Error> {
    if !permissions.allow(Permissions::PORT_IO) {
        return Ok(SignalPorts::default());
    }
    let (pvpanic, ipmi) = match choice {
        SignalChoice::Auto => return Ok(machine),
        SignalChoice::None => (false, false),
        SignalChoice::Only { pvpanic, ipmi } => (pvpanic, ipmi),
    };
    let missing = |signal, absent| Error::SignalMissing { signal, absent };
    if pvpanic && machine.pvpanic.is_none() {
        return Err(missing("pvpanic", "/proc/ioports shows no device QEMU0001"));
    }
    if ipmi && machine.kcs.is_none() {
        return Err(missing("ipmi", "the SMBIOS table has no KCS interface with I/O ports"));
    }
    Ok(SignalPorts {
        pvpanic: machine.pvpanic.filter(|_| pvpanic),
        kcs: machine.kcs.filter(|_| ipmi),
    })
}

#[cfg(test)]
mod tests;
