//! `[11]` Rejects images that kexec_load(2) would reject.
//!
//! In the system call it would be too late: the kernel frees the armed image before it checks the
//! segments of the new one (`do_kexec_load`, kernel/kexec.c).
//!
//! *On entry*
//! * a finished image.
//!
//! *On exit*
//! * every rule of `sanity_check_segment_list` (kernel/kexec_core.c) holds;
//! * only the elfcorehdr begins with ELF magic;
//! * the black box is in free memory of the crash region.

pub mod preflight; // whether this machine permits loading

use handoff::block::MAX_REGIONS;
use handoff::{BlackBox, PAGE_SIZE};
use object::elf::ELFMAG;

use crate::REPORT_IT;
use crate::image::{Image, SegmentKind};
use crate::machine::Machine;
use crate::phys::PhysRange;

/// `KEXEC_SEGMENT_MAX`, include/uapi/linux/kexec.h.
pub(crate) const MAX_SEGMENTS: usize = 16;
const _: () = assert!(MAX_SEGMENTS <= MAX_REGIONS, "every segment may be a region");

/// Why the kernel would reject the image, or misinterpret it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has too many segments.
    #[error(
        "the image has {0} segments, but the kernel accepts at most {MAX_SEGMENTS}: {REPORT_IT}"
    )]
    TooManySegments(usize),
    /// A segment is not made of whole pages.
    #[error(
        "segment {name} at {range} is not made of whole pages of {PAGE_SIZE} bytes: {REPORT_IT}"
    )]
    Unaligned {
        /// The segment.
        name: &'static str,
        /// Its range.
        range: PhysRange,
    },
    /// A segment is not inside the crash region.
    #[error("segment {name} at {range} is not inside the crash region {region}: {REPORT_IT}")]
    Outside {
        /// The segment.
        name: &'static str,
        /// Its range.
        range: PhysRange,
        /// The region.
        region: PhysRange,
    },
    /// Two segments share memory.
    #[error("segment {name} at {range} overlaps segment {other} at {other_range}: {REPORT_IT}")]
    Overlap {
        /// One segment.
        name: &'static str,
        /// Its range.
        range: PhysRange,
        /// The other segment.
        other: &'static str,
        /// Its range.
        other_range: PhysRange,
    },
    /// A segment has more bytes than memory.
    #[error(
        "segment {name} has {file_len} bytes, but {range} holds only {}: {REPORT_IT}",
        range.len()
    )]
    Overfull {
        /// The segment.
        name: &'static str,
        /// Its range.
        range: PhysRange,
        /// Bytes to copy.
        file_len: u64,
    },
    /// A segment or the image is larger than half of RAM, the most that the kernel accepts.
    #[error(
        "{what} takes {len} bytes, but the kernel accepts at most half of this machine's memory, \
         {limit} bytes: use a smaller initrd, or add memory"
    )]
    HalfOfRam {
        /// A segment, or the whole image.
        what: &'static str,
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The entry point is outside the purgatory's segment.
    #[error("the entry point {entry:#x} is outside the purgatory's segment: {REPORT_IT}")]
    Entry {
        /// The entry point.
        entry: u64,
    },
    /// Another segment begins like the elfcorehdr.
    #[error(
        "segment {name} at {range} begins with ELF magic (7f 45 4c 46), so on hotplug the kernel \
         would overwrite it as if it were the elfcorehdr: use an initrd that is a cpio archive, \
         plain or compressed, and a purgatory whose text does not begin with its ELF header"
    )]
    ElfMagic {
        /// The segment.
        name: &'static str,
        /// Its range.
        range: PhysRange,
    },
    /// The black box shares memory with something, or is not in the crash region.
    #[error(
        "the black box at {range} is not made of free whole pages of the crash region {region}: \
         {REPORT_IT}"
    )]
    BlackBox {
        /// A record page, or a copy of the log.
        range: PhysRange,
        /// The region.
        region: PhysRange,
    },
    /// The elfcorehdr does not begin with ELF magic.
    #[error(
        "the elfcorehdr at {range} does not begin with ELF magic, so the kernel could not find it: \
         {REPORT_IT}"
    )]
    NoElfMagic {
        /// Its range.
        range: PhysRange,
    },
}

