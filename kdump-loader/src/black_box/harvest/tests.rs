//! Memory of a boot that panicked, as a /proc/kcore: whole, damaged, and of other images.

use std::fs;
use std::path::{Path, PathBuf};

use handoff::black_box::{CorruptPlace, LogArray, LogHeader, PrintkLog, Record, Stage};
use handoff::{PhysSpan, RegionKind, Verdict};
use loader::image::SpanSummary;
use loader::machine::example::kcore;
use printk_ring::writer::{LAYOUT, VMCOREINFO, Writer};
use tempfile::TempDir;
use zerocopy::IntoBytes;

use super::*;
use crate::black_box::armed::tests as armed_tests;
use crate::black_box::saved::{KEPT, Saved};

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

#[test]
fn refusal_is_saved_with_its_place_and_the_panic_line() {
    let mut machine = Machine::new();
    (0..3).for_each(|page| machine.record(page, |_| ()));
    machine.log(0, &panicked());
    let saved = machine.harvest().unwrap();
    let run = run_of(&saved);
    assert_eq!((run.stage.as_str(), run.verdict.as_deref()), ("refused", Some("segment-corrupt")));
    assert_eq!((run.places[0].region.as_str(), run.places[0].span.start), ("kernel", 0x28_0000));
    assert_eq!(saved.panic.copies.intact, 3);
    assert_eq!(saved.panic.panicked_at, Some(1_790_000_061));
    let line = "Kernel panic - not syncing: sysrq triggered crash";
    assert_eq!(saved.panic.panic_line.as_deref(), Some(line));
    let dmesg = fs::read_to_string(saved.folder.join("dmesg.txt")).unwrap();
    assert!(dmesg.contains(&format!("[   61.000100] {line}\n")), "{dmesg}");
    assert!(!saved.folder.join("capture-dmesg.txt").exists());
    assert!(!saved.seen);
}

#[test]
fn panic_is_saved_once_however_often_a_load_follows() {
    let mut machine = Machine::new();
    machine.record(1, |_| ());
    machine.harvest().unwrap();
    machine.harvest().unwrap();
    assert_eq!(Saved::all(machine.path()).len(), 1);
}

#[test]
fn latest_stage_counts_if_the_copies_were_torn() {
    let mut machine = Machine::new();
    machine.record(0, |record| record.stage = (Stage::Jumped as u32).into());
    machine.record(1, |record| record.stage = (Stage::Verified as u32).into());
    machine.record(2, |record| record.stage = (Stage::Entered as u32).into());
    // The purgatory was in the middle of this page.
    machine.put(machine.armed.records[1] + 100, &[0; 60]);
    let saved = machine.harvest().unwrap();
    assert_eq!(run_of(&saved).stage, "jumped");
    let copies = Copies { reserved: 3, intact: 2, lost: 1, ..Copies::default() };
    assert_eq!(saved.panic.copies, copies);
}

#[test]
fn record_of_another_generation_or_image_is_not_this_panic() {
    let mut machine = Machine::new();
    machine.record(0, |record| record.generation = 6.into());
    machine.record(1, |record| record.image = [0xac; 32]);
    machine.record(2, |record| record.stage = 9.into());
    let copies = Copies { reserved: 3, foreign: 3, ..Copies::default() };
    assert_eq!(machine.nothing(), Nothing::NoRecord { copies });
}

#[test]
fn one_copy_is_enough_if_its_page_was_given_out_and_the_others_were_not() {
    let mut machine = Machine::new();
    machine.record(2, |_| ());
    machine.log(1, &panicked());
    let saved = machine.harvest().unwrap();
    assert_eq!(saved.panic.copies, Copies { reserved: 3, intact: 1, lost: 2, ..Copies::default() });
    assert!(saved.panic.log.is_some());
}

