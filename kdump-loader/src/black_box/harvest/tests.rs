//! A machine that panicked and booted again: its memory as a /proc/kcore, and its files.

use std::fs;
use std::path::Path;

use handoff::black_box::{CorruptPlace, LogArray, LogHeader, PrintkLog, Record, Stage};
use handoff::{PhysSpan, RegionKind, Verdict};
use loader::image::SpanSummary;
use loader::machine::example::kcore;
use printk_ring::writer::{LAYOUT, VMCOREINFO, Writer};
use tempfile::TempDir;
use zerocopy::IntoBytes;

use super::*;
use crate::black_box::armed::tests as armed_tests;
use crate::black_box::saved::Saved;

mod records; // the purgatory's records
mod kernel_log; // the crashed kernel's log
mod capture_log; // the capture kernel's log
mod nothing; // no panic to tell
mod saving; // what is saved, and where

const REGION: SpanSummary = SpanSummary { start: 0x10_0000, len: 0x40_0000 };
const LOGS: [u64; 2] = [0x18_0000, 0x38_0000];
const LOG_LEN: u64 = 0x2_0000;

/// A machine that armed in boot "one" and now runs boot "two".
struct Machine {
    root: TempDir,
    memory: Vec<u8>,
    armed: ArmedBox,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        armed_tests::boot(root.path(), "one");
        let armed = ArmedBox {
            crash_region: REGION,
            log_copies: LOGS.map(|start| SpanSummary { start, len: LOG_LEN }).to_vec(),
            vmcoreinfo: VMCOREINFO.into(),
            ..armed_tests::armed(root.path())
        };
        armed.write(root.path()).unwrap();
        armed_tests::boot(root.path(), "two");
        let machine = Self { root, memory: vec![0xda; REGION.len as usize], armed };
        machine.show();
        machine
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    /// Writes memory to /proc/kcore. The direct map's bytes are where its address says, which is
    /// low enough for a file.
    fn show(&self) {
        let mut bytes = kcore(&[(REGION.start, REGION.start, REGION.len)]);
        bytes.resize(REGION.start as usize, 0);
        bytes.extend(&self.memory);
        fs::write(self.path().join("proc/kcore"), bytes).unwrap();
    }

    fn put(&mut self, address: u64, bytes: &[u8]) {
        let at = (address - REGION.start) as usize;
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes a record to one page.
    fn record(&mut self, page: usize, change: impl FnOnce(&mut Record)) {
        let mut record = Record {
            generation: self.armed.generation.into(),
            image: [0xab; 32],
            stage: (Stage::Refused as u32).into(),
            verdict: (Verdict::SegmentCorrupt as u32).into(),
            engine: 2.into(),
            elfcorehdr: 1.into(),
            log: 1.into(),
            entered_us: 40.into(),
            log_copied_us: 700.into(),
            verified_us: 12_345.into(),
            ended_us: 12_400.into(),
            corrupt_places: 1.into(),
            ..Record::blank()
        };
        record.places[0] = CorruptPlace {
            span: PhysSpan::new(0x28_0000, 65_536),
            region: (RegionKind::Kernel as u32).into(),
            zero_tail: 0.into(),
        };
        change(&mut record);
        record.close();
        let address = self.armed.records[page];
        self.put(address, record.as_bytes());
    }

    /// Writes a copy of a log, as the purgatory does.
    fn log(&mut self, copy: usize, writer: &Writer) {
        let memory = writer.memory();
        let array = |bytes: &[u8], len: usize| LogArray {
            span: PhysSpan::new(0, bytes.len() as u64),
            element_len: (len as u32).into(),
            kept: ((bytes.len() / len) as u32).into(),
        };
        let mut header = LogHeader {
            generation: self.armed.generation.into(),
            log: PrintkLog {
                ringbuffer: PhysSpan::new(0, memory.ringbuffer.len() as u64),
                descriptors: array(&memory.descriptors, LAYOUT.desc_len),
                infos: array(&memory.infos, LAYOUT.info_len),
                text: array(&memory.text, 1),
                ..PrintkLog::default()
            },
            ..LogHeader::blank()
        };
        header.close();
        let parts = [&memory.ringbuffer, &memory.descriptors, &memory.infos, &memory.text];
        let bytes: Vec<u8> =
            header.as_bytes().iter().copied().chain(parts.into_iter().flatten().copied()).collect();
        self.put(LOGS[copy], &bytes);
    }

    fn harvest(&self) -> Option<Saved> {
        self.show();
        before_load(self.path());
        Saved::all(self.path()).pop()
    }

    fn nothing(&self) -> Nothing {
        assert_eq!(self.harvest(), None);
        Outcome::read(self.path()).unwrap().nothing.unwrap()
    }
}

fn panicked() -> Writer {
    let mut writer = Writer::new(6, 12);
    writer.print(0, 5, b"Linux version 6.12.43");
    writer.print(61_000_000_000, 0, b"sysrq: Trigger a crash");
    writer.print(61_000_100_000, 0, b"Kernel panic - not syncing: sysrq triggered crash");
    writer.print(61_000_200_000, 0, b"CPU: 0 UID: 0 PID: 1 Comm: sh");
    writer
}

fn run_of(saved: &Saved) -> &Run {
    saved.panic.run.as_ref().unwrap()
}
