//! `[1i]` The running kernel's printk ring buffer: which memory the purgatory copies, so that the
//! last words of the kernel survive a reset.
//!
//! *On entry*
//! * the headers of /proc/kcore with the VMCOREINFO note, and the kernel's memory after them. A
//!   snapshot has a file with the part of that memory that is read.
//!
//! *On exit*
//! * the ring buffer's arrays, each in System RAM and outside crash memory; or the reason why the
//!   kernel log will not be kept. Neither is an error, because a dump needs no log.

use std::fs::File;
use std::os::unix::fs::FileExt;

use handoff::black_box::{LogArray, LogHeader, MAX_LOG_COPY_LEN, PrintkLog};
use handoff::block::PhysSpan;
use object::LittleEndian;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use super::source::{KCORE, PRINTK_RING, Tree};
use super::vmcoreinfo::Vmcoreinfo;
use super::{Error, Kcore};
use crate::phys::PhysRange;

/// Longest copy that has every element. A ring buffer of 1 MiB of text takes 4 718 680 bytes.
pub(crate) const WHOLE_UP_TO: u64 = 5 << 20;
/// Of a larger ring buffer: the newest descriptors, as many as one of 128 KiB of text has
/// (`PRB_AVGBITS`, kernel/printk/printk.c).
const KEPT_RECORDS: u32 = 4096;
/// Of a larger ring buffer: the newest bytes of text.
const KEPT_TEXT: u32 = 128 << 10;
const _: () = assert!(WHOLE_UP_TO <= MAX_LOG_COPY_LEN);

/// Largest plausible structure, in bytes. `struct printk_info` has 88, `struct printk_ringbuffer`
/// too (Linux 6.12).
const MAX_STRUCT: u64 = 4096;
/// Plausible numbers of elements and of bytes of text, as powers of two. `log_buf_len=` accepts at
/// most 2 GiB (`LOG_BUF_LEN_MAX`, kernel/printk/printk.c).
const PLAUSIBLE_BITS: std::ops::RangeInclusive<u32> = 1..=31;
/// Bytes of a pointer, and of an `atomic_long_t`.
const LONG: u64 = 8;

/// The printk ring buffer in physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrintkRing {
    /// `struct printk_ringbuffer`, which `prb` points to.
    pub ringbuffer: PhysRange,
    /// `desc_ring.descs`.
    pub descriptors: RingArray,
    /// `desc_ring.infos`.
    pub infos: RingArray,
    /// `text_data_ring.data`.
    pub text: RingArray,
    /// Offset of `desc_ring.head_id` in `ringbuffer`.
    pub head_id: u32,
    /// Offset of `text_data_ring.head_lpos` in `ringbuffer`.
    pub head_lpos: u32,
}

/// One array of the ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingArray {
    /// All of it.
    pub range: PhysRange,
    /// Bytes in an element; 1 for text.
    pub element_len: u32,
    /// Elements to copy: those that end at the ring's head.
    pub kept: u32,
}

/// Why the kernel log will not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The kernel does not describe itself.
    #[error("/proc/kcore has no VMCOREINFO note")]
    NoNote,
    /// The note lacks a line.
    #[error("VMCOREINFO has no {0}; Linux 5.10 and newer have it")]
    Lacks(String),
    /// The kernel's memory cannot be read.
    #[error("the kernel's memory at {address:#x} cannot be read through /proc/kcore: {cause}")]
    Unreadable {
        /// Virtual address.
        address: u64,
        /// Why not.
        cause: String,
    },
    /// The snapshot's file has another length.
    #[error(
        "the printk ring buffer in the snapshot has {found} bytes, but VMCOREINFO says {expected}"
    )]
    Length {
        /// Bytes in the file after the address.
        found: usize,
        /// `SIZE(printk_ringbuffer)`.
        expected: u64,
    },
    /// A number is out of range.
    #[error("{what} is {value}, which is not plausible")]
    Implausible {
        /// The number.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// An array is not in memory that outlives the crash.
    #[error("{what} at virtual address {address:#x} is not in System RAM, or in crash memory")]
    Outside {
        /// The array.
        what: &'static str,
        /// Its virtual address.
        address: u64,
    },
}