#[test]
fn copies_outside_of_the_memory_that_is_shown_are_counted() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    // The machine has less memory now.
    machine.armed.records = vec![0x10_0000, 0x80_0000, u64::MAX - 4095, u64::MAX];
    machine.armed.write(machine.path()).unwrap();
    armed_tests::boot(machine.path(), "two");
    let saved = machine.harvest().unwrap();
    let copies = Copies { reserved: 4, intact: 1, unreadable: 3, ..Copies::default() };
    assert_eq!(saved.panic.copies, copies);
}

#[test]
fn log_without_a_record_is_also_a_panic() {
    let mut machine = Machine::new();
    machine.log(0, &panicked());
    let saved = machine.harvest().unwrap();
    assert_eq!(saved.panic.run, None);
    assert!(saved.panic.panic_line.is_some());
    assert!(
        story::tell(&saved.panic, Some(&saved), None).contains("its record was lost; 3 reserved")
    );
}

#[test]
fn ring_overwritten_in_the_middle_is_marked_and_the_better_copy_is_taken() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    let writer = panicked();
    (0..2).for_each(|copy| machine.log(copy, &writer));
    let text = b"sysrq: Trigger";
    let start = (LOGS[0] - REGION.start) as usize;
    let at = machine.memory[start..].windows(text.len()).position(|bytes| bytes == text).unwrap();
    let damaged = LOGS[0] + at as u64;
    machine.put(damaged - 8, b"foreign text over it, foreign text over it");
    let saved = machine.harvest().unwrap();
    let summary = saved.panic.log.as_ref().unwrap();
    assert_eq!((summary.records, summary.damaged), (4, 0));
    // The same with nothing but the damaged copy.
    let other = Machine { root: Machine::new().root, ..machine };
    let mut other = other;
    other.put(LOGS[1], &[0; 64]);
    other.show();
    let saved = other.harvest().unwrap();
    assert!(saved.panic.log.as_ref().unwrap().damaged > 0);
    let dmesg = fs::read_to_string(saved.folder.join("dmesg.txt")).unwrap();
    assert!(dmesg.contains("not shown: the text was overwritten"), "{dmesg}");
    assert!(!dmesg.contains("foreign"), "{dmesg}");
}

#[test]
fn log_of_an_unknown_layout_is_a_note() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    machine.log(0, &panicked());
    machine.armed.vmcoreinfo = "OSRELEASE=5.4\n".into();
    armed_tests::boot(machine.path(), "two");
    machine.armed.write(machine.path()).unwrap();
    let saved = machine.harvest().unwrap();
    assert_eq!(saved.panic.log, None);
    assert!(saved.panic.notes[0].contains("cannot be decoded"), "{:?}", saved.panic.notes);
}

/// Puts a capture kernel into memory: its VMCOREINFO page, its page tables, its log.
fn capture_kernel(machine: &mut Machine, base: u64, writer: &Writer) {
    const VIRTUAL: u64 = 0xffff_ffff_8000_0000;
    const DIRECT: u64 = 0xffff_8880_0000_0000;
    let (pages, ring) = (base + 0x1000, base + 0x10_000);
    let vmcoreinfo = VMCOREINFO
        .replace("ffffffff8a020000", &format!("{:x}", VIRTUAL + pages))
        .replace("ffffffff8a665be0", &format!("{:x}", VIRTUAL + ring))
        .replace("-16777216", "0");
    machine.put(base, &[vmcoreinfo.as_bytes(), b"\0"].concat());
    // Two branches: the kernel's image and the direct map. Both map the first GiB as itself.
    let mut table = vec![[0u64; 512]; 3];
    table[0][511] = (pages + 0x1000) | 3;
    table[0][(DIRECT >> 39 & 511) as usize] = (pages + 0x2000) | 3;
    table[1][510] = 3 | 1 << 7;
    table[2][0] = 3 | 1 << 7;
    for (index, entries) in table.iter().enumerate() {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        machine.put(pages + 0x1000 * index as u64, &bytes);
    }
    let mut writer = writer.clone();
    let memory = writer.memory();
    let descriptors = ring + 0x1000;
    let infos = descriptors + memory.descriptors.len() as u64;
    let text = infos + memory.infos.len() as u64;
    writer.addresses = [DIRECT + descriptors, DIRECT + infos, DIRECT + text];
    machine.put(ring, &(VIRTUAL + ring + 0x100).to_le_bytes());
    machine.put(ring + 0x100, &writer.ringbuffer());
    machine.put(descriptors, &memory.descriptors);
    machine.put(infos, &memory.infos);
    machine.put(text, &memory.text);
}

