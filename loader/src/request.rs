//! The image to build: files that were read, and parsed options.

use std::num::NonZeroU64;
use std::path::PathBuf;

use handoff::OnCorrupt;

use crate::cmdline::Base;
use crate::phys::PhysRange;

/// A file, read once and whole.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Its path, for messages.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Where the purgatory prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Console {
    /// On the 8250 that the capture kernel's command line names (`console=ttySn`, `earlyprintk=`).
    /// If it names none, nowhere.
    #[default]
    Auto,
    /// On the 8250 at this I/O port.
    Port(u16),
    /// Nowhere.
    None,
}

/// Whether the image is for a confidential guest, where the purgatory avoids instructions that
/// fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confidential {
    /// Yes if the machine shows evidence of one ([`crate::machine::CpuFacts::confidential`]).
    #[default]
    Auto,
    /// Yes, even if the machine shows no evidence.
    Yes,
    /// No, even if the machine shows evidence.
    No,
}

/// Which digest engine the purgatory runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The fastest that all CPUs of the machine support.
    #[default]
    Auto,
    /// This one. If a CPU lacks it, [`build`](crate::build) fails.
    Only(handoff::EngineId),
}

/// Through which devices the purgatory signals a panic out of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignalChoice {
    /// All that the machine has.
    #[default]
    Auto,
    /// Through none.
    None,
    /// Through these. If the machine lacks one, [`build`](crate::build) fails.
    Only {
        /// The pvpanic device.
        pvpanic: bool,
        /// The IPMI event log.
        ipmi: bool,
    },
}

/// Everything that decides the image, except the machine.
#[derive(Clone, Debug)]
pub struct Request {
    /// The capture kernel, in one of [`crate::kernel::FORMATS`].
    pub kernel: InputFile,
    /// The capture kernel's initrd, if it gets one.
    pub initrd: Option<InputFile>,
    /// The capture kernel's command line, without the parameters that the loader appends.
    pub command_line: Base,
    /// Whether the capture kernel gets no EFI tables.
    pub noefi: bool,
    /// What the purgatory does if a segment is corrupt. `None`: the purgatory's default.
    pub on_corrupt: Option<OnCorrupt>,
    /// How long the purgatory shows a failure before it resets, in milliseconds. `None`: its
    /// default.
    pub reset_delay_ms: Option<u32>,
    /// Where the purgatory prints.
    pub console: Console,
    /// Whether the image is for a confidential guest.
    pub confidential: Confidential,
    /// Whether the kernel will update the elfcorehdr on CPU and memory hotplug. The elfcorehdr's
    /// segment then gets room for all CPUs and memory that the kernel says it can have.
    pub hotplug: bool,
    /// Which digest engine the purgatory runs.
    pub engine: EngineChoice,
    /// Bytes per leaf, a power of two. `None`: the purgatory's default.
    pub leaf_size: Option<u32>,
    /// The number of this load on this machine, which each record of the purgatory carries.
    /// `None`: the purgatory leaves no record and no copy of the kernel log in crash memory.
    pub black_box: Option<NonZeroU64>,
    /// Through which devices the purgatory signals a panic out of the machine.
    pub signals: SignalChoice,
    /// The purgatory's ELF file: kdump-purgatory, the kernel's or kexec-tools'.
    pub purgatory: InputFile,
    /// Seed for the capture kernel's random number generator (SETUP_RNG_SEED). `None`: no seed is
    /// passed.
    pub rng_seed: Option<[u8; 32]>,
    /// Physical addresses that the image must stay in. `None`: anywhere in the crash region.
    pub window: Option<PhysRange>,
}

impl Request {
    /// This kernel and this purgatory, and defaults for everything else: no initrd, an empty
    /// command line, EFI tables if the machine has them, an elfcorehdr that the kernel keeps up to
    /// date, and neither a black box nor signals.
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
            black_box: None,
            signals: SignalChoice::None,
            purgatory,
            rng_seed: None,
            window: None,
        }
    }
}

/// For tests: so few bytes per leaf that small files have several leaves.
#[cfg(any(test, feature = "testing"))]
pub const EXAMPLE_LEAF_SIZE: u32 = 4096;

/// For tests: the example kernel and purgatory, with every option set.
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
