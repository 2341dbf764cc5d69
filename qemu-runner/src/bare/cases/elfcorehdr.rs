//! The elfcorehdr, which has no digest: each guarantee of the kernel's writer, violated once. The
//! copy made at load is put back.

use orders::Step;

use crate::bare::case::{Arrangement, Case, Expect, ordinary, rows};
use crate::bare::memory::Memory;
use crate::machine::BOOT_CPUS;

/// `sizeof(Elf64_Ehdr)`, `sizeof(Elf64_Phdr)`.
const EHDR: usize = 64;
const PHDR: usize = 56;
/// PT_NOTEs of the loader's header: one for each CPU that is present, and vmcoreinfo's.
const NOTES: usize = BOOT_CPUS as usize + 1;
/// Behind them the text, then RAM below and above the crash region.
const TEXT: usize = EHDR + NOTES * PHDR;
const RAM: usize = TEXT + PHDR;
const P_OFFSET: usize = 8;
const P_VADDR: usize = 16;
const P_PADDR: usize = 24;
const P_FILESZ: usize = 32;
const P_MEMSZ: usize = 40;

macro_rules! broken {
    ($($name:literal, $defect:literal, $summary:literal, $damage:expr;)+) => {
        &[$(Case {
            name: $name,
            summary: $summary,
            arrange: ordinary,
            damage: |memory: &mut Memory| {
                let damage: fn(&mut [u8]) = $damage;
                damage(memory.elfcorehdr());
            },
            expect: Expect::restored(&[
                concat!("elfcorehdr was broken (", $defect, "); restored"),
                "verdict 0x0 ok",
            ]),
        }),+]
    };
}

