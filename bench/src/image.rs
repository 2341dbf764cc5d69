//! (1) The image: built by the loader library for a machine whose crash region lies where a process can map it.
//!
//! On exit: segments, block and leaf table as `kdump-loader load` would submit them, but that the block permits neither port I/O nor HLT nor
//! debug registers, as in a confidential guest: a process may not execute them.

use std::path::{Path, PathBuf};

use handoff::{EngineId, OnCorrupt};
use loader::machine::Machine;
use loader::phys::PhysRange;
use loader::request::{Confidential, Console, EngineChoice, InputFile, Request};

/// Start of the crash region: where neither programs nor their libraries, heaps and stacks lie, and below 2^40.
const CRASH_REGION: u64 = 64 << 30;
/// What is added to the sizes of kernel and initrd: everything else, and room between.
const ROOM: u64 = 64 << 20;
/// The loader's default.
const LEAF_SIZE: u32 = 256 << 10;

/// What is verified.
#[derive(Debug, clap::Args)]
pub struct Kind {
    /// A bzImage; without one, a synthetic kernel of 10 MiB that asks for 56 MiB, as in the article that started the project
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// KiB of the synthetic kernel
    #[arg(long, default_value_t = 10 << 10)]
    kernel_kib: u32,
    /// KiB that it asks for
    #[arg(long, default_value_t = 56 << 10)]
    init_kib: u32,
    /// KiB of the initial RAM disk
    #[arg(long, default_value_t = 29 << 10)]
    initrd_kib: u64,
    /// A machine's snapshot, as `kdump-loader snapshot` makes them
    #[arg(long, value_name = "DIR")]
    machine: PathBuf,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The snapshot is none.
    #[error("no machine: {0}")]
    Machine(#[from] loader::machine::Error),
}

/// Reads a file.
pub fn input(path: &Path) -> Result<InputFile, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(InputFile { path: path.to_owned(), bytes })
}

impl Kind {
    /// What is asked of the loader.
    pub fn request(&self, purgatory: InputFile, engine: EngineId) -> Result<Request, Error> {
        let kernel = match &self.kernel {
            Some(path) => input(path)?,
            None => InputFile { path: "synthetic".into(), bytes: synthetic(self.kernel_kib << 10, self.init_kib << 10) },
        };
        Ok(Request {
            kernel,
            initrd: Some(InputFile { path: "initrd".into(), bytes: pattern(self.initrd_kib << 10) }),
            command_line: "console=ttyS0 nr_cpus=1 reset_devices acpi_no_memhotplug".into(),
            noefi: true,
            on_corrupt: Some(OnCorrupt::Boot),
            reset_delay_ms: Some(0),
            console: Console::None,
            confidential: Confidential::Yes,
            hotplug: true,
            engine: EngineChoice::Only(engine),
            leaf_size: Some(LEAF_SIZE),
            purgatory,
            rng_seed: None,
            window: None,
        })
    }

    /// The machine, with a crash region that is large enough.
    pub fn machine(&self, request: &Request) -> Result<Machine, Error> {
        let mut machine = Machine::read(&self.machine, None)?;
        let initrd = request.initrd.as_ref().map_or(0, |initrd| initrd.bytes.len() as u64);
        let len = initrd + u64::from(self.init_kib << 10).max(request.kernel.bytes.len() as u64) + 2 * ROOM;
        let region = PhysRange::with_len(CRASH_REGION, len.next_multiple_of(1 << 21)).expect("below 2^40");
        machine.crash_regions = vec![region];
        // The kernel takes segments of at most half of it.
        machine.total_ram += 4 * region.len();
        machine.system_ram.push(region);
        machine.cpu.sha_ni = digest::Engine::detect(digest::EngineKind::ShaNi).is_some();
        Ok(machine)
    }
}

/// Bytes that differ from one leaf to the next.
fn pattern(len: u64) -> Vec<u8> {
    let words = (0..len.div_ceil(8)).map(|index| (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    words.flat_map(u64::to_le_bytes).take(len as usize).collect()
}

/// A bzImage of boot protocol 2.15 with so many bytes to load, whose decompressor asks for `init_size`. Offsets of fields as in boot.rst,
/// "The real-mode kernel header".
fn synthetic(payload: u32, init_size: u32) -> Vec<u8> {
    let mut file = vec![0; 1024];
    let mut field = |offset: usize, bytes: &[u8]| file[offset..offset + bytes.len()].copy_from_slice(bytes);
    field(0x1f1, &[1]); // setup_sects
    field(0x1f4, &(payload / 16).to_le_bytes()); // syssize
    field(0x1fe, &0xaa55_u16.to_le_bytes()); // boot_flag
    field(0x200, &[0xeb, 0x6a]); // jump over the rest of the header
    field(0x202, b"HdrS");
    field(0x206, &0x020f_u16.to_le_bytes()); // version
    field(0x211, &[1]); // loadflags: LOADED_HIGH
    field(0x22c, &0x7fff_ffff_u32.to_le_bytes()); // initrd_addr_max
    field(0x230, &0x20_0000_u32.to_le_bytes()); // kernel_alignment
    field(0x234, &[1, 21]); // relocatable_kernel, min_alignment
    field(0x236, &0x7f_u16.to_le_bytes()); // xloadflags
    field(0x238, &2047_u32.to_le_bytes()); // cmdline_size
    field(0x258, &0x100_0000_u64.to_le_bytes()); // pref_address
    field(0x260, &init_size.to_le_bytes());
    file.extend(pattern(u64::from(payload)));
    file
}
