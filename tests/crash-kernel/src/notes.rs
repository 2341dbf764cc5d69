//! `[13]` The notes that a crashed kernel leaves for the dump: one for each CPU that ran, and the
//! crash note.

use core::ops::Range;

use orders::note::{self, CrashNote, PR_PID, PRSTATUS_LEN};
use orders::{PhysSpan, SealedSpan, map};
use zerocopy::{FromZeros, IntoBytes};

use crate::harness::{crashed, give_up};
use crate::jump::State;
use crate::panic::Crashed;
use crate::{apic, load, memory, smp};

/// The type of a note that holds a `struct elf_prstatus` (include/uapi/linux/elf.h).
const NT_PRSTATUS: u32 = 1;
/// Its name (`KEXEC_CORE_NOTE_NAME`), with its NUL.
const CORE: &[u8] = b"CORE\0";
/// `sizeof(Elf64_Nhdr)`: the lengths of name and descriptor, and the type.
const NHDR_SIZE: usize = 12;

// A buffer of zeroes that holds a note ends with an empty one, which ends the list.
const _: () = assert!(note_len(CORE, PRSTATUS_LEN) + NHDR_SIZE <= map::CPU_NOTE_LEN as usize);
const _: () = assert!(
    note_len(&note::NAME, size_of::<CrashNote>()) + NHDR_SIZE <= map::CRASH_NOTE_LEN as usize
);

/// Bytes of a note: header, then name and descriptor, each padded to four bytes.
const fn note_len(name: &[u8], descriptor: usize) -> usize {
    NHDR_SIZE + name.len().next_multiple_of(4) + descriptor.next_multiple_of(4)
}

/// Clears all notes of CPUs and the crash note.
pub fn clear() {
    memory::zero(map::CPU_NOTES, map::MAX_CPUS * map::CPU_NOTE_STRIDE);
    memory::zero(map::CRASH_NOTE, map::CRASH_NOTE_LEN);
}

/// Saves the note of the CPU with this APIC id, which executes this (`crash_save_cpu`,
/// kernel/crash_core.c). Callable in an NMI handler: it uses no heap and no locks. Only a fault of
/// our own breaks the console's lock.
pub fn save_own(apic_id: u32) {
    let Some((number, _)) = smp::cpus().find(|cpu| cpu.1 == apic_id) else {
        crashed(format_args!("the CPU with APIC id {apic_id} saves its note, but is not online"))
    };
    let mut status = [0; PRSTATUS_LEN];
    status[PR_PID..][..size_of::<u32>()].copy_from_slice(&apic_id.to_le_bytes());
    write_note(
        map::CPU_NOTES + u64::from(number) * map::CPU_NOTE_STRIDE,
        CORE,
        NT_PRSTATUS,
        &status,
    );
}

/// Saves the note of the CPU that panics, and the crash note. `online` is the number of online
/// CPUs, including this one.
pub fn save(crashed: &Crashed, state: &State, online: u32) {
    let Crashed { crash, memory, written, .. } = crashed;
    let apic_id = apic::id();
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
    // As it was loaded, because a run may be about damage to it.
    let loaded = crash.segments.iter().rfind(|segment| segment.bytes.starts_with(load::ELF_MAGIC));
    crash_note.elfcorehdr = loaded.map(|segment| span(&segment.memory)).unwrap_or_default();
    (crash_note.initrd, crash_note.command_line) = (span(&crash.initrd), span(&crash.command_line));
    crash_note.rewritten = u32::from(written.by_kernel).into();
    (crash_note.text_virtual, crash_note.text) = (memory.text.0.into(), span(&memory.text.1));

    crash_note.ram_count =
        fill(&mut crash_note.ram, written.ram.iter().map(span), "ranges of RAM").into();
    crash_note.reserved_count =
        fill(&mut crash_note.reserved, memory.reserved.iter().map(span), "reserved ranges").into();
    let markers = memory.markers.iter().map(|&at| at.into());
    crash_note.marker_count = fill(&mut crash_note.markers, markers, "markers").into();
    let sealed = crash.sealed.iter();
    let sealed =
        sealed.map(|sealed| SealedSpan { span: span(&sealed.span), sha256: sealed.sha256 });
    crash_note.sealed_count = fill(&mut crash_note.sealed, sealed, "sealed spans").into();
    write_note(map::CRASH_NOTE, &note::NAME, note::TYPE, crash_note.as_bytes());
}

fn span(range: &Range<u64>) -> PhysSpan {
    PhysSpan::new(range.start, range.end - range.start)
}

/// Fills the beginning of a table. Returns the number of entries.
fn fill<T>(table: &mut [T], values: impl ExactSizeIterator<Item = T>, what: &str) -> u32 {
    let count = values.len();
    if count > table.len() {
        give_up(format_args!(
            "there are {count} {what}, and the crash note has room for {}",
            table.len()
        ));
    }
    table.iter_mut().zip(values).for_each(|(place, value)| *place = value);
    count as u32
}

/// Writes an ELF note to physical address `at` (`append_elf_note`, kernel/crash_core.c).
fn write_note(at: u64, name: &[u8], kind: u32, descriptor: &[u8]) {
    let header = [name.len() as u32, descriptor.len() as u32, kind];
    memory::write(at, header.as_bytes());
    memory::write(at + NHDR_SIZE as u64, name);
    memory::write(at + note_len(name, 0) as u64, descriptor);
}
