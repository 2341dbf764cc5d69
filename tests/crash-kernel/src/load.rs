//! [7] The image, copied into the crash region as `kimage_load_crash_segment` (kernel/kexec_core.c) does: bytes, then zeroes.

use crate::memory;
use crate::ramdisk::Crash;

/// What an elfcorehdr begins with (ELFMAG).
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// Copies all segments.
pub fn segments(crash: &Crash) {
    for segment in &crash.segments {
        let (start, len) = (segment.memory.start.get(), segment.memory.len.get());
        memory::write(start, segment.bytes);
        memory::zero(start + segment.bytes.len() as u64, len - segment.bytes.len() as u64);
    }
}

/// The segment that Linux takes for the elfcorehdr: the last one that begins like an ELF file, as it is in memory now
/// (`crash_handle_hotplug_event`, kernel/crash_core.c, which does not stop at the first).
pub fn elfcorehdr(crash: &Crash) -> Option<orders::PhysSpan> {
    let begins = |segment: &&crate::ramdisk::Segment| {
        let word = memory::read_word(segment.memory.start.get()).to_le_bytes();
        word.starts_with(ELF_MAGIC)
    };
    crash.segments.iter().filter(begins).map(|segment| segment.memory).next_back()
}
