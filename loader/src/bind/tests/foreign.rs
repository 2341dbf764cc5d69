//! Images around foreign purgatories. The tests read the symbols as those purgatories do, by the
//! names and the order of registers in their sources, from memory that is filled as the kernel
//! does.

use std::ops::Range;

use super::*;
use crate::purgatory::foreign::{KEXEC_TOOLS, LINUX};
use crate::purgatory::relocatable::example::{Object, UNWRITTEN, WRITTEN_AT, object};
use crate::request::{EngineChoice, InputFile};

/// A purgatory for one of two loaders, and how it reads its symbols.
struct Peer {
    name: &'static str,
    object: fn() -> Object,
    regions: &'static str,
    digest: &'static str,
    /// Indices of RBX, RSP, RSI and RIP in `entry64_regs`.
    registers: [usize; 4],
}

const PEERS: [Peer; 2] = [
    Peer {
        name: "linux",
        object: || {
            object().with_written(LINUX.written.iter().map(|written| (written.symbol, written.len)))
        },
        regions: "purgatory_sha_regions",
        digest: "purgatory_sha256_digest",
        registers: [3, 4, 6, 16],
    },
    Peer {
        name: "kexec-tools",
        object: || {
            object().with_written(
                KEXEC_TOOLS.written.iter().map(|written| (written.symbol, written.len)),
            )
        },
        regions: "sha256_regions",
        digest: "sha256_digest",
        registers: [1, 6, 4, 16],
    },
];
const KEXEC_TOOLS_PEER: usize = 1;

/// A request around this object, with only the options that it supports.
fn around(object: &Object) -> Request {
    Request {
        on_corrupt: None,
        reset_delay_ms: None,
        leaf_size: None,
        engine: EngineChoice::Auto,
        purgatory: InputFile { path: "purgatory.ro".into(), bytes: object.bytes() },
        ..request()
    }
}

fn range_of(image: &Image<'_>, kind: SegmentKind) -> PhysRange {
    segment(image, kind).range()
}

/// The image's purgatory in memory, with its symbols.
struct Armed<'i, 'r> {
    image: &'i Image<'r>,
    memory: Memory,
    object: Object,
}

impl<'i, 'r> Armed<'i, 'r> {
    fn new(image: &'i Image<'r>, object: Object) -> Self {
        Self { image, memory: Memory::loaded(image), object }
    }

    fn at(&self, symbol: &str) -> Range<usize> {
        let symbol = self.object.symbols.iter().find(|name| name.name == symbol).unwrap();
        // The section with the symbols is the last in the file, after code and data.
        let purgatory = range_of(self.image, SegmentKind::Purgatory);
        let start = self.memory.offset(purgatory.start() + WRITTEN_AT + symbol.value);
        start..start + symbol.len as usize
    }

    fn bytes(&self, symbol: &str) -> &[u8] {
        &self.memory.bytes[self.at(symbol)]
    }

