//! `[9c]` The summary of the black box: JSON, and lines of the table.

use std::fmt;

use handoff::BlackBox;
use handoff::black_box::{LogArray, PrintkLog};
use serde::{Deserialize, Serialize};

use super::{NoLog, SpanSummary, size};
use crate::machine::signals::SignalPorts;

/// What the purgatory leaves in crash memory, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlackBoxSummary {
    /// The number of this load on this machine.
    pub generation: u64,
    /// Physical addresses of the record pages, ascending.
    pub records: Vec<u64>,
    /// The memory of the copies of the kernel log, ascending.
    pub log_copies: Vec<SpanSummary>,
    /// What is copied; null if there is no copy.
    pub log: Option<LogSummary>,
    /// Why there is no copy of the kernel log; null if there is one.
    pub no_log: Option<String>,
}

/// The running kernel's printk ring buffer in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSummary {
    /// Bytes of one copy.
    pub copy_len: u64,
    /// `struct printk_ringbuffer`.
    pub ringbuffer: SpanSummary,
    /// `desc_ring.descs`.
    pub descriptors: LogArraySummary,
    /// `desc_ring.infos`.
    pub infos: LogArraySummary,
    /// `text_data_ring.data`.
    pub text: LogArraySummary,
    /// Offset of `desc_ring.head_id` in `ringbuffer`.
    pub head_id: u32,
    /// Offset of `text_data_ring.head_lpos` in `ringbuffer`.
    pub head_lpos: u32,
}

/// One array of the ring buffer in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogArraySummary {
    /// First physical address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// Bytes in an element; 1 for text.
    pub element_len: u32,
    /// Elements that are copied: those that end at the ring's head.
    pub kept: u32,
}

/// Signals out of the machine in JSON. Null: none through this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalSummary {
    /// I/O port of the pvpanic device.
    pub pvpanic: Option<u16>,
    /// I/O port of the KCS interface's data register.
    pub ipmi: Option<u16>,
}

impl BlackBoxSummary {
    pub(super) fn of(black_box: &BlackBox, no_log: Option<&NoLog>) -> Option<Self> {
        let BlackBox { generation, records, log_copies, log, .. } = black_box;
        if generation.get() == 0 {
            return None;
        }
        let copies = log_copies.iter().filter(|copy| copy.len.get() > 0);
        let log_copies: Vec<SpanSummary> = copies.map(|&copy| copy.into()).collect();
        Some(Self {
            generation: generation.get(),
            records: records.iter().map(|at| at.get()).filter(|&at| at > 0).collect(),
            log: (!log_copies.is_empty()).then(|| log.into()),
            log_copies,
            no_log: no_log.map(ToString::to_string),
        })
    }
}

impl From<&PrintkLog> for LogSummary {
    fn from(log: &PrintkLog) -> Self {
        Self {
            copy_len: log.copy_len().unwrap_or(0),
            ringbuffer: log.ringbuffer.into(),
            descriptors: (&log.descriptors).into(),
            infos: (&log.infos).into(),
            text: (&log.text).into(),
            head_id: log.head_id.get(),
            head_lpos: log.head_lpos.get(),
        }
    }
}

impl From<&LogArray> for LogArraySummary {
    fn from(array: &LogArray) -> Self {
        Self {
            start: array.span.start.get(),
            len: array.span.len.get(),
            element_len: array.element_len.get(),
            kept: array.kept.get(),
        }
    }
}

impl SignalSummary {
    pub(super) fn of(ports: &SignalPorts) -> Option<Self> {
        let summary = Self { pvpanic: ports.pvpanic, ipmi: ports.kcs.map(|kcs| kcs.port) };
        Some(summary).filter(|summary| summary.pvpanic.or(summary.ipmi).is_some())
    }
}

/// Lines of the table.
impl fmt::Display for BlackBoxSummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses =
            |at: &[u64]| at.iter().map(|at| format!("{at:#x}")).collect::<Vec<_>>().join(" ");
        let Self { generation, records, log_copies, log, no_log } = self;
        writeln!(out, "black box      number {generation}, records at {}", addresses(records))?;
        let copies: Vec<u64> = log_copies.iter().map(|copy| copy.start).collect();
        match (log, no_log) {
            (Some(log), _) => {
                let (len, copies) = (size(log.copy_len), addresses(&copies));
                writeln!(out, "kernel log     {len}, copied to {copies}")
            }
            (None, Some(because)) => writeln!(out, "kernel log     not kept: {because}"),
            (None, None) => writeln!(out, "kernel log     not kept"),
        }
    }
}

/// As words of a line in the table.
impl fmt::Display for SignalSummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [("pvpanic", self.pvpanic), ("ipmi", self.ipmi)];
        let words = named.iter().filter_map(|(name, port)| Some(format!("{name} {:#x}", (*port)?)));
        out.write_str(&words.collect::<Vec<_>>().join(", "))
    }
}
