//! Valid input: a block in a crash region at any place, and a machine and a request for which an
//! image can be built.

use std::sync::LazyLock;

use handoff::black_box::{LogArray, PrintkLog};
use handoff::report::FIELD_LEN;
use handoff::{
    BlackBox, Block, ConsoleKind, EngineId, EntryRegs, OnCorrupt, Permissions, PhysSpan, Region,
    RegionKind,
};
use loader::image::Image;
use loader::machine::no_reservation::Evidence;
use loader::machine::printk::Unresolved;
use loader::machine::signals::SignalPorts;
use loader::machine::{CpuFacts, CrashNotes, Kcore, KexecPermission, Machine};
use loader::phys::PhysRange;
use loader::purgatory::Program;
use loader::request::{Confidential, Console, EngineChoice, InputFile, Request, SignalChoice};
use purgatory::received::{Handoff, Itself, receive};
use zerocopy::little_endian::{U32, U64};

use crate::bzimage;

/// Bytes of the smallest crash region that [`block`] fits.
pub const LEAST_CRASH_REGION: u64 = 0x10000;
/// Bytes in a leaf of [`block`].
const LEAF_SIZE: u32 = 4096;

/// A block for a crash region that begins at page `start`, and the place of its purgatory: five
/// segments in sequence, each of a few pages.
pub fn block(start: u64, len: u64, phys_limit: u64) -> (Block, Itself) {
    let purgatory = start + 0x8000;
    let itself = Itself { start: purgatory, written_offset: 0x2000, image_len: 0x4000 };
    let regions = [
        Region::new(RegionKind::Purgatory, purgatory, 0x1800, 0x1800),
        Region::new(RegionKind::Kernel, start + 0x2000, 0x1800, 0x2000),
        Region::new(RegionKind::Initrd, start + 0x4000, 0x801, 0x1000),
        Region::new(RegionKind::BootParams, start + 0x5000, 0x1000, 0x1000),
        Region::new(RegionKind::CommandLine, start + 0x6000, 0x200, 0x1000),
        Region::new(RegionKind::ElfcorehdrCopy, purgatory + 0x5000, 0x200, 0x200),
    ];
    let leaves: u64 =
        regions.iter().map(|region| region.file_len.get().div_ceil(LEAF_SIZE.into())).sum();
    let mut block = Block::blank();
    block.regions[..regions.len()].copy_from_slice(&regions);
    block.region_count = U32::new(regions.len() as u32);
    block.purgatory = PhysSpan::new(purgatory, 0x6000);
    block.crash_region = PhysSpan::new(start, len);
    block.leaf_table = PhysSpan::new(purgatory + 0x4000, leaves * 32);
    block.leaf_size = U32::new(LEAF_SIZE);
    block.engine = U32::new(EngineId::Soft as u32);
    block.permissions = U32::new(Permissions::ALL.bits());
    block.console.kind = U32::new(ConsoleKind::Uart8250 as u32);
    block.console.port = U32::new(0x3f8);
    block.on_corrupt = U32::new(OnCorrupt::Reset as u32);
    block.reset_delay_ms = U32::new(10_000);
    block.tsc_khz = U32::new(2_000_000);
    block.elfcorehdr = PhysSpan::new(start, 0x2000);
    block.phys_limit = U64::new(phys_limit);
    block.report = PhysSpan::new(start + 0x6080, FIELD_LEN as u64);
    block.entry = EntryRegs { rip: U64::new(start + 0x2200), rsi: U64::new(start + 0x5000) };
    block.black_box = black_box(start);
    (block, itself)
}

/// A black box in the pages that [`block()`] leaves free, for a small log in low memory.
fn black_box(start: u64) -> BlackBox {
    let array = |start, element_len: u32, elements: u32, kept: u32| LogArray {
        span: PhysSpan::new(start, u64::from(element_len * elements)),
        element_len: element_len.into(),
        kept: kept.into(),
    };
    let mut black_box = BlackBox { generation: 7.into(), ..BlackBox::default() };
    black_box.records[0] = (start + 0x7000).into();
    black_box.log_copies = [0xe000, 0xf000].map(|offset| PhysSpan::new(start + offset, 0x1000));
    black_box.log = PrintkLog {
        ringbuffer: PhysSpan::new(0x1000, 88),
        descriptors: array(0x2000, 24, 16, 8),
        infos: array(0x3000, 88, 16, 8),
        text: array(0x4000, 1, 1024, 1024),
        head_id: 24.into(),
        head_lpos: 64.into(),
    };
    black_box.signals.pvpanic_port = 0x505.into();
    (black_box.signals.kcs_port, black_box.signals.kcs_spacing) = (0xca2.into(), 1.into());
    black_box
}

/// A request for an image with this purgatory.
pub fn request(purgatory: InputFile) -> Request {
    Request {
        kernel: InputFile { path: "vmlinuz".into(), bytes: bzimage::image(&[0xcc; 0x210]) },
        initrd: None,
        command_line: "nr_cpus=1".into(),
        noefi: true,
        on_corrupt: Some(OnCorrupt::Reset),
        reset_delay_ms: Some(10_000),
        console: Console::None,
        confidential: Confidential::Auto,
        hotplug: false,
        engine: EngineChoice::Only(EngineId::Soft),
        leaf_size: Some(LEAF_SIZE),
        black_box: None,
        signals: SignalChoice::None,
        purgatory,
        rng_seed: None,
        window: None,
    }
}

/// A machine with 4 GiB and 64 MiB of crash memory below its last GiB, far more than any image of
/// [`request`] needs.
pub static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let range = |start, end| PhysRange::new(start, end).expect("start before end");
    Machine {
        total_ram: 4 << 30,
        system_ram: vec![range(0x1000, 0x9_f000), range(0x10_0000, 1 << 32)],
        crash_regions: vec![range(0xb000_0000, 0xb400_0000)],
        crash_cma: None,
        acpi_tables: Vec::new(),
        acpi_nvs: Vec::new(),
        reserved: Vec::new(),
        pmem: Vec::new(),
        pram: Vec::new(),
        kcore: Kcore {
            text_virt: 0xffff_ffff_8100_0000,
            text_phys: 0x100_0000,
            text_len: 0x200_0000,
            page_offset: 0xffff_8880_0000_0000,
        },
        vmcoreinfo: range(0x182_4000, 0x182_5024),
        vmcoreinfo_text: String::new(),
        printk: Err(Unresolved::NoNote),
        signals: SignalPorts::default(),
        crash_notes: vec![CrashNotes { cpu: 0, range: range(0x2ec1_d5c0, 0x2ec1_d730) }],
        possible_cpus: 1,
        elfcorehdr_size: None,
        boot_params: vec![0; 4096],
        efi: None,
        command_line: Vec::new(),
        cpu: CpuFacts {
            sha_ni: false,
            gbpages: true,
            la57: false,
            physical_bits: 46,
            confidential: None,
            tsc_khz: 2_000_000,
        },
        kexec: KexecPermission { load_disabled: false, lockdown: None },
        dm_crypt_keys: 0,
        no_reservation: Evidence::default(),
    }
});

/// What the purgatory of this image accepts of its block. Panics if it rejects the block.
pub fn accepted(image: &Image<'_>, program: &Program) -> Handoff {
    let block = image.block().expect("an image around a purgatory of ours");
    let start = block.purgatory.start.get();
    let itself = Itself { start, written_offset: program.handoff(), image_len: program.len() };
    receive(block, &itself).expect("the purgatory refuses the loader's block")
}
