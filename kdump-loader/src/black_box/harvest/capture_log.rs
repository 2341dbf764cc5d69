//! `[d]` The capture kernel's own log. It describes itself on a page of VMCOREINFO, as every kernel
//! with CONFIG_VMCORE_INFO does.
//!
//! The crash region also has a page of the crashed kernel (`kimage_crash_copy_vmcoreinfo`,
//! kernel/kexec_core.c). Its page tables are elsewhere, so it does not lead to a log here.

use printk_ring::{Heads, Layout, Log, Part, Ring, Vmcoreinfo, decode};

use super::memory::OldMemory;
use super::page_tables::AddressSpace;
use crate::black_box::armed::ArmedBox;

/// How the page begins (`VMCOREINFO_OSRELEASE`, kernel/vmcore_info.c).
const BEGINNING: &[u8] = b"OSRELEASE=";
const PAGE: usize = 4096;
/// How much of the region is searched at a time.
const CHUNK: u64 = 4 << 20;
/// Pages to follow. Each boot of a capture kernel leaves one.
const MOST_PAGES: usize = 16;

/// The log, and the release of the kernel. If there are several, the one with the most records.
pub fn find(
    memory: &OldMemory<'_>,
    armed: &ArmedBox,
    notes: &mut Vec<String>,
) -> Option<(String, Log)> {
    let pages = pages(memory, armed);
    let mut logs: Vec<_> = pages.iter().filter_map(|page| follow(memory, armed, page)).collect();
    logs.sort_by_key(|(_, log)| log.records().count());
    if logs.len() > 1 {
        notes.push(format!(
            "memory has {} logs of capture kernels; this is the longest, and may be of \
             an earlier panic",
            logs.len()
        ));
    }
    logs.pop()
}

fn pages(memory: &OldMemory<'_>, armed: &ArmedBox) -> Vec<Vec<u8>> {
    let region = armed.crash_region;
    let mut found = Vec::new();
    let mut at = 0;
    while at < region.len && found.len() < MOST_PAGES {
        let len = CHUNK.min(region.len - at);
        // A part that cannot be read may surround one that can, but a page that is not shown holds
        // nothing.
        let bytes = memory.read(region.start.saturating_add(at), len).unwrap_or_default();
        let pages = bytes.chunks(PAGE).filter(|page| page.starts_with(BEGINNING));
        found.extend(pages.map(<[u8]>::to_vec));
        at += len;
    }
    found.truncate(MOST_PAGES);
    found
}

/// From a page to the log.
fn follow(memory: &OldMemory<'_>, armed: &ArmedBox, page: &[u8]) -> Option<(String, Log)> {
    let vmcoreinfo = Vmcoreinfo::new(page);
    let layout = Layout::of(&vmcoreinfo).ok()?;
    let space = AddressSpace::of(memory, armed.crash_region, &vmcoreinfo).ok()?;
    let pointer = space.read(vmcoreinfo.symbol("prb").ok()?, 8)?;
    let address = u64::from_le_bytes(pointer.try_into().ok()?);
    let ringbuffer = space.read(address, layout.ringbuffer_len as u64)?;
    let heads = Heads::read(&layout, &ringbuffer)?;
    let array = |address, len: usize| space.read(address, heads.count() * len as u64);
    let descriptors = array(heads.descs, layout.desc_len).unwrap_or_default();
    let infos = array(heads.infos, layout.info_len).unwrap_or_default();
    let text = space.read(heads.data, heads.size())?;
    let ring = Ring {
        ringbuffer: &ringbuffer,
        descriptors: Part::whole(&descriptors),
        infos: Part::whole(&infos),
        text: Part::whole(&text),
    };
    let log = decode(&layout, &ring);
    let release = vmcoreinfo.value("OSRELEASE").unwrap_or_default().to_owned();
    (!log.entries.is_empty()).then_some((release, log))
}