/// One segment, as the kernel sees it.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    name: &'static str,
    range: PhysRange,
    bytes: &'a [u8],
    elfcorehdr: bool,
}

/// Checks `image` against the kernel's rules on `machine`. One of them depends on the machine: half
/// of `totalram_pages()`.
pub(crate) fn check(image: &Image<'_>, machine: &Machine) -> Result<(), Error> {
    let segments: Vec<Candidate<'_>> = image
        .segments()
        .iter()
        .map(|segment| Candidate {
            name: segment.kind().name(),
            range: segment.range(),
            bytes: segment.bytes(),
            elfcorehdr: segment.kind() == SegmentKind::Elfcorehdr,
        })
        .collect();
    check_segments(&segments, image.crash_region(), machine.total_ram / 2)?;
    let entry = image.entry();
    let purgatory =
        image.segments().iter().filter(|segment| segment.kind() == SegmentKind::Purgatory);
    if !purgatory
        .map(|segment| segment.range())
        .any(|range| range.start() <= entry && entry < range.end())
    {
        return Err(Error::Entry { entry });
    }
    let segments: Vec<PhysRange> = segments.iter().map(|segment| segment.range).collect();
    check_black_box(image.black_box(), &segments, image.crash_region())
}

/// What the purgatory writes must be in no segment, and no other memory than crash memory.
fn check_black_box(
    black_box: Option<&BlackBox>,
    segments: &[PhysRange],
    region: PhysRange,
) -> Result<(), Error> {
    let Some(BlackBox { records, log_copies, .. }) = black_box else { return Ok(()) };
    let records = records.iter().map(|at| (at.get(), PAGE_SIZE)).filter(|&(at, _)| at != 0);
    let copies = log_copies.iter().map(|copy| (copy.start.get(), copy.len.get()));
    let mut taken = segments.to_vec();
    for (start, len) in records.chain(copies.filter(|&(_, len)| len != 0)) {
        let range = PhysRange::with_len(start, len).unwrap_or(region);
        let free = region.contains(range)
            && range.start().is_multiple_of(PAGE_SIZE)
            && range.end().is_multiple_of(PAGE_SIZE)
            && !taken.iter().any(|other| other.overlaps(range));
        if !free {
            return Err(Error::BlackBox { range, region });
        }
        taken.push(range);
    }
    Ok(())
}

fn check_segments(
    segments: &[Candidate<'_>],
    region: PhysRange,
    half_of_ram: u64,
) -> Result<(), Error> {
    if segments.len() > MAX_SEGMENTS {
        return Err(Error::TooManySegments(segments.len()));
    }
    for (index, &Candidate { name, range, bytes, elfcorehdr }) in segments.iter().enumerate() {
        let file_len = bytes.len() as u64;
        if !range.start().is_multiple_of(PAGE_SIZE) || !range.end().is_multiple_of(PAGE_SIZE) {
            return Err(Error::Unaligned { name, range });
        }
        if !region.contains(range) {
            return Err(Error::Outside { name, range, region });
        }
        if let Some(other) = segments[..index].iter().find(|other| other.range.overlaps(range)) {
            return Err(Error::Overlap {
                name,
                range,
                other: other.name,
                other_range: other.range,
            });
        }
        if file_len > range.len() {
            return Err(Error::Overfull { name, range, file_len });
        }
        if range.len() > half_of_ram {
            return Err(Error::HalfOfRam { what: name, len: range.len(), limit: half_of_ram });
        }
        // On hotplug, the kernel rewrites the last segment that begins with ELF magic, as the
        // elfcorehdr (`crash_handle_hotplug_event`, kernel/crash_core.c).
        match (bytes.starts_with(&ELFMAG), elfcorehdr) {
            (true, false) => return Err(Error::ElfMagic { name, range }),
            (false, true) => return Err(Error::NoElfMagic { range }),
            _ => {}
        }
    }
    let len = segments.iter().map(|segment| segment.range.len()).sum();
    if len > half_of_ram {
        return Err(Error::HalfOfRam { what: "the whole image", len, limit: half_of_ram });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
