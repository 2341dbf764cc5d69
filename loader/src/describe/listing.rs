//! The memory and the CPUs that an elfcorehdr lists, which are those that a dump would have. It
//! does not matter whether the loader or the kernel wrote it.
//!
//! *On entry* a machine, or the header's bytes. *On exit* a [`Listing`], which can be compared with
//! the memory and the CPUs that are present.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::Duration;

use object::LittleEndian;
use object::elf::{EM_X86_64, ET_CORE, FileHeader64, PT_LOAD, PT_NOTE, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use serde::{Deserialize, Serialize};

use crate::describe::elfcorehdr::{self, EHDR_LEN, PHDR_LEN};
use crate::image::SpanSummary;
use crate::machine::{self, CrashNotes, Machine, Present};
use crate::phys::{PhysRange, merged, subtract};

/// Lowest virtual address of the kernel's own image (`__START_KERNEL_map`,
/// arch/x86/include/asm/page_64_types.h).
const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// How often a header is read until two readings are equal, and the pause. The kernel may be
/// rewriting it, which takes less than a millisecond.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(5);

/// The memory and the CPUs that a header lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Physical memory, ascending, without ranges that touch.
    pub memory: Vec<SpanSummary>,
    /// Physical addresses of the PT_NOTEs: one for each CPU's registers, and VMCOREINFO's.
    pub notes: Vec<u64>,
}

/// CPUs and memory that are present but not listed, or listed but not present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Memory that was added, and would be missing from a dump.
    pub memory_added: Vec<PhysRange>,
    /// Memory that was removed, and that the dump would claim to have.
    pub memory_removed: Vec<PhysRange>,
    /// CPUs that were added, whose registers would be missing.
    pub cpus_added: Vec<u32>,
}

impl Listing {
    /// The listing of a header for this machine.
    pub fn of(machine: &Machine) -> Self {
        Self::new(
            &elfcorehdr::dumped(machine),
            machine.crash_notes.iter().map(|notes| notes.range.start()).collect(),
        )
    }

    /// The listing of a header that the kernel would write for the CPUs and memory that are
    /// present.
    pub fn of_present(present: &Present) -> Self {
        Self::new(&present.memory, present.cpus.iter().map(|notes| notes.range.start()).collect())
    }

    fn new(memory: &[PhysRange], notes: Vec<u64>) -> Self {
        Self { memory: memory.iter().copied().map(SpanSummary::from).collect(), notes }
    }

    /// Parses an elfcorehdr; `None` if the bytes are not one, or are being rewritten.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header = FileHeader64::<LittleEndian>::parse(bytes).ok()?;
        let is_core = header.e_type.get(LittleEndian) == ET_CORE
            && header.e_machine.get(LittleEndian) == EM_X86_64;
        let phdrs = header
            .program_headers(LittleEndian, bytes)
            .ok()
            .filter(|phdrs| is_core && !phdrs.is_empty())?;
        let of = |kind| {
            phdrs.iter().filter(move |phdr: &&ProgramHeader64<_>| phdr.p_type(LittleEndian) == kind)
        };
        let memory = of(PT_LOAD).filter(|phdr| phdr.p_vaddr(LittleEndian) < START_KERNEL_MAP);
        let ranges = memory.map(|phdr| {
            PhysRange::with_len(phdr.p_paddr(LittleEndian), phdr.p_memsz(LittleEndian))
        });
        let notes = of(PT_NOTE).map(|phdr| phdr.p_paddr(LittleEndian)).collect();
        Some(Self::new(&merged(ranges.collect::<Option<_>>()?), notes))
    }

    /// Reads the elfcorehdr at this physical address of the live machine, through /proc/kcore.
    /// `None` if /proc/kcore cannot be read (lockdown=confidentiality), if there is no elfcorehdr,
    /// or if it keeps changing.
    pub fn read(root: &Path, elfcorehdr: u64) -> Option<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            let now = read_once(root, elfcorehdr);
            if now.is_some() && now == last {
                return now;
            }
            if last.is_some() {
                thread::sleep(PAUSE);
            }
            last = now;
        }
        None
    }

    /// The difference between the listing and the machine. Removed CPUs are no difference: their
    /// notes stay in place, and empty.
    pub fn difference(&self, present: &Present) -> Difference {
        let span = |span: &SpanSummary| PhysRange::with_len(span.start, span.len);
        let listed: Vec<PhysRange> = self.memory.iter().filter_map(span).collect();
        let notes: BTreeSet<u64> = self.notes.iter().copied().collect();
        let unlisted = |crash: &&CrashNotes| !notes.contains(&crash.range.start());
        Difference {
            memory_added: subtract(&present.memory, &listed),
            memory_removed: subtract(&listed, &present.memory),
            cpus_added: present.cpus.iter().filter(unlisted).map(|notes| notes.cpu).collect(),
        }
    }
}