    fn words(&self, symbol: &str) -> Vec<u64> {
        self.bytes(symbol)
            .chunks(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect()
    }

    fn number(&self, symbol: &str) -> u64 {
        self.bytes(symbol).iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    /// The regions, those without length left out.
    fn regions(&self, peer: &Peer) -> Vec<PhysRange> {
        let words = self.words(peer.regions);
        assert_eq!(words.len(), 32);
        let regions = words.chunks(2).filter(|region| region[1] > 0);
        regions.map(|region| PhysRange::with_len(region[0], region[1]).unwrap()).collect()
    }

    /// SHA-256 of these regions in memory.
    fn found(&self, regions: &[PhysRange]) -> [u8; 32] {
        let mut oracle = sha2::Sha256::new();
        for region in regions {
            oracle.update(
                &self.memory.bytes[self.memory.offset(region.start())..][..region.len() as usize],
            );
        }
        oracle.finalize().into()
    }
}

#[test]
fn digest_is_that_of_everything_in_memory_but_elfcorehdr_and_purgatory() {
    for peer in &PEERS {
        let (request, machine) = (around(&(peer.object)()), machine());
        let image = crate::build(&request, &machine).unwrap();
        let mut armed = Armed::new(&image, (peer.object)());
        let regions = armed.regions(peer);
        let verified = |kind| !matches!(kind, SegmentKind::Elfcorehdr | SegmentKind::Purgatory);
        let expected: Vec<_> =
            image.segments().iter().filter(|s| verified(s.kind())).map(|s| s.range()).collect();
        assert_eq!(regions, expected, "{}", peer.name);
        assert_eq!(armed.bytes(peer.digest), armed.found(&regions), "{}", peer.name);
        assert_eq!(image.identity(), armed.found(&regions), "{}", peer.name);
        // The zeroes after the kernel's bytes count as well.
        armed.memory.flip(range_of(&image, SegmentKind::Kernel).end() - 1);
        assert_ne!(armed.bytes(peer.digest), armed.found(&regions), "{}", peer.name);
    }
}

#[test]
fn elfcorehdr_that_the_kernel_does_not_update_is_digested() {
    for peer in &PEERS {
        let (request, machine) =
            (Request { hotplug: false, ..around(&(peer.object)()) }, machine());
        let image = crate::build(&request, &machine).unwrap();
        let armed = Armed::new(&image, (peer.object)());
        let regions = armed.regions(peer);
        assert_eq!(regions[0], range_of(&image, SegmentKind::Elfcorehdr), "{}", peer.name);
        assert_eq!(regions.len(), image.segments().len() - 1, "{}", peer.name);
        assert_eq!(armed.bytes(peer.digest), armed.found(&regions), "{}", peer.name);
    }
}

#[test]
fn capture_kernel_is_entered_with_registers_in_the_order_of_each() {
    for peer in &PEERS {
        let (request, machine) = (around(&(peer.object)()), machine());
        let image = crate::build(&request, &machine).unwrap();
        let armed = Armed::new(&image, (peer.object)());
        let start_of = |kind| range_of(&image, kind).start();
        let purgatory = start_of(SegmentKind::Purgatory);
        let words = armed.words("entry64_regs");
        let [rbx, rsp, rsi, rip] = peer.registers;
        assert_eq!(
            (words[rbx], words[rsi]),
            (0, start_of(SegmentKind::BootParams)),
            "{}",
            peer.name
        );
        assert_eq!(words[rip], start_of(SegmentKind::Kernel) + 0x200, "{}", peer.name);
        // The example's zeroes, 1000 of them, are aligned to 256; its stack ends with them.
        let written: u64 = (peer.object)().parts.last().unwrap().bytes.len() as u64;
        assert_eq!(
            words[rsp],
            purgatory + (WRITTEN_AT + written).next_multiple_of(256) + 1000,
            "{}",
            peer.name
        );
        let built = u64::from_le_bytes([UNWRITTEN; 8]);
        let kept = (0..17).filter(|index| !peer.registers.contains(index));
        assert!(
            kept.map(|index| words[index]).all(|word| word == built),
            "{}: {words:x?}",
            peer.name
        );
        assert_eq!(image.entry(), purgatory + 8, "{}", peer.name);
    }
}

#[test]
fn kexec_tools_purgatory_gets_every_other_symbol_that_its_own_loader_writes() {
    let object = (PEERS[KEXEC_TOOLS_PEER].object)();
    let machine = machine();
    let with = |console| Request { console, ..around(&object) };
    let request = with(Console::Port(0x2e8));
    let image = crate::build(&request, &machine).unwrap();
    let armed = Armed::new(&image, object.clone());
    let line = segment(&image, SegmentKind::CommandLine);
    assert_eq!(
        armed.number("cmdline_end"),
        line.range().start() + line.bytes().len() as u64 - 1,
        "its NUL"
    );
    assert_eq!(
        ["skip_checks", "reset_vga", "console_vga", "serial_baud"]
            .map(|symbol| armed.number(symbol)),
        [0; 4]
    );
    assert_eq!(
        ["backup_src_start", "backup_src_size", "backup_start"].map(|symbol| armed.number(symbol)),
        [0; 3]
    );
    assert_eq!(
        ["panic_kernel", "console_serial", "serial_base"].map(|symbol| armed.number(symbol)),
        [1, 1, 0x2e8]
    );

    for (console, expected) in [(Console::None, [0, 0]), (Console::Auto, [1, 0x2f8])] {
        let request = with(console);
        let image = crate::build(&request, &machine).unwrap();
        let armed = Armed::new(&image, object.clone());
        assert_eq!(
            ["console_serial", "serial_base"].map(|symbol| armed.number(symbol)),
            expected,
            "{console:?}"
        );
    }
}

#[test]
fn purgatory_without_reports_gets_no_report_parameter() {
    for peer in &PEERS {
        let (request, machine) = (around(&(peer.object)()), machine());
        let image = crate::build(&request, &machine).unwrap();
        let line = segment(&image, SegmentKind::CommandLine);
        assert_eq!(
            line.bytes(),
            b"console=ttyS1 nr_cpus=1 elfcorehdr=0x2f000000\0",
            "{}",
            peer.name
        );
        assert!(image.block().is_none(), "{}", peer.name);
        let summary = image.summary();
        assert_eq!((summary.purgatory.as_str(), &summary.by_block), (peer.name, &None));
        assert!(
            summary
                .regions
                .iter()
                .all(|region| region.file_len == region.len && region.leaf_count == 0)
        );
    }
}

#[test]
fn purgatory_is_placed_at_its_own_alignment() {
    for bits in [0, 12, 14, 16] {
        let mut object = (PEERS[0].object)();
        object.parts[0].alignment = 1 << bits;
        let (request, machine) = (around(&object), machine());
        let image = crate::build(&request, &machine).unwrap();
        assert_eq!(range_of(&image, SegmentKind::Purgatory).start() % (1 << bits), 0, "{bits}");
    }
}

#[test]
fn purgatory_that_cannot_run_so_high_is_refused_with_what_to_do() {
    use object::elf::{R_X86_64_32, R_X86_64_32S, R_X86_64_64};
    let built = |kind, high: u64| {
        let request = around(&(PEERS[0].object)().relocated(16, kind, 2, 0));
        let mut machine = machine();
        if high > 0 {
            let region = PhysRange::with_len(high, machine.crash_regions[0].len()).unwrap();
            machine.crash_regions.push(region);
            machine.system_ram.push(region);
        }
        crate::build(&request, &machine).map(drop).map_err(|error| {
            let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                error.source()
            });
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        })
    };
    assert_eq!(built(R_X86_64_64, 1 << 33), Ok(()));
    for (kind, high, limit) in
        [(R_X86_64_32, 1 << 32, "below 4 GiB"), (R_X86_64_32S, 1 << 31, "below 2 GiB")]
    {
        assert_eq!(built(kind, 0), Ok(()));
        let message = built(kind, high).unwrap_err();
        for words in ["purgatory.ro", limit, "crashkernel=SIZE@OFFSET", "table"] {
            assert!(message.contains(words), "{words:?} in {message}");
        }
    }
}

#[test]
fn purgatory_that_begins_with_elf_magic_is_refused() {
    for peer in &PEERS {
        let mut object = (peer.object)();
        object.parts[0].bytes[..4].copy_from_slice(b"\x7fELF");
        let error = crate::build(&around(&object), &machine()).unwrap_err();
        assert!(
            matches!(
                error,
                crate::Error::Admit(crate::admit::Error::ElfMagic { name: "purgatory", .. })
            ),
            "{error}"
        );
    }
}
