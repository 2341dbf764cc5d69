//! Every header that the kernel's writer produces passes, for machines of any size. No field of it
//! can change alone undetected, except for the few changes that result in another valid header.

use core::cmp::Ordering;

use proptest::prelude::*;

use super::*;

/// Ehdr, then a Phdr: name, offset, length of each field that the writer guarantees.
const EHDR_FIELDS: [(&str, usize, usize); 8] = [
    ("e_ident", 0, 7),
    ("e_type", 16, 2),
    ("e_machine", 18, 2),
    ("e_version", 20, 4),
    ("e_phoff", 32, 8),
    ("e_ehsize", 52, 2),
    ("e_phentsize", 54, 2),
    ("e_phnum", 56, 2),
];
const PHDR_FIELDS: [(&str, usize, usize); 6] = [
    ("p_type", 0, 4),
    ("p_offset", 8, 8),
    ("p_vaddr", 16, 8),
    ("p_paddr", 24, 8),
    ("p_filesz", 32, 8),
    ("p_memsz", 40, 8),
];

/// What `crash_prepare_elf64_headers` (kernel/crash_core.c) is given.
#[derive(Clone, Debug)]
struct Machine {
    /// Address and length of each CPU's notes.
    notes: Vec<(u64, u64)>,
    vmcoreinfo: (u64, u64),
    /// Physical address, length, and how far KASLR moved it.
    text: (u64, u64, u64),
    /// In units of [`DIRECT_MAP_ALIGNMENT`] above the lowest place of the direct map.
    direct_map: u64,
    /// Start and end of each range of System RAM, ascending, the crash region among it.
    ram: Vec<(u64, u64)>,
}

fn machines() -> impl Strategy<Value = Machine> {
    let note = || (1..LIMIT / 2, 1..0x10000u64);
    // Distances and lengths; together far below the limit.
    let ranges = prop_oneof![1 => Just(1..2usize), 4 => Just(1..40usize)];
    let ram = ranges.prop_flat_map(|count| {
        prop::collection::vec((1..0x1_0000_0000u64, 1..0x4_0000_0000u64), count)
    });
    let text = (0x10_0000..0x1_0000_0000u64, 1..0x1000_0000u64, 0..0x400u64);
    let cpus = prop_oneof![4 => 1..20usize, 1 => 20..1200usize];
    (
        cpus.prop_flat_map(move |cpus| prop::collection::vec(note(), cpus)),
        note(),
        text,
        0..0x1_0000u64,
        ram,
    )
        .prop_map(|(notes, vmcoreinfo, text, direct_map, gaps)| {
            let mut at = 0;
            let ram = gaps.into_iter().map(|(gap, len)| {
                let start = at + gap;
                at = start + len;
                (start, at)
            });
            Machine { notes, vmcoreinfo, text, direct_map, ram: ram.collect() }
        })
}

impl Machine {
    /// RAM without the crash region (`elf_header_exclude_ranges`, arch/x86/kernel/crash.c); never
    /// none.
    fn dumped(&self) -> Vec<(u64, u64)> {
        let (crash, end) = (crash_region().start(), crash_region().end());
        let halves =
            self.ram.iter().flat_map(|&(from, to)| [(from, to.min(crash)), (from.max(end), to)]);
        let left: Vec<_> = halves.filter(|(from, to)| from < to).collect();
        if left.is_empty() { std::vec![(0x10_0000, crash)] } else { left }
    }

    /// The segment that the kernel writes, with `room` bytes of zeroes behind it.
    fn header(&self, room: usize) -> Vec<u8> {
        let page_offset = PAGE_OFFSET_LOWEST + self.direct_map * DIRECT_MAP_ALIGNMENT;
        let mut programs: Vec<[u64; 7]> =
            self.notes.iter().map(|&(at, len)| note(at, len)).collect();
        programs.push(note(self.vmcoreinfo.0, self.vmcoreinfo.1));
        let (paddr, len, moved) = self.text;
        // Out of the crash region, where the running kernel's text cannot be.
        let paddr = if load_in_crash_region(paddr, len) { crash_region().end() } else { paddr };
        programs.push(load(paddr, len, START_KERNEL_MAP + moved * 0x20_0000));
        programs.extend(
            self.dumped().into_iter().map(|(from, to)| load(from, to - from, page_offset + from)),
        );
        let used = EHDR_SIZE + programs.len() * PHDR_SIZE;
        assembled(&programs, used.next_multiple_of(PADDED_TO) + room)
    }
}

/// `__PAGE_OFFSET_BASE_L5`, arch/x86/include/asm/page_64_types.h: the lowest that the direct map
/// can be.
const PAGE_OFFSET_LOWEST: u64 = 0xff11_0000_0000_0000;

fn load_in_crash_region(start: u64, len: u64) -> bool {
    start < crash_region().end() && crash_region().start() < start + len
}

fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::with_cases(if cfg!(miri) { 1 } else { cases });
    // Miri shows no files, and interprets too slowly for more than one case. Nothing here is
    // unsafe.
    if cfg!(miri) { ProptestConfig { failure_persistence: None, ..default } } else { default }
}

/// A change to one field of one header.
#[derive(Clone, Debug)]
struct Change {
    field: &'static str,
    at: usize,
    len: usize,
}

