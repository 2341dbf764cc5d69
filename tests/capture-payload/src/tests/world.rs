//! A crashed machine on paper: what the CPU held and what was in memory, all of it as it should be
//! until a test changes it.

mod sound; // what is where, and what it holds

use std::string::String;
use std::vec::Vec;

use handoff::report::{FIELD_LEN, PARAMETER, Report};
use handoff::text::Text;
use orders::map::{CPU_NOTE_STRIDE, CPU_NOTES, CRASH_NOTE};
use orders::note::{NAME, PRSTATUS_LEN, TYPE};
use orders::{CrashNote, Ending, PhysSpan, SealedSpan};
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use crate::entry_state::{EntryState, General};
use crate::range::Range;
use crate::{Nmis, Physical, Program, all};
pub use sound::*;

pub struct World {
    pub entry: EntryState,
    pub program: Program,
    pub memory: Vec<(u64, Vec<u8>)>,
    pub note: CrashNote,
    pub nmis: Nmis,
    pub report: Report,
    pub command_line: String,
    pub rows: Vec<Row>,
    /// Instead of the report.
    pub report_text: Option<String>,
    /// What is sealed, as it is when everything is written and before `patches`, besides what
    /// [`World::seal`] has.
    pub sealed: Vec<PhysSpan>,
    /// Whether the command line is sealed before and after the report.
    pub line_sealed: [bool; 2],
    /// Bytes to overwrite once everything else is written.
    pub patches: Vec<(u64, u8)>,
}

impl World {
    /// Overwrites memory that the machine has.
    pub fn poke(&mut self, at: u64, bytes: &[u8]) {
        let fits = |(start, block): &&mut (u64, Vec<u8>)| {
            *start <= at && at + bytes.len() as u64 <= *start + block.len() as u64
        };
        let (start, block) = self.memory.iter_mut().find(fits).expect("the world has memory there");
        block[(at - *start) as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Overwrites eight bytes.
    pub fn word(&mut self, at: u64, word: u64) {
        self.poke(at, &word.to_le_bytes());
    }

    /// As if the loader had chosen another place for it, and it had another `init_size`.
    pub fn put_payload(&mut self, load: u64, init_size: u64) {
        (self.program.load, self.program.file_end, self.program.image_end) =
            (load, load + 0x1_0000, load + init_size);
        self.entry.general[General::Rdi as usize] = load + 0x200;
    }

    /// The whole memory map in boot_params.
    pub fn e820(&mut self, entries: &[(u64, u64, u32)]) {
        self.poke(BOOT_PARAMS + 0x1e8, &[entries.len() as u8]);
        for (index, &(start, end, kind)) in entries.iter().enumerate() {
            let entry =
                [&start.to_le_bytes()[..], &(end - start).to_le_bytes(), &kind.to_le_bytes()]
                    .concat();
            self.poke(BOOT_PARAMS + 0x2d0 + index as u64 * 20, &entry);
        }
    }

    /// Fills a CPU's note, as crash_save_cpu does.
    pub fn cpu_note(&mut self, index: u64, apic_id: u32) {
        let mut prstatus = [0; PRSTATUS_LEN];
        prstatus[orders::note::PR_PID..][..4].copy_from_slice(&apic_id.to_le_bytes());
        self.poke(CPU_NOTES + index * CPU_NOTE_STRIDE, &elf_note(b"CORE\0", 1, &prstatus));
    }

    /// Seals what is there now.
    pub fn seal(&mut self, start: u64, len: u64) {
        let sha256 = Sha256::digest(self.bytes(start, len).unwrap()).into();
        let unused = self.note.sealed.iter_mut().find(|sealed| sealed.span == PhysSpan::default());
        *unused.expect("room for another") = SealedSpan { span: PhysSpan::new(start, len), sha256 };
        self.note.sealed_count += 1;
    }

    /// Makes all checks; how the run ends, and what it said.
    pub fn run(mut self) -> (Ending, String) {
        let mut field = [0; FIELD_LEN];
        self.report.fill(&mut field);
        if let Some(text) = &self.report_text {
            field.fill(b' ');
            field[..text.len()].copy_from_slice(text.as_bytes());
        }
        let line = [self.command_line.as_bytes(), PARAMETER.as_bytes(), &field, b"\0"].concat();
        self.poke(self.command_line_at(), &line);
        // What a test has added to the length is too much.
        self.note.command_line.len += line.len() as u64;
        let report = (line.len() - FIELD_LEN - 1) as u64;
        let mut sealed = core::mem::take(&mut self.sealed);
        let line = [
            PhysSpan::new(COMMAND_LINE, report),
            PhysSpan::new(COMMAND_LINE + report + FIELD_LEN as u64, 1),
        ];
        let line = line.into_iter().zip(self.line_sealed);
        sealed.extend(line.filter_map(|(span, is_sealed)| is_sealed.then_some(span)));
        sealed.iter().for_each(|span| self.seal(span.start.get(), span.len.get()));
        let note = elf_note(&NAME, TYPE, self.note.as_bytes());
        self.poke(CRASH_NOTE, &note);
        let table: Vec<u8> = self.rows.iter().flat_map(phdr).collect();
        let mut ehdr = [0; 64];
        ehdr[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        (ehdr[16], ehdr[18], ehdr[20], ehdr[32], ehdr[52], ehdr[54]) = (4, 62, 1, 64, 64, 56);
        ehdr[56] = self.rows.len() as u8;
        self.poke(ELFCOREHDR, &ehdr);
        self.poke(ELFCOREHDR + 64, &table);
        for (at, byte) in core::mem::take(&mut self.patches) {
            self.poke(at, &[byte]);
        }
        let mut paper = Paper(String::new());
        let ending = all(&self.entry, &self.program, &self, &mut paper, || self.nmis);
        (ending, paper.0)
    }

    fn command_line_at(&self) -> u64 {
        self.read::<U32>(BOOT_PARAMS + 0x228).unwrap().get().into()
    }
}

impl Physical for World {
    fn bytes(&self, start: u64, len: u64) -> Option<&[u8]> {
        let range = Range::new(start, len).filter(|range| !range.overlaps(self.program.tail()))?;
        let (at, block) = self
            .memory
            .iter()
            .find(|(at, block)| Range::new(*at, block.len() as u64).unwrap().contains(range))?;
        block.get((start - at) as usize..)?.get(..len as usize)
    }
}

struct Paper(String);

impl Text for Paper {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte as char);
    }
}

fn phdr(&(kind, start, len, virt): &Row) -> Vec<u8> {
    let words = [start, virt, start, len, len, 0];
    let flags = 7u32;
    [&kind.to_le_bytes()[..], &flags.to_le_bytes()]
        .concat()
        .into_iter()
        .chain(words.into_iter().flat_map(u64::to_le_bytes))
        .collect()
}

fn elf_note(name: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let mut note: Vec<u8> = [name.len() as u32, descriptor.len() as u32, kind]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    for part in [name, descriptor] {
        note.extend_from_slice(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}
