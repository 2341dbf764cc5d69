//! The elfcorehdr.
//!
//! * It is sound if and only if it keeps every guarantee of the kernel's writer. So a sound one
//!   never points into the crash region.
//! * The defect of a broken one is there.
//! * A good load-time copy makes a broken one sound. Without a copy, nothing is changed.

use purgatory::elfcorehdr::{Defect, Mended, check as check_header, mend};
use purgatory::received::{Span, receive};

use crate::bytes::{prefix, word};
use crate::machine::{LEAST_CRASH_REGION, block};
use crate::{Answer, Seed};

/// Bytes before the header: start and length of the crash region, and one past the highest physical
/// address; eight bytes each.
const MACHINE_LEN: usize = 24;
/// No CPU has wider physical addresses (SDM vol. 3A, "CR3 and physical-address width").
const WIDEST: u64 = 1 << 52;
const PAGE: u64 = 4096;
/// Lowest virtual address of the kernel's text (`__START_KERNEL_map`), and granularity of the
/// direct map's offset (`PUD_SIZE`).
const START_KERNEL_MAP: u128 = 0xffff_ffff_8000_0000;
const GIB: u128 = 1 << 30;
const PT_LOAD: u128 = 1;
const PT_NOTE: u128 = 4;

/// Checks one segment on one machine.
pub fn check(data: &[u8]) -> Answer {
    let (machine, segment) = prefix::<MACHINE_LEN>(data);
    let [start, len, limit] = [0, 8, 16].map(|at| word(&machine, at, 8).expect("24 bytes") as u64);
    let start = (start % (WIDEST - 2 * LEAST_CRASH_REGION)).max(PAGE) / PAGE * PAGE;
    let len = LEAST_CRASH_REGION + len % (WIDEST - LEAST_CRASH_REGION - start);
    let limit = limit.clamp(start + len, WIDEST);
    let crash_region = proven(start, len, limit);
    let facts = Facts {
        segment,
        crash: (start.into(), u128::from(start) + u128::from(len)),
        limit: limit.into(),
    };

    let checked = check_header(segment, crash_region, limit);
    let broken = facts.broken();
    assert_eq!(
        checked.is_ok(),
        broken.is_empty(),
        "{checked:?}, but the rules {broken:?} are broken"
    );
    if let Err(defect) = checked {
        assert!(broken.contains(&defect), "{defect:?} instead of one of {broken:?}");
    }

    let mut mended = segment.to_vec();
    let left_alone = mend(&mut mended, None, crash_region, limit);
    assert_eq!(left_alone, checked.map_or_else(Mended::Broken, |()| Mended::Sound));
    assert_eq!(mended, segment, "changed without a copy");

    // Two copies: half of the segment, whatever it contains, and one that the loader would make.
    let good = written(2, &ranges_around(facts.crash, facts.limit));
    for copy in [&segment[..segment.len() / 2], &good[..]] {
        if copy.len() > segment.len() {
            continue;
        }
        let mut mended = segment.to_vec();
        let outcome = mend(&mut mended, Some(copy), crash_region, limit);
        match checked {
            Ok(()) => {
                assert!(outcome == Mended::Sound && mended == segment, "a sound header was changed")
            }
            Err(defect) => {
                assert_eq!(outcome, Mended::Restored(defect));
                let (front, rest) = mended.split_at(copy.len());
                assert!(
                    front == copy && rest.iter().all(|&byte| byte == 0),
                    "not the copy and zeroes"
                );
                if copy == good {
                    assert_eq!(
                        check_header(&mended, crash_region, limit),
                        Ok(()),
                        "not sound with the copy"
                    );
                }
            }
        }
    }
    if checked.is_ok() { Answer::Taken } else { Answer::Refused }
}

/// A crash region as a type. Only a valid block yields one.
fn proven(start: u64, len: u64, phys_limit: u64) -> Span {
    let (mut block, itself) = block(start, len, phys_limit);
    // Its kernel log would be in a low crash region, or past the end of little memory.
    block.black_box = handoff::BlackBox::default();
    receive(&block, &itself).expect("a good block").crash_region
}

struct Facts<'a> {
    segment: &'a [u8],
    crash: (u128, u128),
    limit: u128,
}

struct Program {
    kind: u128,
    offset: u128,
    vaddr: u128,
    paddr: u128,
    filesz: u128,
    memsz: u128,
}

