//! `[1e]` The kernel's crash interface: whether loading is permitted, and whether an image is
//! armed.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Error;
use super::iomem::parse_range;
use super::source::{
    CPU_CRASH_HOTPLUG, CRASH_LOADED, CRASH_SIZE, Found, LOAD_DISABLED, LOCKDOWN,
    MEMORY_CRASH_HOTPLUG, Source, Tree, parse_hexadecimal, quoted,
};
use crate::phys::{PhysRange, merged};

/// How often a 0 in `crash_hotplug` is read again, and the pause. The kernel also returns 0 while
/// another process holds the kexec lock (`crash_check_hotplug_support`, kernel/crash_core.c).
const ZERO_TRIES: u32 = 5;
const ZERO_PAUSE: Duration = Duration::from_millis(10);

/// How often a 0 is read again if the image was armed with hotplug support, and the pause.
const DOUBTS: u32 = 10;
const DOUBT_PAUSE: Duration = Duration::from_millis(100);

/// Whether the kernel permits loading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KexecPermission {
    /// /proc/sys/kernel/kexec_load_disabled.
    pub load_disabled: bool,
    /// The bracketed word of /sys/kernel/security/lockdown, if it can be read.
    pub lockdown: Option<String>,
}

impl KexecPermission {
    /// Reads it below `root`. No privilege is needed.
    pub fn read(root: &Path) -> Result<Self, Error> {
        read_permission(Tree::new(root))
    }
}

/// Whether an image is armed.
///
/// It is not part of a [`Machine`](super::Machine), because no image depends on it. Reading it
/// takes the kernel's kexec lock for a moment, and a panic at that moment would leave no dump
/// (`__crash_kexec`, kernel/crash_core.c).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KexecState {
    /// Whether an image is armed (/sys/kernel/kexec_crash_loaded, or kexec/crash_loaded).
    pub crash_loaded: bool,
    /// Bytes in all crash regions together (/sys/kernel/kexec_crash_size).
    pub crash_size: u64,
    /// Whether the kernel keeps the elfcorehdr up to date.
    pub crash_hotplug: CrashHotplug,
}

/// Whether the kernel keeps the elfcorehdr of the armed image up to date. `None`: there is no such
/// file, as before Linux 6.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashHotplug {
    /// On CPU hotplug (/sys/devices/system/cpu/crash_hotplug).
    pub cpu: Option<bool>,
    /// On memory hotplug (/sys/devices/system/memory/crash_hotplug).
    pub memory: Option<bool>,
}

impl CrashHotplug {
    /// Reads it for the image that is armed now.
    pub fn read(root: &Path) -> Result<Self, Error> {
        read_hotplug(Tree::new(root), true)
    }

    /// The same for an image that was armed with hotplug support. A 0 is read again for about a
    /// second, because the kernel also returns 0 while its kexec lock is held, which is often in a
    /// storm of hotplug events.
    pub fn read_patiently(root: &Path) -> Result<Self, Error> {
        for _ in 0..DOUBTS {
            let answer = Self::read(root)?;
            if answer.complete() {
                return Ok(answer);
            }
            thread::sleep(DOUBT_PAUSE);
        }
        Self::read(root)
    }

    /// Whether the kernel updates the elfcorehdr on every kind of hotplug that it supports.
    pub fn complete(self) -> bool {
        let known = || [self.cpu, self.memory].into_iter().flatten();
        known().next().is_some() && known().all(|follows| follows)
    }
}

impl KexecState {
    /// Reads it below `root`. No privilege is needed.
    pub fn read(root: &Path) -> Result<Self, Error> {
        read_state(Tree::new(root))
    }

    /// Reads only whether an image is armed.
    pub fn crash_loaded(root: &Path) -> Result<bool, Error> {
        read_loaded(Tree::new(root))
    }
}

pub(super) fn read_state(tree: Tree<'_>) -> Result<KexecState, Error> {
    let crash_loaded = read_loaded(tree)?;
    Ok(KexecState {
        crash_loaded,
        crash_size: tree.required(&CRASH_SIZE)?.decimal()?,
        crash_hotplug: read_hotplug(tree, crash_loaded)?,
    })
}

pub(super) fn read_loaded(tree: Tree<'_>) -> Result<bool, Error> {
    tree.required(&CRASH_LOADED)?.flag()
}

pub(super) fn read_hotplug(tree: Tree<'_>, loaded: bool) -> Result<CrashHotplug, Error> {
    let tries = if loaded { ZERO_TRIES } else { 1 };
    let flag = |source: &Source| {
        for _ in 1..tries {
            match tree.optional(source)? {
                Some(file) if !file.flag()? => thread::sleep(ZERO_PAUSE),
                answer => return answer.map(|file| file.flag()).transpose(),
            }
        }
        tree.optional(source)?.map(|file| file.flag()).transpose()
    };
    Ok(CrashHotplug { cpu: flag(&CPU_CRASH_HOTPLUG)?, memory: flag(&MEMORY_CRASH_HOTPLUG)? })
}

pub(super) fn read_permission(tree: Tree<'_>) -> Result<KexecPermission, Error> {
    Ok(KexecPermission {
        load_disabled: tree.required(&LOAD_DISABLED)?.flag()?,
        // securityfs may be unmounted or unreadable. The system call then reports lockdown.
        lockdown: tree
            .optional(&LOCKDOWN)
            .ok()
            .flatten()
            .and_then(|file| bracketed(file.text().ok()?)),
    })
}

/// The word in brackets of a line like `none [integrity] confidentiality`.
fn bracketed(text: &str) -> Option<String> {
    let (_, after) = text.split_once('[')?;
    let (word, _) = after.split_once(']')?;
    Some(word.to_owned())
}

/// `0x<address> <size>`; the size is hexadecimal without a prefix (`vmcoreinfo_show`,
/// kernel/ksysfs.c).
pub(super) fn parse_vmcoreinfo(file: &Found) -> Result<PhysRange, Error> {
    let text = file.text()?;
    let range = text.split_once(' ').and_then(|(address, size)| {
        // `parse_hexadecimal` would accept a second prefix.
        let digits = address.strip_prefix("0x").filter(|digits| !digits.starts_with("0x"))?;
        PhysRange::with_len(parse_hexadecimal(digits)?, parse_hexadecimal(size)?)
    });
    range.filter(|range| !range.is_empty()).ok_or_else(|| file.garbled(quoted(text)))
}

/// Lines `START-END`, both ends included (`crash_cma_ranges_show`, kernel/kexec_core.c of Linux
/// 7.2).
pub(super) fn parse_cma_ranges(file: &Found) -> Result<Vec<PhysRange>, Error> {
    let ranges = file
        .text()?
        .lines()
        .map(|line| parse_range(line).ok_or_else(|| file.garbled(quoted(line))));
    Ok(merged(ranges.collect::<Result<_, _>>()?))
}
