//! A crashed machine on paper: what the CPU held and what was in memory, all of it as it should be
//! until a test changes it.

use std::string::String;
use std::vec::Vec;

use handoff::report::{Elfcorehdr, FIELD_LEN, PARAMETER, Report};
use handoff::text::Text;
use handoff::{EngineId, Verdict};
use orders::Nmi;
use orders::map::{
    CPU_NOTE_LEN, CPU_NOTE_STRIDE, CPU_NOTES, CRASH_NOTE, CRASH_NOTE_LEN, DIRECT_MAP, KERNEL_TEXT,
};
use orders::note::{NAME, PRSTATUS_LEN, TYPE, marker};
use orders::{CrashNote, Ending, PhysSpan, SealedSpan};
use sha2::{Digest, Sha256};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use crate::entry_state::{EntryState, General, Segment, TableRegister};
use crate::range::Range;
use crate::{Nmis, Physical, Program, all, setup_header};

pub const LOAD: u64 = 0x1100_0000;
pub const INITRD: u64 = 0x1108_0000;
pub const INITRD_LEN: u64 = 0x800;
pub const BOOT_PARAMS: u64 = 0x1110_0000;
pub const COMMAND_LINE: u64 = 0x1110_1000;
pub const GDT: u64 = 0x1112_0000;
pub const IDT: u64 = 0x1112_1000;
pub const STACK: u64 = 0x1113_0000;
pub const ELFCOREHDR: u64 = 0x1000_0000;
pub const ELFCOREHDR_LEN: u64 = 0x1000;
pub const PML4: u64 = 0x1020_0000;
pub const PDPT: u64 = 0x1020_1000;
pub const LOW_MARKER: u64 = 0x10_0000;
pub const HIGH_MARKER: u64 = 0x1400_0000;
pub const TEXT: u64 = 0x200_0000;
const TEXT_LEN: u64 = 0x10_0000;
/// What stands in place of the setup header: different bytes, the magic number among them.
pub const SETUP_HEADER: [u8; setup_header::END - setup_header::START] = {
    let mut header = [0; setup_header::END - setup_header::START];
    let mut at = 0;
    while at < header.len() {
        header[at] = at as u8;
        at += 1;
    }
    let (_, magic) = header.split_at_mut(0x202 - setup_header::START);
    (magic[0], magic[1], magic[2], magic[3]) = (b'H', b'd', b'r', b'S');
    header
};

/// An entry of the memory map: what the firmware keeps.
pub const RESERVED: (u64, u64, u32) = (0x1ffe_0000, 0x2000_0000, 2);

