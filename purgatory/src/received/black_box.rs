//! `[4]` The black box's claims become proven types.
//!
//! *On entry*: everything else of the block is proven.
//!
//! *On exit*:
//! * What is written is whole pages of the crash region, which nothing else uses.
//! * What is read as the kernel log is outside the crash region, so no write of ours changes it.
//! * Each copy has room for all that is kept of the log.

use handoff::black_box::{
    BlackBox as Alleged, LogArray, MAX_LOG_COPIES, MAX_LOG_COPY_LEN, MAX_RECORDS, PrintkLog,
};
use handoff::{PAGE_SIZE, Permissions, PhysSpan};

use super::{ProvenRegion, Span};

/// The highest I/O port.
const HIGHEST_PORT: u32 = 0xffff;
/// Bytes from KCS's data register to its status register (SMBIOS type 38, "Register Spacing").
const KCS_SPACINGS: [u32; 3] = [1, 4, 16];
/// The highest number of elements whose indexes fit a copy's header.
const MAX_ELEMENTS: u64 = 1 << 32;
/// Bytes of `head_id` and of `head_lpos`: an `atomic_long_t`.
const HEAD_LEN: u64 = 8;

/// Where the purgatory leaves its records, and how it signals.
#[derive(Clone, Debug, Default)]
pub struct BlackBox {
    /// The number of this load; 0 if there is no record and no copy.
    pub generation: u64,
    records: [Option<Span>; MAX_RECORDS],
    /// The kernel log to copy.
    pub log: Option<Log>,
    /// Signals out of the machine.
    pub signals: Signals,
}

impl BlackBox {
    /// The record pages.
    pub fn records(&self) -> impl Iterator<Item = Span> + '_ {
        self.records.iter().flatten().copied()
    }
}

/// The kernel log, and where it is copied to.
#[derive(Clone, Debug)]
pub struct Log {
    copies: [Option<Span>; MAX_LOG_COPIES],
    /// `struct printk_ringbuffer`.
    pub ringbuffer: Span,
    /// Descriptors.
    pub descriptors: Array,
    /// Infos, as many as there are descriptors.
    pub infos: Array,
    /// Text, in elements of one byte.
    pub text: Array,
    /// Offset of the newest descriptor's id in the ring buffer.
    pub head_id: u64,
    /// Offset of the text's end in the ring buffer.
    pub head_lpos: u64,
}

impl Log {
    /// Where the log is copied to.
    pub fn copies(&self) -> impl Iterator<Item = Span> + '_ {
        self.copies.iter().flatten().copied()
    }
}

/// A ring of elements, whose number is a power of two.
#[derive(Clone, Copy, Debug)]
pub struct Array {
    /// All of it.
    pub span: Span,
    /// Bytes of an element; not 0.
    pub element_len: u64,
    /// Number of elements.
    pub elements: u64,
    /// Elements to copy: 1 to `elements`.
    pub kept: u64,
}

/// Signals out of the machine. Each needs port I/O, which is permitted if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// The port of a pvpanic device.
    pub pvpanic: Option<u16>,
    /// The KCS interface of a management controller.
    pub kcs: Option<Kcs>,
}

/// The two ports of a KCS interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kcs {
    /// Data in, data out.
    pub data: u16,
    /// Status, and commands.
    pub status: u16,
}

/// What the crash region already holds, and where physical memory ends.
pub(super) struct Around<'a> {
    pub crash_region: Span,
    pub purgatory: Span,
    pub elfcorehdr: Span,
    pub regions: &'a [Option<ProvenRegion>],
    pub phys_limit: u64,
}

fn ensure(condition: bool) -> Option<()> {
    condition.then_some(())
}

/// The black box as the block has it, if every field of it holds.
pub(super) fn receive(
    alleged: &Alleged,
    permissions: Permissions,
    around: &Around<'_>,
) -> Option<BlackBox> {
    let Alleged { generation, records, log_copies, log, signals, reserved } = alleged;
    ensure(reserved.get() == 0)?;
    let page = |start: u64| PhysSpan::new(start, if start == 0 { 0 } else { PAGE_SIZE });
    let records = around.free_pages(&records.map(|start| page(start.get())))?;
    let copies = around.free_pages(log_copies)?;
    let clash = |copy: &Span| records.iter().flatten().any(|record| record.overlaps(*copy));
    ensure(!copies.iter().flatten().any(clash))?;
    let log = if *log == PrintkLog::default() && copies == [None; MAX_LOG_COPIES] {
        None
    } else {
        Some(around.log(log, copies)?)
    };
    let unused = records == [None; MAX_RECORDS] && log.is_none();
    ensure(generation.get() != 0 || unused)?;
    let signals = receive_signals(signals, permissions)?;
    Some(BlackBox { generation: generation.get(), records, log, signals })
}

