//! [11] What a crashed kernel leaves for whoever reads the dump: a note for each CPU that ran, and the crash note.

use alloc::vec::Vec;

use orders::note::{self, CrashNote, PR_PID, PRSTATUS_LEN};
use orders::{PhysSpan, StepKind, map};
use zerocopy::{FromZeros, IntoBytes};

use crate::describe;
use crate::elfcorehdr;
use crate::harness::give_up;
use crate::jump::State;
use crate::load;
use crate::memory::{self, Memory};
use crate::ramdisk::Crash;

/// The type of a note that holds a `struct elf_prstatus` (include/uapi/linux/elf.h).
const NT_PRSTATUS: u32 = 1;
/// Its name (`KEXEC_CORE_NOTE_NAME`), with its NUL.
const CORE: &[u8] = b"CORE\0";

/// An ELF note: sizes and type, then name and descriptor, each padded to four bytes (`append_elf_note`, kernel/crash_core.c).
fn elf_note(name: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [name.len() as u32, descriptor.len() as u32, kind] {
        bytes.extend(word.to_le_bytes());
    }
    for part in [name, descriptor] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// Saves this CPU's note, number `cpu`, and the crash note.
pub fn save(crash: &Crash, memory: &Memory, state: &State) {
    memory::zero(map::CPU_NOTES, map::MAX_CPUS * map::CPU_NOTE_STRIDE);
    let apic_id = describe::apic_id();
    let mut status = [0; PRSTATUS_LEN];
    status[PR_PID..PR_PID + 4].copy_from_slice(&apic_id.to_le_bytes());
    memory::write(map::CPU_NOTES, &elf_note(CORE, NT_PRSTATUS, &status));

    let mut crash_note = CrashNote::new_zeroed();
    crash_note.cr0 = state.cr0.into();
    crash_note.cr3 = state.cr3.into();
    crash_note.cr4 = state.cr4.into();
    crash_note.efer = state.efer.into();
    crash_note.dr7 = state.dr7.into();
    crash_note.apic_id = apic_id.into();
    crash_note.online_cpus = 1.into();
    crash_note.possible_cpus = crash.possible_cpus.into();
    crash_note.nmi = (crash.nmi as u32).into();
    // As it was loaded: damage to it is what a run may be about.
    let elfcorehdr = crash.segments.iter().rfind(|segment| segment.bytes.starts_with(b"\x7fELF")).map(|segment| segment.memory);
    crash_note.elfcorehdr = elfcorehdr.or_else(|| load::elfcorehdr(crash)).unwrap_or_default();
    let rewritten = crash.steps.iter().any(|step| !matches!(step.kind, StepKind::Write));
    crash_note.rewritten = u32::from(rewritten).into();
    let (_, text) = &memory.text;
    crash_note.text = PhysSpan::new(text.start, text.end - text.start);

    let ram = elfcorehdr::dumped(memory);
    crash_note.ram_count = fits(ram.len(), note::MAX_RAM, "ranges of RAM").into();
    for (place, range) in crash_note.ram.iter_mut().zip(&ram) {
        *place = PhysSpan::new(range.start, range.end - range.start);
    }
    crash_note.marker_count = fits(memory.markers.len(), note::MAX_RAM, "markers").into();
    for (place, &marker) in crash_note.markers.iter_mut().zip(&memory.markers) {
        *place = marker.into();
    }
    crash_note.sealed_count = (crash.sealed.len() as u32).into();
    crash_note.sealed[..crash.sealed.len()].copy_from_slice(&crash.sealed);

    let bytes = elf_note(&note::NAME, note::TYPE, crash_note.as_bytes());
    fits(bytes.len(), map::CRASH_NOTE_LEN as usize, "bytes of crash note");
    memory::zero(map::CRASH_NOTE, map::CRASH_NOTE_LEN);
    memory::write(map::CRASH_NOTE, &bytes);
}

fn fits(count: usize, room: usize, what: &str) -> u32 {
    if count > room {
        give_up(format_args!("{count} {what}, and room for {room}"));
    }
    count as u32
}
