//! [1g] The state of the crash kernel interface.

use super::iomem::parse_range;
use super::source::{
    CPU_CRASH_HOTPLUG, CRASH_LOADED, CRASH_SIZE, Found, LOAD_DISABLED, LOCKDOWN, MEMORY_CRASH_HOTPLUG, Source, Tree,
    parse_hexadecimal, quoted,
};
use super::{Error, KexecState};
use crate::phys::{PhysRange, merged};

pub(super) fn read_state(tree: Tree<'_>) -> Result<KexecState, Error> {
    let optional_flag = |source: &Source| tree.optional(source)?.map(|file| file.flag()).transpose();
    Ok(KexecState {
        load_disabled: tree.required(&LOAD_DISABLED)?.flag()?,
        crash_loaded: tree.required(&CRASH_LOADED)?.flag()?,
        crash_size: tree.required(&CRASH_SIZE)?.decimal()?,
        crash_hotplug_cpu: optional_flag(&CPU_CRASH_HOTPLUG)?,
        crash_hotplug_memory: optional_flag(&MEMORY_CRASH_HOTPLUG)?,
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
        PhysRange::with_len(parse_hexadecimal(address.strip_prefix("0x")?)?, parse_hexadecimal(size)?)
    });
    range.filter(|range| !range.is_empty()).ok_or_else(|| file.garbled(quoted(text)))
}

/// Lines `START-END`, both ends included (`crash_cma_ranges_show`, kernel/kexec_core.c of Linux 7.2).
pub(super) fn parse_cma_ranges(file: &Found) -> Result<Vec<PhysRange>, Error> {
    let ranges = file.text()?.lines().map(|line| parse_range(line).ok_or_else(|| file.garbled(quoted(line))));
    Ok(merged(ranges.collect::<Result<_, _>>()?))
}
