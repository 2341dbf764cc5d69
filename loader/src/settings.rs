//! [2] What the purgatory will be told besides the segments, decided and checked before anything is placed.
//!
//! *On entry* the request as typed and the machine as read. *On exit* values that the purgatory accepts and this machine can run:
//! the same limits as in `handoff`, and nothing that would fault in a confidential guest.

use handoff::block::{MAX_LEAF_SIZE, MAX_RESET_DELAY_MS, MIN_LEAF_SIZE};
use handoff::{ConsoleKind, EngineId, OnCorrupt, Permissions};

use crate::cmdline;
use crate::machine::Machine;
use crate::request::{Console, EngineChoice, Request};

/// A UART has eight ports, so the last possible first one is eight below the end of I/O space.
const HIGHEST_PORT: u16 = 0xfff8;
/// x86-64 addresses at most this many bits of physical memory (Intel SDM vol. 3A, 4.1.4).
const MAX_PHYSICAL_BITS: u32 = 52;

/// Why the purgatory cannot be told what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The CPUs lack the engine that was asked for.
    #[error("engine {} needs SHA-NI, SSSE3 and SSE4.1, which not all CPUs of this machine have. Use --engine soft or auto", .0.word())]
    EngineMissing(EngineId),
    /// The leaf size is out of range or no power of two.
    #[error(
        "leaf size {0} is not a power of two from {MIN_LEAF_SIZE} to {MAX_LEAF_SIZE} bytes. Leave --leaf-size out, or use 256K"
    )]
    LeafSize(u32),
    /// The delay is too long.
    #[error("a reset delay of {0} ms is above the limit of {MAX_RESET_DELAY_MS} ms (an hour). Use a smaller --reset-delay")]
    ResetDelay(u32),
    /// The port leaves I/O space.
    #[error("console port {0:#x} is above {HIGHEST_PORT:#x}: the eight ports of a UART would not fit. ttyS0 is 0x3f8")]
    ConsolePort(u16),
    /// The time-stamp counter stands still or was never measured.
    #[error("the frequency of the time-stamp counter is 0 kHz: the machine's description is damaged, or its TSC does not run")]
    Tsc,
    /// The width of a physical address is impossible.
    #[error("a physical address of {0} bits is impossible (32 to {MAX_PHYSICAL_BITS}). /proc/cpuinfo is damaged")]
    PhysicalBits(u32),
}

/// What goes into the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The engine.
    pub engine: EngineId,
    /// Which instructions may be executed.
    pub permissions: Permissions,
    /// First port of the UART to print on.
    pub console: Option<u16>,
    /// What to do about a corrupt segment.
    pub on_corrupt: OnCorrupt,
    /// How long to show a failure, in milliseconds.
    pub reset_delay_ms: u32,
    /// Frequency of the time-stamp counter in kHz.
    pub tsc_khz: u32,
    /// One past the highest physical address.
    pub phys_limit: u64,
    /// Bytes in a leaf.
    pub leaf_size: u32,
}

impl Settings {
    /// Decides them.
    pub fn decide(request: &Request, machine: &Machine) -> Result<Self, Error> {
        let Request { leaf_size, reset_delay_ms, on_corrupt, .. } = *request;
        if !leaf_size.is_power_of_two() || !(MIN_LEAF_SIZE..=MAX_LEAF_SIZE).contains(&leaf_size) {
            return Err(Error::LeafSize(leaf_size));
        }
        if reset_delay_ms > MAX_RESET_DELAY_MS {
            return Err(Error::ResetDelay(reset_delay_ms));
        }
        let tsc_khz = machine.cpu.tsc_khz;
        if tsc_khz == 0 {
            return Err(Error::Tsc);
        }
        let bits = machine.cpu.physical_bits;
        if !(32..=MAX_PHYSICAL_BITS).contains(&bits) {
            return Err(Error::PhysicalBits(bits));
        }
        let confidential = machine.cpu.confidential.is_some();
        let permissions = if confidential { Permissions::NONE } else { Permissions::ALL };
        Ok(Self {
            engine: engine(request.engine, machine.cpu.sha_ni)?,
            permissions,
            console: console(request, permissions)?,
            on_corrupt,
            reset_delay_ms,
            tsc_khz,
            phys_limit: 1 << bits,
            leaf_size,
        })
    }

    /// The console's kind on the wire.
    pub fn console_kind(&self) -> ConsoleKind {
        if self.console.is_some() { ConsoleKind::Uart8250 } else { ConsoleKind::None }
    }
}

fn engine(choice: EngineChoice, sha_ni: bool) -> Result<EngineId, Error> {
    match choice {
        EngineChoice::Auto if sha_ni => Ok(EngineId::ShaNi),
        EngineChoice::Auto => Ok(EngineId::Soft),
        EngineChoice::Only(EngineId::ShaNi) if !sha_ni => Err(Error::EngineMissing(EngineId::ShaNi)),
        EngineChoice::Only(engine) => Ok(engine),
    }
}

/// A console is port I/O; where that is not permitted there is none, whoever asks.
fn console(request: &Request, permissions: Permissions) -> Result<Option<u16>, Error> {
    let wanted = match request.console {
        Console::None => None,
        Console::Auto => cmdline::console_port(&request.command_line),
        Console::Port(port) => Some(port),
    };
    match wanted {
        Some(port) if port > HIGHEST_PORT => Err(Error::ConsolePort(port)),
        _ if !permissions.allow(Permissions::PORT_IO) => Ok(None),
        _ => Ok(wanted),
    }
}
