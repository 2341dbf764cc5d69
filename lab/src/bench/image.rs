//! (1) The image, built by the loader library for a machine whose crash region a process can map.
//!
//! *On exit*: segments, block and leaf table as `kdump-loader load` would submit them. One thing
//! differs: the block permits no port I/O, HLT or debug registers, which a process may not use.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use handoff::{EngineId, OnCorrupt};
use loader::machine::Machine;
use loader::phys::PhysRange;
use loader::request::{Confidential, Console, EngineChoice, InputFile, Request, SignalChoice};
use serde::{Deserialize, Serialize};

use crate::repository::{Repository, explain};

/// Start of the crash region: away from this program, its libraries, heap and stack; below 2^40.
const CRASH_REGION: u64 = 64 << 30;
/// Added to the sizes of kernel and initrd: everything else, and alignment.
const ROOM: u64 = 64 << 20;
/// The loader's default.
const LEAF_SIZE: u32 = 256 << 10;
/// Initrds of the sweep, in MiB. The last is just below 4 GiB: the kernel's purgatory counts the
/// bytes of a region in 32 bits (`sha256_update`, lib/crypto/sha256.c), and hangs on 4 GiB.
const SWEEP: [u64; 5] = [16, 64, 256, 1024, 4095];
/// The snapshot of the machine that images are built for.
const MACHINE: &str = "tests/fixtures/elfcorehdr-6.12/snapshot";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Image {
    pub name: String,
    /// Its sizes, in words.
    pub what: String,
    /// The kernel's file; without one, a synthetic kernel.
    kernel: Option<PathBuf>,
    kernel_kib: u32,
    init_kib: u32,
    /// KiB of the initrd.
    pub initrd_kib: u64,
    /// Whether the image is one of the sweep.
    pub is_swept: bool,
}

impl Image {
    fn synthetic(name: &str, [kernel_kib, init_kib, initrd_kib]: [u32; 3]) -> Self {
        let shown = |kib: u32| match kib >> 10 {
            0 => format!("{kib} KiB"),
            mib => format!("{mib} MiB"),
        };
        let [kernel, init, initrd] = [kernel_kib, init_kib, initrd_kib].map(shown);
        Self {
            name: name.into(),
            what: format!("kernel {kernel} in {init}, initrd {initrd}"),
            kernel: None,
            kernel_kib,
            init_kib,
            initrd_kib: initrd_kib.into(),
            is_swept: false,
        }
    }

    /// Every contestant verifies this one in a few milliseconds.
    pub fn small() -> Self {
        Self::synthetic("small", [1 << 10, 2 << 10, 1 << 10])
    }

    /// Small enough to count instructions one by one.
    pub fn tiny() -> Self {
        Self::synthetic("tiny", [16, 64, 16])
    }

    /// All images of a measurement.
    pub fn all(repo: &Repository, sweep: bool) -> Result<Vec<Self>> {
        let article = Self::synthetic("article", [10 << 10, 56 << 10, 29 << 10]);
        let context = repo.context()?;
        let kernel = context.kernel("6.12").map_err(explain)?;
        let debian = Self {
            name: "Debian 6.12".into(),
            what: format!("{}, initrd 29 MiB", kernel.release),
            kernel: Some(kernel.vmlinuz.clone()),
            ..article.clone()
        };
        let files_only = Self::synthetic("files only", [10 << 10, 10 << 10, 29 << 10]);
        let mut all = vec![article, debian, files_only];
        for mib in SWEEP.into_iter().filter(|_| sweep) {
            let sizes = [10 << 10, 56 << 10, (mib as u32) << 10];
            let swept = Self::synthetic(&format!("sweep {mib}"), sizes);
            all.push(Self { is_swept: true, ..swept });
        }
        Ok(all)
    }

    /// What the loader is asked for.
    pub fn request(&self, purgatory: InputFile, engine: EngineId) -> Result<Request> {
        let kernel = match &self.kernel {
            Some(path) => input(path)?,
            None => InputFile {
                path: "synthetic".into(),
                bytes: synthetic(self.kernel_kib << 10, self.init_kib << 10),
            },
        };
        Ok(Request {
            kernel,
            initrd: Some(InputFile {
                path: "initrd".into(),
                bytes: pattern(self.initrd_kib << 10),
            }),
            command_line: "console=ttyS0 nr_cpus=1 reset_devices acpi_no_memhotplug".into(),
            noefi: true,
            on_corrupt: Some(OnCorrupt::Boot),
            reset_delay_ms: Some(0),
            console: Console::None,
            confidential: Confidential::Yes,
            hotplug: true,
            engine: EngineChoice::Only(engine),
            leaf_size: Some(LEAF_SIZE),
            black_box: None,
            signals: SignalChoice::None,
            purgatory,
            rng_seed: None,
            window: None,
        })
    }

    /// The machine, with a crash region that is large enough.
    pub fn machine(&self, repo: &Repository, request: &Request) -> Result<Machine> {
        let mut machine = Machine::read(&repo.root.join(MACHINE), None)?;
        let initrd = request.initrd.as_ref().map_or(0, |initrd| initrd.bytes.len() as u64);
        let kernel = u64::from(self.init_kib << 10).max(request.kernel.bytes.len() as u64);
        let len = (initrd + kernel + 2 * ROOM).next_multiple_of(1 << 21);
        let region = PhysRange::with_len(CRASH_REGION, len).context("no crash region")?;
        machine.crash_regions = vec![region];
        // The kernel takes segments of at most half of it.
        machine.total_ram += 4 * region.len();
        machine.system_ram.push(region);
        machine.cpu.sha_ni = digest::Engine::detect(digest::EngineKind::ShaNi).is_some();
        Ok(machine)
    }
}

pub fn input(path: &Path) -> Result<InputFile> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(InputFile { path: path.to_owned(), bytes })
}

/// Bytes that differ from one leaf to the next.
fn pattern(len: u64) -> Vec<u8> {
    let words = (1..=len.div_ceil(8)).map(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    words.flat_map(u64::to_le_bytes).take(len as usize).collect()
}

/// A bzImage of boot protocol 2.15 with `payload` bytes to load, whose decompressor asks for
/// `init_size`. Offsets are from boot.rst, "The real-mode kernel header".
fn synthetic(payload: u32, init_size: u32) -> Vec<u8> {
    let mut file = vec![0; 1024];
    let mut field =
        |offset: usize, bytes: &[u8]| file[offset..offset + bytes.len()].copy_from_slice(bytes);
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
    file.extend(pattern(payload.into()));
    file
}