fn captured() -> Writer {
    let mut writer = Writer::new(6, 12);
    writer.print(0, 5, b"Linux version 6.12.43");
    writer.print(4_000_000_000, 3, b"kdump: dump target /dev/vdb is missing");
    writer
}

#[test]
fn capture_kernels_log_is_found_by_its_vmcoreinfo_page() {
    let mut machine = Machine::new();
    machine.record(0, |record| {
        record.stage = (Stage::Jumped as u32).into();
        record.verdict = 0.into();
        record.corrupt_places = 0.into();
    });
    capture_kernel(&mut machine, 0x40_0000, &captured());
    let saved = machine.harvest().unwrap();
    let summary = saved.panic.capture_log.as_ref().unwrap();
    assert_eq!((summary.release.as_str(), summary.records), ("6.12.43", 2));
    let story = story::tell(&saved.panic, Some(&saved), None);
    assert!(story.contains("dump target /dev/vdb is missing"), "{story}");
    assert!(story.contains("Linux 6.12.43 ran; its last lines"), "{story}");
}

#[test]
fn panic_of_the_capture_kernel_is_told() {
    const LINE: &str = "Kernel panic - not syncing: System is deadlocked on memory";
    let mut machine = Machine::new();
    machine.record(0, |record| record.stage = (Stage::Jumped as u32).into());
    let mut writer = captured();
    writer.print(5_000_000_000, 0, LINE.as_bytes());
    writer.print(5_000_000_001, 0, b"CPU: 0 UID: 0 PID: 1 Comm: init");
    capture_kernel(&mut machine, 0x40_0000, &writer);
    let saved = machine.harvest().unwrap();
    assert_eq!(saved.panic.capture_panic_line.as_deref(), Some(LINE));
    let story = story::tell(&saved.panic, Some(&saved), None);
    assert!(story.contains(&format!("also panicked: {LINE}; its last lines")), "{story}");
    assert!(story.contains("read capture-dmesg.txt for the panic"), "{story}");
}

#[test]
fn capture_kernels_page_tables_that_lead_out_of_the_region_are_not_followed() {
    let mut machine = Machine::new();
    machine.record(0, |record| record.stage = (Stage::Jumped as u32).into());
    capture_kernel(&mut machine, 0x40_0000, &captured());
    // The entry of the kernel's image now maps another GiB.
    machine.put(0x40_2000 + 8 * 510, &(1u64 << 30 | 3 | 1 << 7).to_le_bytes());
    let saved = machine.harvest().unwrap();
    assert_eq!(saved.panic.capture_log, None);
    assert!(story::tell(&saved.panic, Some(&saved), None).contains("its log was not found"));
}

#[test]
fn capture_kernel_of_an_earlier_panic_is_not_told_without_a_jump() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    capture_kernel(&mut machine, 0x40_0000, &captured());
    assert_eq!(machine.harvest().unwrap().panic.capture_log, None);
}