/// One PT_NOTE or PT_LOAD: type, physical start, length, virtual address.
pub type Row = (u32, u64, u64, u64);
pub const PT_LOAD: u32 = 1;
pub const PT_NOTE: u32 = 4;

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
    pub fn sound() -> Self {
        let mut world = Self {
            entry: entry(),
            program: Program {
                load: LOAD,
                file_end: LOAD + 0x1_0000,
                image_end: LOAD + 0x4_0000,
                setup_header: &SETUP_HEADER,
            },
            memory: Vec::new(),
            note: note(),
            nmis: Nmis { before_iret: 0, after_iret: 0 },
            report: Report {
                verdict: Verdict::Ok,
                segment: None,
                engine: EngineId::Soft,
                microseconds: 1234,
                nmis: 0,
                elfcorehdr: Elfcorehdr::Ok,
            },
            command_line: std::format!("console=ttyS1 elfcorehdr={ELFCOREHDR:#x}"),
            rows: rows(2),
            report_text: None,
            sealed: Vec::from([
                PhysSpan::new(LOAD, 0x1_0000),
                PhysSpan::new(INITRD, INITRD_LEN),
                PhysSpan::new(BOOT_PARAMS, 0x1000),
            ]),
            line_sealed: [true; 2],
            patches: Vec::new(),
        };
        for (start, len) in [
            (0x10_0000, 0x1000),
            (CPU_NOTES, 0x1000),
            (CRASH_NOTE, CRASH_NOTE_LEN),
            (ELFCOREHDR, ELFCOREHDR_LEN),
            (PML4, 0x2000),
            (LOAD, 0x1_0000),
            (INITRD, 0x1000),
            (BOOT_PARAMS, 0x1000),
            (COMMAND_LINE, 0x1000),
            (GDT, 0x1000),
            (IDT, 0x1000),
            (HIGH_MARKER, 0x1000),
        ] {
            world.memory.push((start, std::vec![0; len as usize]));
        }
        world.boot_params();
        world.tables();
        world.cpu_note(0, 0);
        world.cpu_note(1, 3);
        for address in [LOW_MARKER, HIGH_MARKER] {
            world.word(address, marker(address));
        }
        world
    }

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

    fn boot_params(&mut self) {
        self.poke(BOOT_PARAMS + setup_header::START as u64, &SETUP_HEADER);
        self.poke(BOOT_PARAMS + 0x210, &[0xd0, 1]);
        self.poke(BOOT_PARAMS + 0x23c, &[0; 4]);
        self.word(BOOT_PARAMS + 0x218, INITRD | INITRD_LEN << 32);
        self.poke(BOOT_PARAMS + 0x228, &(COMMAND_LINE as u32).to_le_bytes());
        self.word(BOOT_PARAMS + 0x250, 0);
        self.e820(&[
            (0x1000, 0x9_f000, 1),
            (0x9_f000, 0xa_0000, 2),
            (ELFCOREHDR + ELFCOREHDR_LEN, 0x1400_0000, 1),
            RESERVED,
        ]);
    }

    fn tables(&mut self) {
        self.word(PML4, PDPT | 0x63);
        self.word(PDPT, 0x1e3);
        self.word(GDT + 0x10, 0x00af_9b00_0000_ffff);
        self.word(GDT + 0x18, 0x00cf_9300_0000_ffff);
        let handler = GDT + 0x400;
        let low = handler & 0xffff | 0x10 << 16 | 0x8e00 << 32 | (handler >> 16 & 0xffff) << 48;
        self.word(IDT + 0x20, low);
        self.word(IDT + 0x28, handler >> 32);
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

fn entry() -> EntryState {
    let mut entry = EntryState::default();
    entry.general[General::Rsi as usize] = BOOT_PARAMS;
    entry.general[General::Rdi as usize] = LOAD + 0x200;
    entry.general[General::Rsp as usize] = STACK;
    entry.selectors = [0x18; 6];
    entry.selectors[Segment::Cs as usize] = 0x10;
    (entry.rflags, entry.cr0, entry.cr3, entry.cr4) = (0x46, 0x8000_0033, PML4, 0x20);
    (entry.efer, entry.dr7, entry.mxcsr) = (0xd01, 0x400, 0x1f80);
    entry.gdtr = TableRegister { padding: [0; 3], limit: 0x1f, base: GDT };
    entry.idtr = TableRegister { padding: [0; 3], limit: 0x1ff, base: IDT };
    entry
}

fn note() -> CrashNote {
    let mut note = CrashNote::new_zeroed();
    (note.cr0, note.cr3, note.cr4) = (U64::new(0x8000_0033), U64::new(PML4), U64::new(0x20));
    (note.efer, note.dr7) = (U64::new(0xd01), U64::new(0x400));
    (note.apic_id, note.online_cpus, note.possible_cpus) = (U32::new(3), U32::new(2), U32::new(2));
    note.nmi = U32::new(Nmi::None as u32);
    note.elfcorehdr = PhysSpan::new(ELFCOREHDR, ELFCOREHDR_LEN);
    note.initrd = PhysSpan::new(INITRD, INITRD_LEN);
    note.command_line = PhysSpan::new(COMMAND_LINE, 0);
    note.rewritten = U32::new(1);
    (note.text, note.text_virtual) = (PhysSpan::new(TEXT, TEXT_LEN), U64::new(KERNEL_TEXT));
    note.ram[0] = PhysSpan::new(0x10_0000, 0x1000_0000 - 0x10_0000);
    note.ram[1] = PhysSpan::new(0x1400_0000, 0xbfe_0000);
    note.ram_count = U32::new(2);
    note.reserved[0] = PhysSpan::new(0x1ffe_0000, 0x2_0000);
    note.reserved_count = U32::new(1);
    (note.markers[0], note.markers[1]) = (U64::new(LOW_MARKER), U64::new(HIGH_MARKER));
    note.marker_count = U32::new(2);
    note
}

/// The elfcorehdr of a machine with so many possible CPUs.
pub fn rows(cpus: u64) -> Vec<Row> {
    let cpu = |index| (PT_NOTE, CPU_NOTES + index * CPU_NOTE_STRIDE, CPU_NOTE_LEN, 0);
    let ram = |start: u64, end: u64| (PT_LOAD, start, end - start, DIRECT_MAP + start);
    let fixed = [
        (PT_NOTE, CRASH_NOTE, CRASH_NOTE_LEN, 0),
        (PT_LOAD, TEXT, TEXT_LEN, KERNEL_TEXT),
        ram(0x10_0000, 0x1000_0000),
        ram(0x1400_0000, 0x1ffe_0000),
    ];
    (0..cpus).map(cpu).chain(fixed).collect()
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
