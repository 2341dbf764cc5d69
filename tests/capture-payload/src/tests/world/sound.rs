//! The sound world: what is where, and what it holds.

use std::vec::Vec;

use handoff::report::{Elfcorehdr, Report};
use handoff::{EngineId, Verdict};
use orders::map::{
    CPU_NOTE_LEN, CPU_NOTE_STRIDE, CPU_NOTES, CRASH_NOTE, CRASH_NOTE_LEN, DIRECT_MAP, KERNEL_TEXT,
};
use orders::note::marker;
use orders::{CrashNote, Nmi, PhysSpan};
use zerocopy::FromZeros;
use zerocopy::little_endian::{U32, U64};

use super::World;
use crate::entry_state::{EntryState, General, Segment, TableRegister};
use crate::{Nmis, Program, setup_header};

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
