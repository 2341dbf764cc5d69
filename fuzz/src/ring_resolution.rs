//! Where the loader finds the printk ring buffer, from VMCOREINFO and from `struct
//! printk_ringbuffer`: it is found if and only if every number is plausible and every array is in
//! RAM outside of crash memory, and then it is the one that the bytes name.
//!
//! An input is the length of VMCOREINFO's text in two bytes, that text, the struct's virtual
//! address in eight bytes, and the struct. The machine is that of `machine.rs`.

use handoff::black_box::LogHeader;
use loader::machine::fuzzing;
use loader::machine::printk::{PrintkRing, RingArray};
use loader::phys::PhysRange;
use printk_ring::writer::{LAYOUT, VMCOREINFO, Writer};

use crate::bytes::{prefix, word};
use crate::machine::MACHINE;
use crate::{Answer, Seed};

const LARGEST_STRUCT: u128 = 4096;
const WHOLE_UP_TO: u128 = 5 << 20;
const LONGEST_COPY: u128 = 8 << 20;
const KEPT_RECORDS: u128 = 4096;
const KEPT_TEXT: u128 = 128 << 10;

/// Start and end in physical memory, bytes of an element, elements to copy.
type Array = [u128; 4];

/// Checks one machine's answer.
pub fn check(data: &[u8]) -> Answer {
    let (len, rest) = prefix::<2>(data);
    let (text, memory) = rest.split_at(rest.len().min(u16::from_le_bytes(len).into()));
    let text = String::from_utf8_lossy(text).into_owned();
    let expected = expected(&text, memory);
    let found = fuzzing::printk(text, memory, &MACHINE).ok();
    assert_eq!(found.as_ref().map(numbers), expected);
    if found.is_some() { Answer::Taken } else { Answer::Refused }
}

fn numbers(ring: &PrintkRing) -> ([Array; 4], [u128; 2]) {
    let range = |range: PhysRange| [range.start(), range.end()].map(u128::from);
    let array = |array: &RingArray| {
        let [start, end] = range(array.range);
        [start, end, array.element_len.into(), array.kept.into()]
    };
    let [start, end] = range(ring.ringbuffer);
    let arrays =
        [[start, end, 0, 0], array(&ring.descriptors), array(&ring.infos), array(&ring.text)];
    (arrays, [ring.head_id, ring.head_lpos].map(u128::from))
}

fn expected(text: &str, memory: &[u8]) -> Option<([Array; 4], [u128; 2])> {
    let size = |name: &str| decimal(value(text, &format!("SIZE({name})"))?);
    let offset = |name: &str| decimal(value(text, &format!("OFFSET({name})"))?);
    let (address, ring) = (word(memory, 0, 8)?, &memory[8..]);
    let ringbuffer_len = size("printk_ringbuffer")?;
    if ring.len() as u128 != ringbuffer_len || ringbuffer_len > LARGEST_STRUCT {
        return None;
    }
    let desc_ring = offset("printk_ringbuffer.desc_ring")?;
    let text_ring = offset("printk_ringbuffer.text_data_ring")?;
    // Each field has the room of a pointer.
    let long = |at: u128| word(ring, at, 8);
    let at = |outer: u128, name| {
        let at = outer + offset(name)?;
        long(at).map(|_| at)
    };
    let power = |at: u128| Some(long(at)? % (1 << 32)).filter(|bits| (1..=31).contains(bits));
    let count = 1u128 << power(at(desc_ring, "prb_desc_ring.count_bits")?)?;
    let text_len = 1u128 << power(at(text_ring, "prb_data_ring.size_bits")?)?;
    let element = |name| size(name).filter(|len| (8..=LARGEST_STRUCT).contains(len));
    let array = |address: u128, element: u128, count: u128| {
        let [start, end] = physical(address, element * count)?;
        Some([start, end, element, count])
    };
    let [start, end] = physical(address, ringbuffer_len)?;
    let mut arrays = [
        [start, end, 0, 0],
        array(long(at(desc_ring, "prb_desc_ring.descs")?)?, element("prb_desc")?, count)?,
        array(long(at(desc_ring, "prb_desc_ring.infos")?)?, element("printk_info")?, count)?,
        array(long(at(text_ring, "prb_data_ring.data")?)?, 1, text_len)?,
    ];
    let heads =
        [at(desc_ring, "prb_desc_ring.head_id")?, at(text_ring, "prb_data_ring.head_lpos")?];
    let copy_len = |arrays: &[Array; 4]| {
        let kept: u128 = arrays.iter().map(|[_, _, element, kept]| element * kept).sum();
        size_of::<LogHeader>() as u128 + ringbuffer_len + kept
    };
    if copy_len(&arrays) > WHOLE_UP_TO {
        for (array, most) in arrays[1..].iter_mut().zip([KEPT_RECORDS, KEPT_RECORDS, KEPT_TEXT]) {
            array[3] = array[3].min(most);
        }
    }
    (copy_len(&arrays) <= LONGEST_COPY).then_some((arrays, heads))
}

