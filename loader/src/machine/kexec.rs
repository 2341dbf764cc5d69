//! [1g] The crash kernel interface: whether it may be used, and what is armed.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Error;
use super::iomem::parse_range;
use super::source::{
    CPU_CRASH_HOTPLUG, CRASH_LOADED, CRASH_SIZE, Found, LOAD_DISABLED, LOCKDOWN, MEMORY_CRASH_HOTPLUG, Source, Tree,
    parse_hexadecimal, quoted,
};
use crate::phys::{PhysRange, merged};

/// How often a no to "is the armed image kept current" is asked again, and how long to wait in between: the kernel says no, too, while
/// somebody else holds the kexec lock (`crash_check_hotplug_support`, kernel/crash_core.c).
const NO_TRIES: u32 = 5;
const NO_PAUSE: Duration = Duration::from_millis(10);

/// How often a no is doubted that contradicts what is known of the image, and how long to wait in between.
const DOUBTS: u32 = 10;
const DOUBT_PAUSE: Duration = Duration::from_millis(100);

/// Whether the kernel lets anybody load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KexecPermission {
    /// /proc/sys/kernel/kexec_load_disabled.
    pub load_disabled: bool,
    /// The bracketed word of /sys/kernel/security/lockdown, if it can be read.
    pub lockdown: Option<String>,
}

impl KexecPermission {
    /// Reads only this, which needs no privilege.
    pub fn read(root: &Path) -> Result<Self, Error> {
        read_permission(Tree::new(root))
    }
}

/// What is armed. It is not part of a [`Machine`](super::Machine): no image depends on it, and reading it takes the kernel's kexec lock for a moment,
/// during which a panic would leave no dump (`__crash_kexec`, kernel/crash_core.c).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KexecState {
    /// /sys/kernel/kexec_crash_loaded, or kexec/crash_loaded.
    pub crash_loaded: bool,
    /// /sys/kernel/kexec_crash_size: the sum of all crash regions, bytes.
    pub crash_size: u64,
    /// Whether the kernel keeps the elfcorehdr current.
    pub crash_hotplug: CrashHotplug,
}

/// Whether the kernel keeps the elfcorehdr of the armed image current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashHotplug {
    /// When CPUs come and go (/sys/devices/system/cpu/crash_hotplug; absent before Linux 6.6).
    pub cpu: Option<bool>,
    /// When memory comes (/sys/devices/system/memory/crash_hotplug; absent before Linux 6.6).
    pub memory: Option<bool>,
}

impl CrashHotplug {
    /// Asks the kernel about the image that is armed now.
    pub fn read(root: &Path) -> Result<Self, Error> {
        read_hotplug(Tree::new(root), true)
    }

    /// The same about an image that is said to be kept current: a no is asked again for a second, for the kernel says no as well while somebody holds
    /// its lock, and in a storm of hotplug somebody often does.
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

    /// Nothing that the kernel knows to come goes unfollowed.
    pub fn complete(self) -> bool {
        let known = || [self.cpu, self.memory].into_iter().flatten();
        known().next().is_some() && known().all(|follows| follows)
    }
}

impl KexecState {
    /// Asks the kernel, which needs no privilege.
    pub fn read(root: &Path) -> Result<Self, Error> {
        read_state(Tree::new(root))
    }

    /// Asks the kernel only whether an image is armed.
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
    let tries = if loaded { NO_TRIES } else { 1 };
    let flag = |source: &Source| {
        for _ in 1..tries {
            match tree.optional(source)? {
                Some(file) if !file.flag()? => thread::sleep(NO_PAUSE),
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
        // securityfs may be unmounted or closed to us; the kernel will say so itself if it refuses the image.
        lockdown: tree.optional(&LOCKDOWN).ok().flatten().and_then(|file| bracketed(file.text().ok()?)),
    })
}

/// The word in brackets of a line like `none [integrity] confidentiality`.
fn bracketed(text: &str) -> Option<String> {
    let (_, after) = text.split_once('[')?;
    let (word, _) = after.split_once(']')?;
    Some(word.to_owned())
}

/// `0x<address> <size>`, the size hexadecimal too, without a prefix (`vmcoreinfo_show`, kernel/ksysfs.c).
pub(super) fn parse_vmcoreinfo(file: &Found) -> Result<PhysRange, Error> {
    let text = file.text()?;
    let range = text.split_once(' ').and_then(|(address, size)| {
        // `parse_hexadecimal` would take a second prefix.
        let digits = address.strip_prefix("0x").filter(|digits| !digits.starts_with("0x"))?;
        PhysRange::with_len(parse_hexadecimal(digits)?, parse_hexadecimal(size)?)
    });
    range.filter(|range| !range.is_empty()).ok_or_else(|| file.garbled(quoted(text)))
}

/// Lines `START-END`, both ends included (`crash_cma_ranges_show`, kernel/kexec_core.c of Linux 7.2).
pub(super) fn parse_cma_ranges(file: &Found) -> Result<Vec<PhysRange>, Error> {
    let ranges = file.text()?.lines().map(|line| parse_range(line).ok_or_else(|| file.garbled(quoted(line))));
    Ok(merged(ranges.collect::<Result<_, _>>()?))
}
