//! [1g] The crash kernel interface: whether it may be used, and what is armed.

use std::thread;
use std::time::Duration;

use super::iomem::parse_range;
use super::source::{
    CPU_CRASH_HOTPLUG, CRASH_LOADED, CRASH_SIZE, Found, LOAD_DISABLED, LOCKDOWN, MEMORY_CRASH_HOTPLUG, Source, Tree,
    parse_hexadecimal, quoted,
};
use super::{CrashHotplug, Error, KexecPermission, KexecState};
use crate::phys::{PhysRange, merged};

/// How often a no to "is the armed image kept current" is asked again, and how long to wait in between: the kernel says no, too, while
/// somebody else holds the kexec lock (`crash_check_hotplug_support`, kernel/crash_core.c).
const NO_TRIES: u32 = 5;
const NO_PAUSE: Duration = Duration::from_millis(10);

/// How often a no is doubted that contradicts what is known of the image, and how long to wait in between.
pub(super) const DOUBTS: u32 = 10;
pub(super) const DOUBT_PAUSE: Duration = Duration::from_millis(100);

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