/// The value of the first line with this key.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split_inclusive('\n').find_map(|line| {
        let line = line.strip_suffix("\r\n").or(line.strip_suffix('\n')).unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        (name == key).then_some(value)
    })
}

/// Digits alone, below 2^64.
fn decimal(value: &str) -> Option<u128> {
    let number = value.bytes().try_fold(0u128, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        Some(number * 10 + u128::from(digit)).filter(|&number| number < 1 << 64)
    });
    number.filter(|_| !value.is_empty())
}

/// Physical memory of the kernel's own image, else of the direct map: inside one range of RAM, and
/// outside of crash memory.
fn physical(address: u128, len: u128) -> Option<[u128; 2]> {
    let kcore = &MACHINE.kcore;
    let [text, phys, text_len, direct_map] =
        [kcore.text_virt, kcore.text_phys, kcore.text_len, kcore.page_offset].map(u128::from);
    let start = if address >= text && address + len <= text + text_len {
        phys + (address - text)
    } else {
        address.checked_sub(direct_map)?
    };
    let end = start + len;
    let ranges = |ranges: &'static [PhysRange]| {
        ranges.iter().map(|range| [range.start(), range.end()].map(u128::from))
    };
    let in_ram = ranges(&MACHINE.system_ram).any(|[from, to]| from <= start && end <= to);
    let in_crash = ranges(&MACHINE.crash_regions).any(|[from, to]| start < to && from < end);
    (in_ram && !in_crash).then_some([start, end])
}

/// An input of VMCOREINFO, and of a ring of this size with arrays at these virtual addresses.
fn input(vmcoreinfo: &str, bits: [u32; 2], at: [u64; 3]) -> Vec<u8> {
    let mut writer = Writer::new(3, 8);
    writer.addresses = at;
    let mut ring = writer.ringbuffer();
    for (at, bits) in [LAYOUT.count_bits, LAYOUT.size_bits].into_iter().zip(bits) {
        ring[at..at + 4].copy_from_slice(&bits.to_le_bytes());
    }
    let address = MACHINE.kcore.text_virt + 0x100_0100;
    let len = (vmcoreinfo.len() as u16).to_le_bytes();
    [&len[..], vmcoreinfo.as_bytes(), &address.to_le_bytes(), &ring].concat()
}

/// A static ring, a large one that is kept in part, and rings that are not found.
pub fn seeds() -> Vec<Seed> {
    let image = MACHINE.kcore.text_virt + 0x101_0000;
    let direct = MACHINE.kcore.page_offset;
    let crash = direct + MACHINE.crash_regions[0].start();
    let lacking = VMCOREINFO.replace("SIZE(prb_desc)=24\n", "");
    let signed = VMCOREINFO.replace("SIZE(prb_desc)=24\n", "SIZE(prb_desc)=+24\n");
    let in_image = [image, image + 0x2_0000, image + 0xa_0000];
    let in_direct_map = [0x400_0000, 0x800_0000, 0x1000_0000].map(|physical| direct + physical);
    vec![
        Seed::taken("static", input(VMCOREINFO, [12, 17], in_image)),
        Seed::taken("large", input(VMCOREINFO, [16, 21], in_direct_map)),
        Seed::refused("in-crash-memory", input(VMCOREINFO, [12, 17], [image, crash, image])),
        Seed::refused("no-bits", input(VMCOREINFO, [0, 17], in_image)),
        Seed::refused("older-kernel", input(&lacking, [12, 17], in_image)),
        Seed::refused("sign", input(&signed, [12, 17], in_image)),
    ]
}
