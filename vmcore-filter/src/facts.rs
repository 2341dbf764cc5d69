//! `[9]` What the dump's headers say of the crashed machine.
//!
//! *On entry* a vmcore. *On exit* [`Headers`]. A field that cannot be read is zero. Readers can do
//! without it. They need only the machine's name, which is always there.

use printk_ring::Vmcoreinfo;

use crate::address_space::AddressSpace;
use crate::format::{Headers, UTS_FIELD, UTS_FIELDS};
use crate::vmcore::Vmcore;

/// Readers take the architecture from the fifth field, `machine`.
const MACHINE: (usize, &[u8]) = (4, b"x86_64");
const SYSNAME: (usize, &[u8]) = (0, b"Linux");
const RELEASE: usize = 2;

/// Collects them.
pub(crate) fn headers(core: &Vmcore, level: u32) -> Headers {
    let notes = core.notes();
    let info = core.vmcoreinfo();
    let number = |key: &str| info?.value(key)?.parse::<i64>().ok();
    let vmcoreinfo = notes.vmcoreinfo().map_or((0, 0), |at| (at.start as u64, at.len() as u64));
    Headers {
        utsname: info.map_or_else(|| utsname(None), |info| read_utsname(core, &info)),
        time: number("CRASHTIME").unwrap_or(0) as u64,
        cpus: notes.cpus(),
        phys_base: number("NUMBER(phys_base)").unwrap_or(0) as u64,
        level,
        max_mapnr: core.memory.end_pfn(),
        notes_len: notes.bytes().len() as u64,
        vmcoreinfo,
    }
}

/// The kernel's own `struct new_utsname`, if it can be read and is one.
fn read_utsname(core: &Vmcore, info: &Vmcoreinfo<'_>) -> [u8; UTS_FIELD * UTS_FIELDS] {
    let release = info.value("OSRELEASE");
    let read = || {
        let address = info.symbol("init_uts_ns").ok()?;
        let offset = info.offset("uts_namespace.name").ok()?;
        let mut space = AddressSpace::find(core, info).ok()?;
        let mut bytes = [0; UTS_FIELD * UTS_FIELDS];
        space.read(address.checked_add(offset)?, &mut bytes).ok()?.then_some(bytes)
    };
    let is_own = |name: &[u8; UTS_FIELD * UTS_FIELDS]| {
        let field = |at: usize| name[at * UTS_FIELD..][..UTS_FIELD].split(|&byte| byte == 0).next();
        field(MACHINE.0) == Some(MACHINE.1) && field(RELEASE) == release.map(str::as_bytes)
    };
    read().filter(is_own).unwrap_or_else(|| utsname(release))
}

/// A `struct new_utsname` of what is known without the kernel's.
fn utsname(release: Option<&str>) -> [u8; UTS_FIELD * UTS_FIELDS] {
    let mut name = [0; UTS_FIELD * UTS_FIELDS];
    let release = (RELEASE, release.unwrap_or_default().as_bytes());
    for (field, value) in [SYSNAME, release, MACHINE] {
        // The last byte stays zero.
        let len = value.len().min(UTS_FIELD - 1);
        name[field * UTS_FIELD..][..len].copy_from_slice(&value[..len]);
    }
    name
}
