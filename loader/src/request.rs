//! What the caller wants armed: files already read, options already parsed.

use std::path::PathBuf;

use handoff::OnCorrupt;

use crate::cmdline::Base;
use crate::phys::PhysRange;

/// A file that has been read whole, once.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Where it came from, for messages.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Where the purgatory shall print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Console {
    /// On the 8250 that the capture kernel's command line names (`console=ttySn`, `earlyprintk=`), else nowhere.
    #[default]
    Auto,
    /// On the 8250 at this I/O port.
    Port(u16),
    /// Nowhere.
    None,
}

/// Whether the purgatory must do without what faults in a confidential guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confidential {
    /// If the machine is found to be one.
    #[default]
    Auto,
    /// Yes, whatever was found.
    Yes,
    /// No, whatever was found.
    No,
}

/// Which digest engine the purgatory shall run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The fastest that this machine's CPUs have.
    #[default]
    Auto,
    /// This one; refused when the CPUs lack it.
    Only(handoff::EngineId),
}

/// Everything that decides what the image will be, besides the machine.
#[derive(Clone, Debug)]
pub struct Request {
    /// The capture kernel.
    pub kernel: InputFile,
    /// Its initial RAM disk.
    pub initrd: Option<InputFile>,
    /// The capture kernel's command line, without what the loader itself appends.
    pub command_line: Base,
    /// Pass no EFI tables to the capture kernel.
    pub noefi: bool,
    /// What the purgatory does when a segment is corrupt; as it is its custom if nothing is asked for.
    pub on_corrupt: Option<OnCorrupt>,
    /// How long it shows a failure before it resets, in milliseconds; likewise.
    pub reset_delay_ms: Option<u32>,
    /// Where it prints.
    pub console: Console,
    /// Whether it must do without what faults in a confidential guest.
    pub confidential: Confidential,
    /// Ask the kernel to keep the elfcorehdr current on CPU and memory hotplug.
    pub hotplug: bool,
    /// Which engine it runs.
    pub engine: EngineChoice,
    /// Bytes per leaf; likewise.
    pub leaf_size: Option<u32>,
    /// The purgatory's ELF file, ours or another's.
    pub purgatory: InputFile,
    /// Seed for the capture kernel's random number generator (SETUP_RNG_SEED); none is passed without.
    pub rng_seed: Option<[u8; 32]>,
    /// Part of physical memory that the image must stay in; without one, it may lie anywhere in the crash region.
    pub window: Option<PhysRange>,
}

impl Request {
    /// This kernel and this purgatory, and the default of everything else: no initrd, an empty command
    /// line, EFI tables if the machine has them, and an elfcorehdr that the kernel keeps current.
    pub fn new(kernel: InputFile, purgatory: InputFile) -> Self {
        Self {
            kernel,
            initrd: None,
            command_line: Base::default(),
            noefi: false,
            on_corrupt: None,
            reset_delay_ms: None,
            console: Console::Auto,
            confidential: Confidential::Auto,
            hotplug: true,
            engine: EngineChoice::Auto,
            leaf_size: None,
            purgatory,
            rng_seed: None,
            window: None,
        }
    }
}

/// For tests: bytes per leaf, few, so that small files have several.
#[cfg(any(test, feature = "testing"))]
pub const EXAMPLE_LEAF_SIZE: u32 = 4096;

/// For tests: the example kernel and purgatory, armed with all that can be asked for.
#[cfg(any(test, feature = "testing"))]
pub fn example() -> Request {
    use crate::example::{bzimage, pattern, purgatory};
    let kernel = InputFile { path: "vmlinuz".into(), bytes: bzimage(&pattern(50_000)) };
    let purgatory = InputFile { path: "purgatory.elf".into(), bytes: purgatory().bytes() };
    Request {
        initrd: Some(InputFile { path: "initrd".into(), bytes: pattern(9_000) }),
        command_line: "console=ttyS1 nr_cpus=1".into(),
        on_corrupt: Some(OnCorrupt::Halt),
        reset_delay_ms: Some(2500),
        leaf_size: Some(EXAMPLE_LEAF_SIZE),
        rng_seed: Some([7; 32]),
        ..Request::new(kernel, purgatory)
    }
}