impl Change {
    /// To any field that the writer guarantees, of the ELF header or of any program header.
    fn of(
        header: &[u8],
        in_ehdr: bool,
        program: prop::sample::Index,
        field: prop::sample::Index,
    ) -> Self {
        if in_ehdr {
            let (field, at, len) = EHDR_FIELDS[field.index(EHDR_FIELDS.len())];
            return Self { field, at, len };
        }
        let count = usize::from(u16::from_le_bytes([header[56], header[57]]));
        let (field, at, len) = PHDR_FIELDS[field.index(PHDR_FIELDS.len())];
        Self { field, at: EHDR_SIZE + program.index(count) * PHDR_SIZE + at, len }
    }

    /// Whether the outcome is a header that the same writer could have written: for fewer ranges,
    /// of which the last fills its page, so that what follows may be remains; of a kernel whose
    /// text KASLR put elsewhere; or with one range only, and the direct map elsewhere. And of a
    /// note's virtual address, which nobody reads, nothing is guaranteed.
    fn may_pass(&self, header: &[u8]) -> bool {
        let count = usize::from(u16::from_le_bytes([header[56], header[57]]));
        let program = |index: usize| &header[EHDR_SIZE + index * PHDR_SIZE..][..PHDR_SIZE];
        let word = |index: usize, at: usize| {
            u64::from_le_bytes(program(index)[at..at + 8].try_into().unwrap())
        };
        match self.field {
            "e_phnum" => (EHDR_SIZE + count * PHDR_SIZE).is_multiple_of(PADDED_TO),
            "p_vaddr" => {
                let notes = (0..count).take_while(|&index| program(index)[0] == 4).count();
                let changed = (self.at - EHDR_SIZE) / PHDR_SIZE;
                let (vaddr, paddr) = (word(changed, 16), word(changed, 24));
                match changed.cmp(&notes) {
                    Ordering::Less => true,
                    Ordering::Equal => vaddr >= START_KERNEL_MAP,
                    Ordering::Greater => {
                        count == notes + 2
                            && vaddr.wrapping_sub(paddr).is_multiple_of(DIRECT_MAP_ALIGNMENT)
                    }
                }
            }
            _ => false,
        }
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn whatever_the_writer_produces_passes(machine in machines(), room in 0..3usize * PADDED_TO) {
        prop_assert_eq!(verdict(&machine.header(room)), Ok(()));
    }

    #[test]
    fn remains_of_a_longer_header_do_no_harm(machine in machines(), remains: u8) {
        let written = machine.header(0).len();
        let mut segment = machine.header(PADDED_TO);
        segment[written..].fill(remains);
        prop_assert_eq!(verdict(&segment), Ok(()));
    }

    #[test]
    fn header_that_ends_early_is_refused(machine in machines(), cut: prop::sample::Index) {
        let segment = machine.header(0);
        let used =
            EHDR_SIZE + usize::from(u16::from_le_bytes([segment[56], segment[57]])) * PHDR_SIZE;
        prop_assert_eq!(verdict(&segment[..cut.index(used)]), Err(Defect::Count));
    }
}

proptest! {
    #![proptest_config(config(4096))]

    #[test]
    fn field_that_changes_alone_is_noticed_and_the_copy_is_a_cure(
        machine in machines(),
        in_ehdr in prop::bool::weighted(0.3),
        program in any::<prop::sample::Index>(),
        field in any::<prop::sample::Index>(),
        difference in prop_oneof![(0..64u32).prop_map(|bit| 1 << bit), 1u64..],
    ) {
        let good = machine.header(0);
        let change = Change::of(&good, in_ehdr, program, field);
        let mut segment = good.clone();
        for (byte, with) in
            segment[change.at..][..change.len].iter_mut().zip(difference.to_le_bytes())
        {
            *byte ^= with;
        }
        prop_assume!(segment != good);
        if change.may_pass(&segment) {
            return Ok(());
        }
        let Err(defect) = verdict(&segment) else { panic!("{change:?} by {difference:#x} passes") };
        prop_assert_eq!(
            mend(&mut segment, Some(&good), crash_region(), LIMIT),
            Mended::Restored(defect)
        );
        prop_assert_eq!(segment, good);
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes Miri seven seconds, in the code of the tests above")]
    fn range_that_reaches_into_the_crash_region_is_refused(
        machine in machines(),
        range: prop::sample::Index,
        (inside, len) in (0..0x1000_0000u64, 1..0x1_0000_0000u64),
    ) {
        // Over its first byte, or from somewhere inside; whichever place in the list it takes.
        let (crash, end) = (crash_region().start(), crash_region().end());
        let reaching = if inside % 2 == 0 {
            (crash.saturating_sub(len), crash + 1)
        } else {
            (crash + inside, end + len)
        };
        let mut segment = machine.header(0);
        let notes = machine.notes.len() + 1;
        let index = notes + 1 + range.index(machine.dumped().len());
        let vaddr = PAGE_OFFSET_LOWEST + machine.direct_map * DIRECT_MAP_ALIGNMENT + reaching.0;
        let program = load(reaching.0, reaching.1 - reaching.0, vaddr);
        for (bytes, word) in
            segment[EHDR_SIZE + index * PHDR_SIZE..][..PHDR_SIZE].chunks_mut(8).zip(program)
        {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        prop_assert_eq!(verdict(&segment), Err(Defect::CrashRegion));
    }
}
