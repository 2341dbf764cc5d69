//! `[1f]` Why no memory is reserved for a capture kernel. Each cause has its own remedy.
//!
//! *On entry* /proc/iomem shows no "Crash kernel".
//!
//! *On exit* one [`Cause`]. It follows from
//! * the command line, parsed as the kernel parses it (`crashkernel.rs`);
//! * the machine's RAM;
//! * Xen;
//! * what the kernel logged at boot (`boot_log.rs`).

use std::path::Path;

use crate::cmdline;
use crate::machine::source::{self, Tree};
use crate::machine::{Error, iomem, meminfo, read_command_line};
use crate::phys::PhysRange;

pub(in crate::machine) mod boot_log;
mod cause;
pub(in crate::machine) mod crashkernel;

pub use cause::Cause;
use crashkernel::{Asked, Choice, Defect, Kind};

/// The kernel looks below this address first, and for `,low` only below it (`CRASH_ADDR_LOW_MAX`,
/// arch/x86/include/asm/crash_reserve.h).
const FOUR_GIB: u64 = 1 << 32;

/// Content of /sys/hypervisor/guest_type in a paravirtualized guest (drivers/xen/sys-hypervisor.c).
const PARAVIRTUALIZED: &str = "PV";

/// A word in dom0's /proc/xen/capabilities (drivers/xen/xenfs/super.c).
const CONTROLS: &str = "control_d";

/// The facts about the machine's memory that decide what `crashkernel=` reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ram {
    /// Bytes of System RAM.
    pub len: u64,
    /// Whether any of it is above 4 GiB, if that is known.
    pub above_4_gib: Option<bool>,
}

impl Ram {
    /// The facts about these ranges of System RAM.
    pub fn of(system_ram: &[PhysRange]) -> Self {
        let top = system_ram.iter().map(|range| range.end()).max().unwrap_or(0);
        Self {
            len: system_ram.iter().map(|range| range.len()).sum(),
            above_4_gib: Some(top > FOUR_GIB),
        }
    }
}

/// A paravirtualized Xen domain, in which Linux ignores `crashkernel=` (`arch_reserve_crashkernel`,
/// arch/x86/kernel/setup.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Xen {
    /// The domain that controls the machine.
    Dom0,
    /// Any other domain.
    Guest,
}

/// What the kernel logged about its reservation (`reserve_crashkernel_generic`,
/// kernel/crash_reserve.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootLog {
    /// Memory was reserved.
    Reserved,
    /// There was no room.
    NoRoom,
    /// There was no room below 4 GiB for what `,low` asks for.
    NoLowRoom,
    /// The fixed address was not free.
    InUse,
    /// The kernel could not read a value, because of a comma.
    Unreadable,
}

/// The facts other than the command line and RAM that decide the cause. They are read only if no
/// memory is reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Whether the kernel can reserve memory at all; `None` if a snapshot does not tell.
    pub supported: Option<bool>,
    /// The Xen domain, if it is a paravirtualized one.
    pub xen: Option<Xen>,
    /// What the kernel logged at boot; `None` if its log cannot be read, or has lost the lines.
    pub boot_log: Option<BootLog>,
}

impl Evidence {
    /// Reads it below the tree's root.
    pub(in crate::machine) fn read(tree: Tree<'_>) -> Result<Self, Error> {
        // A snapshot lacks the file if memory was reserved, or if an older version took it.
        let supported = match tree.optional(&source::CRASH_SIZE)? {
            Some(_) => Some(true),
            None if tree.optional(&source::TSC_KHZ)?.is_some() => None,
            None => Some(false),
        };
        let log = tree.optional(&source::CRASHKERNEL_LOG)?;
        Ok(Self {
            supported,
            xen: xen(tree)?,
            boot_log: log.and_then(|log| boot_log::verdict(&log.bytes)),
        })
    }
}

fn xen(tree: Tree<'_>) -> Result<Option<Xen>, Error> {
    let holds = |source, wanted: fn(&str) -> bool| {
        Ok::<bool, Error>(tree.optional(source)?.is_some_and(|file| file.text().is_ok_and(wanted)))
    };
    let dom0 = holds(&source::XEN_CAPABILITIES, |text| text.contains(CONTROLS))?;
    if tree.optional(&source::XEN_GUEST_TYPE)?.is_none() {
        // Linux before 4.13. It can be dom0 only if it is paravirtualized.
        return Ok(dom0.then_some(Xen::Dom0));
    }
    let paravirtualized = holds(&source::HYPERVISOR_TYPE, |text| text == "xen")?
        && holds(&source::XEN_GUEST_TYPE, |text| text == PARAVIRTUALIZED)?;
    Ok(paravirtualized.then_some(if dom0 { Xen::Dom0 } else { Xen::Guest }))
}

/// Finds the cause on the machine below `root`. It works without CAP_SYS_ADMIN, although
/// /proc/iomem then hides its addresses.
pub fn find(root: &Path) -> Result<Cause, Error> {
    let tree = Tree::new(root);
    let ram = match iomem::parse(&tree.required(&source::IOMEM)?) {
        Ok(iomem) => Ram::of(&iomem.system_ram),
        Err(Error::Hidden { .. }) => {
            Ram { len: meminfo::parse(&tree.required(&source::MEMINFO)?)?, above_4_gib: None }
        }
        Err(error) => return Err(error),
    };
    Ok(decide(&cmdline::text(&read_command_line(tree)?), ram, Evidence::read(tree)?))
}

/// Decides the cause from its evidence.
pub(crate) fn decide(command_line: &str, ram: Ram, evidence: Evidence) -> Cause {
    if evidence.supported == Some(false) {
        return Cause::NotSupported;
    }
    if let Some(domain) = evidence.xen {
        return Cause::Xen { domain };
    }
    let Some(Choice { kind, words }) = crashkernel::choose(command_line) else {
        return Cause::NotAsked;
    };
    if evidence.boot_log == Some(BootLog::Reserved) {
        return Cause::GivenBack { asked: words };
    }
    let asked = match crashkernel::read(kind, command_line, ram.len) {
        Ok(asked) => asked,
        Err(defect) => return Cause::Unreadable { asked: words, defect },
    };
    if evidence.boot_log == Some(BootLog::Unreadable) {
        let asked = crashkernel::cma_word(command_line).unwrap_or(words);
        return Cause::Unreadable { asked, defect: Defect::NoSize };
    }
    let Asked { size, base, low } = asked;
    match evidence.boot_log {
        _ if kind == Kind::Companion => Cause::OnlyCompanion { asked: words },
        _ if size == 0 && kind == Kind::Ranges => Cause::NoRange { asked: words, ram: ram.len },
        _ if size == 0 => Cause::Zero { asked: words },
        _ if size >= ram.len => Cause::MoreThanMemory { asked: words, size, ram: ram.len },
        _ if base != 0 => Cause::InUse { asked: words, size, base },
        Some(BootLog::NoLowRoom) => Cause::NoLowRoom { asked: words, low },
        _ if kind == Kind::High && ram.above_4_gib == Some(false) => {
            Cause::NothingHigh { asked: words, size }
        }
        Some(BootLog::NoRoom | BootLog::InUse) => Cause::NoRoom { asked: words, size },
        Some(BootLog::Reserved | BootLog::Unreadable) | None => {
            Cause::NoRoomOrGivenBack { asked: words, size }
        }
    }
}

#[cfg(test)]
mod tests;