fn put(header: &mut [u8], at: usize, value: u64) {
    header[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub const CASES: &[Case] = broken! {
    "elfcorehdr-magic", "not the identification of a 64-bit ELF file",
        "the elfcorehdr's magic is wrong",
        |h| h[0] = 0x7e;
    "elfcorehdr-class", "not the identification of a 64-bit ELF file",
        "the elfcorehdr is of class 32",
        |h| h[4] = 1;
    "elfcorehdr-byte-order", "not the identification of a 64-bit ELF file",
        "the elfcorehdr is big-endian",
        |h| h[5] = 2;
    "elfcorehdr-zeroed", "not the identification of a 64-bit ELF file",
        "the elfcorehdr is all zeroes",
        |h| h[..4096].fill(0);
    "elfcorehdr-type", "not an x86-64 core file", "the elfcorehdr is no core file", |h| h[16] = 2;
    "elfcorehdr-machine", "not an x86-64 core file", "the elfcorehdr is another machine's",
        |h| h[18] = 183;
    "elfcorehdr-version", "not an x86-64 core file", "the elfcorehdr's version is 0", |h| h[20] = 0;
    "elfcorehdr-phoff", "wrong header size or offset", "e_phoff is not 64", |h| h[33] = 1;
    "elfcorehdr-ehsize", "wrong header size or offset", "e_ehsize is not 64", |h| h[52] = 52;
    "elfcorehdr-phentsize", "wrong header size or offset", "e_phentsize is not 56", |h| h[54] = 32;
    "elfcorehdr-phnum-0", "impossible number of program headers", "e_phnum is 0", |h| h[56] = 0;
    "elfcorehdr-phnum-xnum", "impossible number of program headers", "e_phnum is PN_XNUM",
        |h| h[56..58].fill(0xff);
    "elfcorehdr-phnum-too-many", "impossible number of program headers",
        "e_phnum does not fit the segment",
        |h| h[57] = 0x80;
    "elfcorehdr-phnum-one-more", "a program header is neither PT_NOTE nor PT_LOAD",
        "e_phnum is one too many",
        |h| h[56] += 1;
    "elfcorehdr-phnum-one-less", "data follows the last program header", "e_phnum is one too few",
        |h| h[56] -= 1;
    "elfcorehdr-pt-null", "a program header is neither PT_NOTE nor PT_LOAD",
        "a PT_LOAD became a PT_NULL",
        |h| h[RAM] = 0;
    "elfcorehdr-note-behind-load", "a PT_NOTE follows a PT_LOAD", "a PT_LOAD became a PT_NOTE",
        |h| h[RAM] = 4;
    "elfcorehdr-no-note", "no PT_NOTE or no PT_LOAD", "every PT_NOTE became a PT_LOAD",
        |h| (0..NOTES).for_each(|note| h[EHDR + note * PHDR] = 1);
    "elfcorehdr-offset", "a program header contradicts itself",
        "a p_offset is not the physical address",
        |h| h[RAM + P_OFFSET + 3] ^= 1;
    "elfcorehdr-filesz", "a program header contradicts itself", "a p_filesz is not the p_memsz",
        |h| h[RAM + P_FILESZ] ^= 1;
    "elfcorehdr-empty", "a program header points outside physical memory", "a PT_LOAD is empty",
        |h| h[RAM + P_FILESZ..RAM + P_MEMSZ + 8].fill(0);
    "elfcorehdr-wraps", "a program header points outside physical memory", "a PT_LOAD wraps",
        |h| h[RAM + P_FILESZ..RAM + P_MEMSZ + 8].fill(0xff);
    "elfcorehdr-beyond-memory", "a program header points outside physical memory",
        "a PT_LOAD is beyond physical memory",
        |h| { put(h, RAM + PHDR + P_OFFSET, 1 << 46); put(h, RAM + PHDR + P_PADDR, 1 << 46); };
    "elfcorehdr-crash-region", "a PT_LOAD reaches into the crash region",
        "a PT_LOAD reaches into the crash region",
        |h| { put(h, RAM + P_FILESZ, 0x1000_0000); put(h, RAM + P_MEMSZ, 0x1000_0000); };
    "elfcorehdr-ascent", "memory ranges overlap or are out of order", "two PT_LOADs are the same",
        |h| h.copy_within(RAM..RAM + PHDR, RAM + PHDR);
    "elfcorehdr-vaddr", "a PT_LOAD has an impossible virtual address",
        "a PT_LOAD is not in the direct map",
        |h| h[RAM + PHDR + P_VADDR + 2] ^= 1;
    "elfcorehdr-vaddr-text", "a PT_LOAD has an impossible virtual address",
        "the text is not where kernels have theirs",
        |h| h[TEXT + P_VADDR + 7] ^= 0x80;
};

/// What is said of a header whose magic is damaged.
const NOT_ELF: &[&str] =
    &["elfcorehdr was broken (not the identification of a 64-bit ELF file); restored"];

fn rewritten(arrangement: &mut Arrangement) {
    arrangement.steps = vec![Step::Rewrite];
}

pub const REWRITTEN: &[Case] = rows! {
    "elfcorehdr-rewritten-then-broken":
        "the kernel has rewritten the elfcorehdr, and then its magic was damaged: the older copy \
         is better than none",
        rewritten, |memory| memory.elfcorehdr()[0] ^= 1,
        Expect::restored(NOT_ELF);
    "elfcorehdr-rewritten-100-cpus-then-broken":
        "the kernel has rewritten the elfcorehdr for 100 possible CPUs, and then its magic was \
         damaged: nothing of it is left behind the older copy",
        |arrangement| {
            rewritten(arrangement);
            arrangement.possible_cpus = 100;
        },
        |memory| memory.elfcorehdr()[0] ^= 1,
        Expect::restored(NOT_ELF);
    "elfcorehdr-behind-padding":
        "the elfcorehdr's segment is not zero after the pages that the kernel writes",
        ordinary, |memory| memory.elfcorehdr()[0x8000..0x8100].fill(0x55),
        Expect::sound(&["verdict 0x0 ok"]);
};