fn read_once(root: &Path, elfcorehdr: u64) -> Option<Listing> {
    let header =
        machine::read_memory(root, PhysRange::with_len(elfcorehdr, EHDR_LEN as u64)?).ok()?;
    let header = FileHeader64::<LittleEndian>::parse(&*header).ok()?;
    let len = (EHDR_LEN + usize::from(header.e_phnum.get(LittleEndian)) * PHDR_LEN) as u64;
    Listing::parse(&machine::read_memory(root, PhysRange::with_len(elfcorehdr, len)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::example;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(start, end).unwrap()
    }

    fn present() -> Present {
        Present::read(example::tree().path()).unwrap()
    }

    #[test]
    fn header_of_the_loader_lists_the_present_machine() {
        let machine = example::machine();
        let listing = Listing::parse(&elfcorehdr::build(&machine).unwrap()).unwrap();
        assert_eq!(listing.memory, Listing::of(&machine).memory);
        assert_eq!(listing.notes, [0x2ec1_d5c0, 0x2ed1_d5c0, 0x182_4000]);
        assert_eq!(listing.difference(&present()), Difference::default());
        assert_eq!(Listing::of_present(&present()), Listing::of(&machine));
    }

    #[test]
    fn added_memory_or_cpu_changes_the_listing_and_a_new_clock_does_not() {
        let machine = example::machine;
        let measured_again = Machine { total_ram: 7, ..machine() };
        assert_eq!(Listing::of(&measured_again), Listing::of(&machine()));
        let mut with_a_dimm = machine();
        with_a_dimm.system_ram.push(range(0x2_0000_0000, 0x2_0800_0000));
        let mut without_a_cpu = machine();
        without_a_cpu.crash_notes.pop();
        for other in [with_a_dimm, without_a_cpu] {
            assert_ne!(Listing::of(&other), Listing::of(&machine()));
        }
    }

    #[test]
    fn second_mapping_of_the_kernels_text_is_not_listed_as_memory() {
        let mut machine = example::machine();
        machine.kcore.text_phys = 0x9_0000_0000;
        let listing = Listing::parse(&elfcorehdr::build(&machine).unwrap()).unwrap();
        assert_eq!(listing.memory, Listing::of(&machine).memory);
    }

    #[test]
    fn added_and_removed_memory_and_cpus_are_distinguished() {
        let listing = Listing::of(&example::machine());
        let mut present = present();
        let gone = present.memory.pop().unwrap();
        present.memory.push(range(0x2_0000_0000, 0x2_4000_0000));
        present.cpus.push(CrashNotes { cpu: 7, range: range(0x2ee1_d5c0, 0x2ee1_d730) });
        present.cpus.remove(0);
        let difference = Difference {
            memory_added: vec![range(0x2_0000_0000, 0x2_4000_0000)],
            memory_removed: vec![gone],
            cpus_added: vec![7],
        };
        assert_eq!(listing.difference(&present), difference, "CPU 0, which left, is none");
    }

    #[test]
    fn bytes_other_than_an_elfcorehdr_list_nothing() {
        let sound = elfcorehdr::build(&example::machine()).unwrap();
        // The magic number, the file's type, the number of program headers.
        for (at, byte) in [(0, 0), (16, 2), (56, 0)] {
            let mut bytes = sound.clone();
            bytes[at] = byte;
            assert_eq!(Listing::parse(&bytes), None, "{at}");
        }
        assert_eq!(Listing::parse(&sound[..100]), None);
    }
}