impl Facts<'_> {
    /// Each guarantee that does not hold. The order of the checks does not matter.
    fn broken(&self) -> Vec<Defect> {
        let Some(ehdr) = self.segment.get(..64) else { return vec![Defect::Count] };
        let at = |offset, len| word(ehdr, offset, len).expect("64 bytes");
        let count = at(56, 2);
        let mut broken = Vec::new();
        let mut rule = |kept: bool, defect| {
            if !kept {
                broken.push(defect)
            }
        };
        rule(ehdr[..7] == *b"\x7fELF\x02\x01\x01", Defect::Magic);
        rule((at(16, 2), at(18, 2), at(20, 4)) == (4, 62, 1), Defect::Type);
        rule((at(52, 2), at(54, 2), at(32, 8)) == (64, 56, 64), Defect::HeaderSizes);
        let used = 64 + count * 56;
        if count == 0 || count == 0xffff || used > self.segment.len() as u128 {
            rule(false, Defect::Count);
            return broken;
        }
        // Linux pads the header with zeroes to whole pages.
        let padded = used.div_ceil(4096) * 4096;
        let padding = &self.segment[used as usize..(padded as usize).min(self.segment.len())];
        rule(padding.iter().all(|&byte| byte == 0), Defect::AfterLast);

        let programs: Vec<Program> =
            (0..count).map(|index| self.program(64 + index * 56)).collect();
        let notes =
            programs.iter().position(|program| program.kind != PT_NOTE).unwrap_or(programs.len());
        let (notes, loads) = programs.split_at(notes);
        rule(loads.iter().all(|load| load.kind != PT_NOTE), Defect::Order);
        rule(loads.iter().all(|load| load.kind == PT_LOAD || load.kind == PT_NOTE), Defect::Kind);
        rule(!notes.is_empty() && loads.len() >= 2, Defect::Missing);
        rule(
            programs.iter().all(|p| p.offset == p.paddr && p.filesz == p.memsz),
            Defect::Disagreement,
        );
        rule(
            programs.iter().all(|p| p.memsz > 0 && p.paddr + p.memsz <= self.limit),
            Defect::Range,
        );
        let outside = |p: &Program| p.paddr + p.memsz <= self.crash.0 || self.crash.1 <= p.paddr;
        rule(loads.iter().all(outside), Defect::CrashRegion);
        let memory = loads.get(1..).unwrap_or_default();
        rule(
            memory.windows(2).all(|pair| pair[0].paddr + pair[0].memsz <= pair[1].paddr),
            Defect::Ascent,
        );
        // The direct map maps physical address 0 at a multiple of 1 GiB. The sum may wrap.
        let offset = |p: &Program| ((1 << 64) + p.vaddr - p.paddr) % (1 << 64);
        let text_is_high = loads.first().is_none_or(|text| text.vaddr >= START_KERNEL_MAP);
        let one_map =
            memory.iter().all(|p| offset(p) % GIB == 0 && offset(p) == offset(&memory[0]));
        rule(text_is_high && one_map, Defect::VirtualAddress);
        broken
    }

    fn program(&self, at: u128) -> Program {
        let field = |offset, len| word(self.segment, at + offset, len).expect("inside the segment");
        Program {
            kind: field(0, 4),
            offset: field(8, 8),
            vaddr: field(16, 8),
            paddr: field(24, 8),
            filesz: field(32, 8),
            memsz: field(40, 8),
        }
    }
}

/// A page before the crash region, and a page after it if there is memory.
fn ranges_around((start, end): (u128, u128), limit: u128) -> Vec<(u128, u128)> {
    let page = u128::from(PAGE);
    let after = (end + page <= limit).then_some((end, end + page));
    [(start - page, start)].into_iter().chain(after).collect()
}

/// The header that `crash_prepare_elf64_headers` (kernel/crash_core.c) writes for these CPUs and
/// memory ranges, without padding. The kernel's text is the first page of the first range.
fn written(cpus: u64, ranges: &[(u128, u128)]) -> Vec<u8> {
    /// For five levels, so that all physical memory fits above it (`__PAGE_OFFSET_BASE_L5`,
    /// arch/x86/include/asm/page_64_types.h).
    const DIRECT_MAP: u64 = 0xff11_0000_0000_0000;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    let count = cpus + 2 + ranges.len() as u64;
    bytes.extend([0, 64, 0].map(u64::to_le_bytes).as_flattened());
    bytes.extend([0, 0, 64, 56, count as u16, 0, 0, 0].map(u16::to_le_bytes).as_flattened());
    let mut program = |kind: u64, vaddr: u64, paddr: u64, len: u64| {
        bytes.extend([kind, paddr, vaddr, paddr, len, len, 0].map(u64::to_le_bytes).as_flattened());
    };
    // A note may be anywhere in memory.
    let first = ranges[0].0 as u64;
    (0..=cpus).for_each(|cpu| program(4, 0, cpu * 368, 368));
    program(1 | 7 << 32, 0xffff_ffff_8100_0000, first, PAGE);
    for &(start, end) in ranges {
        program(1 | 7 << 32, DIRECT_MAP + start as u64, start as u64, (end - start) as u64);
    }
    bytes
}

fn seed(crash: (u64, u64), limit: u64, header: &[u8], len: usize) -> Vec<u8> {
    let machine = [crash.0, crash.1 - LEAST_CRASH_REGION, limit].map(u64::to_le_bytes);
    let mut segment = header.to_vec();
    segment.resize(len, 0);
    [machine.as_flattened(), &segment].concat()
}

/// Headers of a small and a large machine, one with the remains of a longer header after its
/// padding, and broken ones.
pub fn seeds() -> Vec<Seed> {
    const CRASH: (u64, u64) = (0x2900_0000, 0x1000_0000);
    const LIMIT: u64 = 1 << 40;
    let header = written(2, &[(0x10_0000, 0x2900_0000), (0x3900_0000, 0x3ffd_f000)]);
    let large = written(
        70,
        &[(0x10_0000, 0x2900_0000), (0x1_0000_0000, 0x1_4000_0000), (0x1_4000_0000, 0x1_8000_0000)],
    );
    let remains = [&seed(CRASH, LIMIT, &header, 4096)[..], b"remains"].concat();
    let inside = written(1, &[(0x10_0000, 0x2900_1000)]);
    let mut descending = header.clone();
    let (first, second) = (64 + 4 * 56, 64 + 5 * 56);
    descending.copy_within(first..second, second);
    vec![
        Seed::taken("small", seed(CRASH, LIMIT, &header, 512)),
        Seed::taken("large", seed(CRASH, LIMIT, &large, 8192)),
        Seed::taken("remains", remains),
        Seed::refused("crash-region", seed(CRASH, LIMIT, &inside, 320)),
        Seed::refused("twice", seed(CRASH, LIMIT, &descending, 512)),
        Seed::refused("physical-limit", seed(CRASH, CRASH.0 + CRASH.1, &large, 5000)),
        Seed::refused("cut", seed(CRASH, LIMIT, &header, 300)),
    ]
}
