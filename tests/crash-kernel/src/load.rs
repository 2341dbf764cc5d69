//! `[9]` The image, copied into the crash region as `kimage_load_crash_segment`
//! (kernel/kexec_core.c) does: bytes, then zeroes.

use core::ops::Range;

use orders::{Crash, Segment};

use crate::memory;

/// The first bytes of an elfcorehdr (ELFMAG).
pub const ELF_MAGIC: &[u8] = b"\x7fELF";

pub fn segments(crash: &Crash<'_>) {
    for Segment { memory, bytes } in &crash.segments {
        memory::write(memory.start, bytes);
        let tail = memory.start + bytes.len() as u64;
        memory::zero(tail, memory.end - tail);
    }
}

/// The segment that Linux treats as the elfcorehdr: the last one that begins like an ELF file, as
/// it is in memory now (`crash_handle_hotplug_event`, kernel/crash_core.c, which does not stop at
/// the first).
pub fn elfcorehdr(crash: &Crash<'_>) -> Option<Range<u64>> {
    let begins = |segment: &&Segment<'_>| {
        memory::read_word(segment.memory.start).to_le_bytes().starts_with(ELF_MAGIC)
    };
    crash.segments.iter().rfind(begins).map(|segment| segment.memory.clone())
}