impl PrintkRing {
    /// As the purgatory's block has it.
    pub fn to_wire(&self) -> PrintkLog {
        let array = |array: &RingArray| LogArray {
            span: PhysSpan::new(array.range.start(), array.range.len()),
            element_len: array.element_len.into(),
            kept: array.kept.into(),
        };
        PrintkLog {
            ringbuffer: PhysSpan::new(self.ringbuffer.start(), self.ringbuffer.len()),
            descriptors: array(&self.descriptors),
            infos: array(&self.infos),
            text: array(&self.text),
            head_id: self.head_id.into(),
            head_lpos: self.head_lpos.into(),
        }
    }

    /// Bytes of one copy with its header.
    pub fn copy_len(&self) -> u64 {
        self.to_wire().copy_len().expect("every array is in memory")
    }
}

/// The bytes from which the ring buffer is resolved: its virtual address, then `struct
/// printk_ringbuffer`. A snapshot has them in a file.
pub(super) fn read_bytes(
    tree: Tree<'_>,
    headers: &[u8],
    info: &Vmcoreinfo,
) -> Result<Result<Vec<u8>, Unresolved>, Error> {
    match tree.optional(&PRINTK_RING)? {
        Some(file) => Ok(Ok(file.bytes)),
        None => Ok(read_memory(tree, headers, info)),
    }
}

/// The same through /proc/kcore.
fn read_memory(tree: Tree<'_>, headers: &[u8], info: &Vmcoreinfo) -> Result<Vec<u8>, Unresolved> {
    let prb = info.symbol("prb")?;
    let len = info.size("printk_ringbuffer")?;
    let plausible = Some(len).filter(|len| (1..=MAX_STRUCT).contains(len));
    let len = plausible.ok_or(implausible("SIZE(printk_ringbuffer)", len))?;
    let file = tree
        .open(&KCORE)
        .map_err(|cause| Unresolved::Unreadable { address: prb, cause: cause.to_string() })?;
    let pointer = memory(&file, headers, prb, LONG)?;
    let address = u64::from_le_bytes(pointer[..].try_into().expect("eight bytes"));
    let mut bytes = pointer;
    bytes.extend(memory(&file, headers, address, len)?);
    Ok(bytes)
}

/// `len` bytes at a virtual address, which a segment of /proc/kcore must have.
fn memory(file: &File, headers: &[u8], address: u64, len: u64) -> Result<Vec<u8>, Unresolved> {
    let unreadable = |cause: &str| Unresolved::Unreadable { address, cause: cause.to_owned() };
    let segments = FileHeader64::<LittleEndian>::parse(headers)
        .and_then(|header| header.program_headers(LittleEndian, headers))
        .map_err(|error| unreadable(&error.to_string()))?;
    let at = segments.iter().filter(|segment| segment.p_type(LittleEndian) == PT_LOAD).find_map(
        |segment| {
            let inside = address.checked_sub(segment.p_vaddr(LittleEndian))?;
            let end = inside.checked_add(len)?;
            let at = segment.p_offset(LittleEndian).checked_add(inside)?;
            (end <= segment.p_memsz(LittleEndian)).then_some(at)
        },
    );
    let at = at.ok_or_else(|| unreadable("no segment has it"))?;
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, at).map_err(|error| unreadable(&error.to_string()))?;
    Ok(bytes)
}