#[test]
fn cleared_memory_is_no_record_and_not_no_panic() {
    let mut machine = Machine::new();
    machine.memory.fill(0);
    let variable = machine.path().join(MEMORY_OVERWRITE_REQUEST);
    fs::create_dir_all(variable.parent().unwrap()).unwrap();
    fs::write(variable, [7, 0, 0, 0, 1]).unwrap();
    let copies = Copies { reserved: 3, lost: 3, ..Copies::default() };
    assert_eq!(machine.nothing(), Nothing::NoRecord { copies });
    let told = story::tell_nothing(Outcome::read(machine.path()).as_ref());
    for words in [
        "armed 2026-09-21",
        "but no record: memory was cleared by the reset, or the kernel never reached the purgatory",
        "MemoryOverwriteRequestControl is 1",
    ] {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
}

#[test]
fn disk_of_another_machine_leads_to_no_claim() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    fs::write(machine.path().join("etc/machine-id"), "fedcba9876543210\n").unwrap();
    assert_eq!(machine.nothing(), Nothing::OtherMachine);
}

#[test]
fn image_that_was_unloaded_or_has_no_black_box_leads_to_no_claim() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    let armed = machine.armed.clone();
    ArmedBox { disarmed: true, ..armed.clone() }.write(machine.path()).unwrap();
    assert_eq!(machine.nothing(), Nothing::Disarmed);
    let machine = Machine { root: Machine::new().root, ..machine };
    let none = ArmedBox { records: Vec::new(), log_copies: Vec::new(), ..armed };
    none.write(machine.path()).unwrap();
    assert_eq!(machine.nothing(), Nothing::NoBlackBox);
}

#[test]
fn hidden_memory_is_unknown_and_not_no_panic() {
    let machine = Machine::new();
    fs::remove_file(machine.path().join("proc/kcore")).unwrap();
    before_load(machine.path());
    let outcome = Outcome::read(machine.path()).unwrap();
    assert!(matches!(outcome.nothing, Some(Nothing::Unreadable { .. })), "{outcome:?}");
    let told = story::tell_nothing(Some(&outcome));
    assert!(told.starts_with("unknown whether the machine panicked"), "{told}");
}

#[test]
fn state_that_cannot_be_written_leads_to_run() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    // A file in place of the folder stands for every disk that cannot be written; root may write to
    // a read-only directory.
    fs::write(machine.path().join(armed::STATE).join("panics"), "").unwrap();
    let saved = machine.harvest().unwrap();
    assert!(saved.folder.starts_with(machine.path().join("run/kdump-loader/panics")));
}

#[test]
fn state_that_can_be_written_nowhere_stops_no_load() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    for state in [armed::STATE, "run/kdump-loader"] {
        let panics: PathBuf = machine.path().join(state).join("panics");
        fs::create_dir_all(panics.parent().unwrap()).unwrap();
        fs::write(panics, "").unwrap();
    }
    assert_eq!(machine.harvest(), None);
    let outcome = Outcome::read(machine.path()).unwrap();
    assert_eq!((&outcome.found, &outcome.nothing), (&None, &None));
    assert!(story::tell_nothing(Some(&outcome)).contains("found, but could not be saved"));
}

#[test]
fn first_boot_and_the_boot_that_armed_have_nothing_to_harvest() {
    let machine = Machine::new();
    armed_tests::boot(machine.path(), "one");
    assert_eq!(machine.harvest(), None);
    fs::remove_dir_all(machine.path().join(armed::STATE)).unwrap();
    armed_tests::boot(machine.path(), "two");
    assert_eq!(machine.harvest(), None);
    assert_eq!(Outcome::read(machine.path()), None);
}

#[test]
fn last_ten_panics_are_kept_and_a_killed_save_leaves_nothing() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    let saved = machine.harvest().unwrap();
    let panics = saved.folder.parent().unwrap().to_owned();
    fs::create_dir(panics.join(".new-4711")).unwrap();
    for second in 1..=12 {
        let panic = Panic { harvested_at: 1_000 + second / 2, ..saved.panic.clone() };
        saved::save(machine.path(), &panic, "log", "").unwrap();
    }
    let all = Saved::all(machine.path());
    assert_eq!(all.len(), KEPT);
    assert_eq!(all.last().unwrap().panic, saved.panic, "the newest by time");
    assert!(!panics.join(".new-4711").exists());
}
