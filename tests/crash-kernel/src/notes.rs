//! [11] What a crashed kernel leaves for whoever reads the dump: a note for each CPU that ran, and the crash note.

use alloc::vec::Vec;

use orders::note::{self, CrashNote, PR_PID, PRSTATUS_LEN};
use orders::{PhysSpan, StepKind, map};
use zerocopy::{FromZeros, IntoBytes};

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

/// Bytes before a note's name: two sizes and a type.
const NOTE_HEADER: usize = 12;
/// Bytes of a CPU's whole note.
const OWN_NOTE_LEN: usize = NOTE_HEADER + CORE.len().next_multiple_of(4) + PRSTATUS_LEN;

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

/// No CPU has a note.
pub fn clear() {
    memory::zero(map::CPU_NOTES, map::MAX_CPUS * map::CPU_NOTE_STRIDE);
}

/// Saves the note of the CPU with this APIC id, which executes this.
pub fn save_own(apic_id: u32) {
    let Some((number, _)) = crate::smp::cpus().find(|cpu| cpu.1 == apic_id) else { return };
    // No heap: this runs in the NMI handler of a CPU that may have been inside the allocator.
    let mut status = [0_u8; OWN_NOTE_LEN];
    for (at, word) in [(0, CORE.len() as u32), (4, PRSTATUS_LEN as u32), (8, NT_PRSTATUS)] {
        status[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    status[NOTE_HEADER..NOTE_HEADER + CORE.len()].copy_from_slice(CORE);
    let pr_pid = OWN_NOTE_LEN - PRSTATUS_LEN + PR_PID;
    status[pr_pid..pr_pid + 4].copy_from_slice(&apic_id.to_le_bytes());
    memory::write(map::CPU_NOTES + u64::from(number) * map::CPU_NOTE_STRIDE, &status);
}

/// Saves this CPU's note, and the crash note.
pub fn save(crash: &Crash, memory: &Memory, state: &State, online: u32) {
    let apic_id = crate::apic::id();
    save_own(apic_id);
    let mut crash_note = CrashNote::new_zeroed();
    crash_note.cr0 = state.cr0.into();
    crash_note.cr3 = state.cr3.into();
    crash_note.cr4 = state.cr4.into();
    crash_note.efer = state.efer.into();
    crash_note.dr7 = state.dr7.into();
    crash_note.apic_id = apic_id.into();
    crash_note.online_cpus = online.into();
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