impl Around<'_> {
    /// Whole pages that nothing else uses, ascending, then unused entries.
    fn free_pages<const N: usize>(&self, alleged: &[PhysSpan; N]) -> Option<[Option<Span>; N]> {
        let mut spans = [None; N];
        let mut past = Some(0);
        for (proven, alleged) in spans.iter_mut().zip(alleged) {
            if *alleged == PhysSpan::default() {
                // Another used entry after this one is rejected.
                past = None;
                continue;
            }
            let span = Span::parse(alleged)?;
            let whole = (span.start() | span.len()) % PAGE_SIZE == 0 && !span.is_empty();
            let in_regions = self.regions.iter().flatten().any(|r| r.memory.overlaps(span));
            let free = self.crash_region.contains(span)
                && !self.purgatory.overlaps(span)
                && !self.elfcorehdr.overlaps(span)
                && !in_regions;
            ensure(whole && free && past? <= span.start())?;
            past = Some(span.end());
            *proven = Some(span);
        }
        Some(spans)
    }

    fn log(&self, alleged: &PrintkLog, copies: [Option<Span>; MAX_LOG_COPIES]) -> Option<Log> {
        let PrintkLog { ringbuffer, descriptors, infos, text, head_id, head_lpos } = alleged;
        let needed = alleged.copy_len()?;
        let len = copies[0]?.len();
        ensure((needed..=MAX_LOG_COPY_LEN).contains(&len))?;
        ensure(copies.iter().flatten().all(|copy| copy.len() == len))?;
        let ringbuffer = self.kernel_memory(ringbuffer)?;
        let (head_id, head_lpos) = (u64::from(head_id.get()), u64::from(head_lpos.get()));
        ensure(head_id.max(head_lpos) + HEAD_LEN <= ringbuffer.len())?;
        let descriptors = self.array(descriptors)?;
        let infos = self.array(infos)?;
        let text = self.array(text)?;
        ensure(infos.elements == descriptors.elements && infos.kept == descriptors.kept)?;
        ensure(text.element_len == 1)?;
        Some(Log { copies, ringbuffer, descriptors, infos, text, head_id, head_lpos })
    }

    fn array(&self, alleged: &LogArray) -> Option<Array> {
        let span = self.kernel_memory(&alleged.span)?;
        let (element_len, kept) = (alleged.element_len.get().into(), alleged.kept.get().into());
        let elements = span.len().checked_div(element_len)?;
        ensure(elements.is_power_of_two() && elements * element_len == span.len())?;
        ensure(elements <= MAX_ELEMENTS)?;
        ensure((1..=elements).contains(&kept))?;
        Some(Array { span, element_len, elements, kept })
    }

    /// A span of the panicked kernel's memory.
    fn kernel_memory(&self, alleged: &PhysSpan) -> Option<Span> {
        let span = Span::parse(alleged)?;
        let in_place = span.start() != 0
            && !span.is_empty()
            && span.end() <= self.phys_limit
            && !span.overlaps(self.crash_region);
        in_place.then_some(span)
    }
}

fn receive_signals(
    alleged: &handoff::black_box::Signals,
    permissions: Permissions,
) -> Option<Signals> {
    let handoff::black_box::Signals { pvpanic_port, kcs_port, kcs_spacing, reserved } = alleged;
    let (pvpanic, kcs, spacing) = (pvpanic_port.get(), kcs_port.get(), kcs_spacing.get());
    ensure(reserved.get() == 0)?;
    ensure((pvpanic | kcs) == 0 || permissions.allow(Permissions::PORT_IO))?;
    ensure(pvpanic.max(kcs) <= HIGHEST_PORT)?;
    let kcs = if kcs == 0 {
        ensure(spacing == 0)?;
        None
    } else {
        ensure(KCS_SPACINGS.contains(&spacing))?;
        Some(Kcs { data: kcs as u16, status: u16::try_from(kcs + spacing).ok()? })
    };
    Some(Signals { pvpanic: (pvpanic != 0).then_some(pvpanic as u16), kcs })
}
