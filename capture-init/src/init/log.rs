//! `[4]` The crashed kernel's log, as text.
//!
//! *On entry* the vmcore, whose VMCOREINFO leads to the printk ring buffer. *On exit* the lines of
//! dmesg(1). Of a very long log, the newest part: the capture kernel has little memory, and the
//! whole log is in the dump.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use printk_ring::{Heads, Layout, Log, Part, Ring, Vmcoreinfo, decode};
use vmcore_filter::{AddressSpace, Output, Vmcore};

use crate::output::Target;
use crate::step::{Done, Place, Trouble};

/// Most bytes of text that are decoded.
const MOST_TEXT: u64 = 2 << 20;
/// Most records that are decoded: 3 MiB of descriptors and infos.
const MOST_RECORDS: u64 = 1 << 15;
/// Words that begin the message of a crash. `---[ end Kernel panic` repeats one.
const CRASHES: [&str; 3] = ["Kernel panic", "BUG:", "Oops"];
const REPEATED: &str = "---[ end";

/// Writes it.
pub fn save(vmcore: &Path, place: &Place) -> Result<Done, Trouble> {
    let core = Vmcore::open(vmcore).map_err(Trouble::of_step)?;
    let (log, kernel) = read(&core)?;
    let write = || -> io::Result<u64> {
        let mut out = BufWriter::new(Text { target: Target::open(place)?, bytes: 0 });
        write!(out, "{log}")?;
        let Text { target, bytes } = out.into_inner().map_err(|error| error.into_error())?;
        target.finish(bytes)?;
        Ok(bytes)
    };
    let bytes = write().map_err(Trouble::target("cannot write the crashed kernel's log"))?;
    Ok(Done::Log { bytes, kernel, crash: crash(&log) })
}

/// The log, and the kernel's release.
fn read(core: &Vmcore) -> Result<(Log, Option<String>), Trouble> {
    let info = core.vmcoreinfo();
    let info = info.ok_or_else(|| Trouble::of_step("the vmcore has no VMCOREINFO"))?;
    let layout = Layout::of(&info).map_err(Trouble::of_step)?;
    let mut space = AddressSpace::find(core, &info).map_err(Trouble::of_step)?;
    let log = ring(&layout, &info, &mut space)?;
    Ok((log, info.value("OSRELEASE").map(str::to_owned)))
}

fn ring(
    layout: &Layout,
    info: &Vmcoreinfo<'_>,
    space: &mut AddressSpace<'_>,
) -> Result<Log, Trouble> {
    let lost = |what| move || Trouble::of_step(format_args!("the vmcore does not have {what}"));
    let pointer = info.symbol("prb").map_err(Trouble::of_step)?;
    let address = space.word(pointer).map_err(Trouble::of_step)?;
    let address = address.ok_or_else(lost("the pointer to the log"))?;
    let mut ringbuffer = vec![0; layout.ringbuffer_len];
    if !space.read(address, &mut ringbuffer).map_err(Trouble::of_step)? {
        return Err(lost("the log's struct printk_ringbuffer")());
    }
    let heads = Heads::read(layout, &ringbuffer).ok_or_else(|| {
        Trouble::of_step("the log's struct printk_ringbuffer has values that no kernel writes")
    })?;
    let records = heads.count().min(MOST_RECORDS);
    let first = heads.head_id.wrapping_add(1).wrapping_sub(records);
    let mut array = |address, first, most, of, len| part(space, address, first, most, of, len);
    let (descriptors, first_descriptor) =
        array(heads.descs, first, records, heads.count(), layout.desc_len);
    let (infos, first_info) = array(heads.infos, first, records, heads.count(), layout.info_len);
    let chars = heads.size().min(MOST_TEXT);
    let (text, first_text) =
        array(heads.data, heads.head_lpos.wrapping_sub(chars), chars, heads.size(), 1);
    let ring = Ring {
        ringbuffer: &ringbuffer,
        descriptors: Part { bytes: &descriptors, first: first_descriptor },
        infos: Part { bytes: &infos, first: first_info },
        text: Part { bytes: &text, first: first_text },
    };
    let log = decode(layout, &ring);
    match log.entries.is_empty() {
        true => Err(Trouble::of_step("the crashed kernel's log has no record")),
        false => Ok(log),
    }
}

/// `most` elements of an array of `of`, from place `first` on, around its end. What the vmcore does
/// not have is zeroes, and the decoder marks the records as damaged.
fn part(
    space: &mut AddressSpace<'_>,
    address: u64,
    first: u64,
    most: u64,
    of: u64,
    len: usize,
) -> (Vec<u8>, u64) {
    let first = first % of;
    let before_end = most.min(of - first);
    let mut bytes = vec![0; most as usize * len];
    let (one, other) = bytes.split_at_mut(before_end as usize * len);
    for (at, part) in [(first, one), (0, other)] {
        if !matches!(space.read(address.wrapping_add(at * len as u64), part), Ok(true)) {
            part.fill(0);
        }
    }
    (bytes, first)
}

/// The last line that announces a crash.
fn crash(log: &Log) -> Option<String> {
    log.texts().rev().find_map(|text| {
        let text = printk_ring::dmesg::printable(text);
        let is_crash = |line: &&str| {
            !line.starts_with(REPEATED) && CRASHES.iter().any(|word| line.contains(word))
        };
        text.lines().rev().find(is_crash).map(str::to_owned)
    })
}

/// A target that is written from its start.
struct Text {
    target: Target,
    bytes: u64,
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.target.write_at(self.bytes, bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