/// Resolves the ring buffer from the bytes of [`read_bytes`].
pub(super) fn resolve(
    bytes: &[u8],
    info: &Vmcoreinfo,
    kcore: &Kcore,
    system_ram: &[PhysRange],
    crash_regions: &[PhysRange],
) -> Result<PrintkRing, Unresolved> {
    let expected = info.size("printk_ringbuffer")?;
    let (address, ring) = bytes
        .split_first_chunk::<{ LONG as usize }>()
        .filter(|(_, ring)| ring.len() as u64 == expected && expected <= MAX_STRUCT)
        .ok_or(Unresolved::Length { found: bytes.len().saturating_sub(LONG as usize), expected })?;
    let physical = |what, address, len: u64| {
        physical(address, len, kcore)
            .filter(|range| system_ram.iter().any(|ram| ram.contains(*range)))
            .filter(|range| !crash_regions.iter().any(|region| region.overlaps(*range)))
            .ok_or(Unresolved::Outside { what, address })
    };
    let field = |outer: u64, what| {
        let offset = outer.saturating_add(info.offset(what)?);
        let end = offset.checked_add(LONG).filter(|&end| end <= ring.len() as u64);
        end.map(|_| offset).ok_or(implausible("an offset in printk_ringbuffer", offset))
    };
    let long = |offset: u64| {
        let bytes = ring[offset as usize..].first_chunk().expect("checked by `field`");
        u64::from_le_bytes(*bytes)
    };
    // `unsigned int`, of which the upper half of a long is not a part.
    let bits = |what, offset| {
        let value = long(offset) as u32;
        let plausible = Some(value).filter(|value| PLAUSIBLE_BITS.contains(value));
        plausible.ok_or(implausible(what, value.into()))
    };
    let element = |what: &'static str| {
        let len = info.size(what)?;
        let plausible = Some(len).filter(|len| (LONG..=MAX_STRUCT).contains(len));
        plausible.map(|len| len as u32).ok_or(implausible(what, len))
    };

    let desc_ring = info.offset("printk_ringbuffer.desc_ring")?;
    let text_ring = info.offset("printk_ringbuffer.text_data_ring")?;
    let count = 1_u32 << bits("count_bits", field(desc_ring, "prb_desc_ring.count_bits")?)?;
    let text_len = 1_u32 << bits("size_bits", field(text_ring, "prb_data_ring.size_bits")?)?;
    let array = |what, pointer, element_len: u32, count: u32| {
        let len = u64::from(element_len) * u64::from(count);
        let range = physical(what, long(pointer), len)?;
        Ok::<_, Unresolved>(RingArray { range, element_len, kept: count })
    };
    let mut resolved = PrintkRing {
        ringbuffer: physical("printk_ringbuffer", u64::from_le_bytes(*address), expected)?,
        descriptors: array(
            "desc_ring.descs",
            field(desc_ring, "prb_desc_ring.descs")?,
            element("prb_desc")?,
            count,
        )?,
        infos: array(
            "desc_ring.infos",
            field(desc_ring, "prb_desc_ring.infos")?,
            element("printk_info")?,
            count,
        )?,
        text: array("text_data_ring.data", field(text_ring, "prb_data_ring.data")?, 1, text_len)?,
        head_id: field(desc_ring, "prb_desc_ring.head_id")? as u32,
        head_lpos: field(text_ring, "prb_data_ring.head_lpos")? as u32,
    };
    if resolved.copy_len() > WHOLE_UP_TO {
        resolved.descriptors.kept = count.min(KEPT_RECORDS);
        resolved.infos.kept = count.min(KEPT_RECORDS);
        resolved.text.kept = text_len.min(KEPT_TEXT);
    }
    // Only structures of thousands of bytes would exceed it.
    match resolved.copy_len() {
        len if len > MAX_LOG_COPY_LEN => Err(implausible("the copy's length", len)),
        _ => Ok(resolved),
    }
}

/// The physical memory of a virtual range: in the kernel's own image, else in the direct map.
fn physical(address: u64, len: u64, kcore: &Kcore) -> Option<PhysRange> {
    let text = address
        .checked_sub(kcore.text_virt)
        .filter(|&inside| inside.checked_add(len).is_some_and(|end| end <= kcore.text_len));
    match text {
        Some(inside) => PhysRange::with_len(kcore.text_phys.checked_add(inside)?, len),
        None => PhysRange::with_len(address.checked_sub(kcore.page_offset)?, len),
    }
}

fn implausible(what: &'static str, value: u64) -> Unresolved {
    Unresolved::Implausible { what, value }
}

// A copy has a header, and a ring buffer's struct, in addition to its arrays.
const _: () = assert!(
    size_of::<LogHeader>() as u64 + MAX_STRUCT + KEPT_RECORDS as u64 * (88 + 24) + KEPT_TEXT as u64
        <= WHOLE_UP_TO
);

#[cfg(test)]
mod tests;
