//! A case: one row of the fault matrix.

use handoff::report::Elfcorehdr;
use handoff::{OnCorrupt, RegionKind, Verdict};
use loader::request::EngineChoice;
use orders::{Ending, Nmi, Step, Tables};

use super::black_box::Left;
use super::memory::Memory;
use super::trace::Forbidden;
use crate::machine::{CPU, CPU_WITH_LA57, CPU_WITHOUT_GIB_PAGES, CPU_WITHOUT_SHA_NI};

/// First port of the UART that every machine has unless its case says otherwise: COM1.
pub const COM1: u16 = 0x3f8;
/// First port of a UART that no machine has: COM3.
pub const ABSENT: u16 = 0x3e8;

/// Bytes of the initial RAM disk: nine leaves of 64 KiB and a short one.
const INITRD_LEN: usize = 600_001;
/// The same where verification must take long enough for something else to happen meanwhile: a
/// fifth of a second without SHA-NI under TCG.
pub const LONG_INITRD_LEN: usize = 12 << 20;

/// One row.
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is wrong with the machine or its memory, in words that complete "when …".
    pub summary: &'static str,
    /// What is asked of the loader and the crash kernel.
    pub arrange: fn(&mut Arrangement),
    /// What happens to the loaded image before the panic.
    pub damage: fn(&mut Memory),
    /// What must come of it.
    pub expect: Expect,
}

/// Rows of the matrix. One row is a name and what is wrong, then what is arranged, what is damaged,
/// and what must come of it:
///
/// ```text
/// "halt-initrd": "a bit of the initrd was flipped, and the policy is to halt",
///     halt, flip_initrd, halted(Verdict::SegmentCorrupt);
/// ```
macro_rules! rows {
    ($($name:literal: $summary:expr, $arrange:expr, $damage:expr, $expect:expr;)*) => {
        &[$($crate::bare::case::Case {
            name: $name,
            summary: $summary,
            arrange: $arrange,
            damage: $damage,
            expect: $expect,
        }),*]
    };
}
pub(crate) use rows;

pub struct Expect {
    /// The verdict, on the console and, where the capture payload runs, in the report.
    pub verdict: Verdict,
    /// Lines of the console, in this order; each must begin so, in the notation of `words.rs`.
    /// None: the purgatory must be silent.
    pub says: &'static [&'static str],
    pub ended: Ended,
}

impl Expect {
    /// What must come of a case whose image the purgatory boots, and which is sound.
    pub const fn sound(says: &'static [&'static str]) -> Self {
        Self { verdict: Verdict::Ok, says, ended: Ended::Booted(SOUND) }
    }

    /// The same, but the elfcorehdr is replaced by its copy.
    pub const fn restored(says: &'static [&'static str]) -> Self {
        let ended = Ended::Booted(Reported { elfcorehdr: Elfcorehdr::Restored, ..SOUND });
        Self { verdict: Verdict::Ok, says, ended }
    }

    /// What must come of a case that is refused with this verdict: a reset.
    pub const fn reset(verdict: Verdict, says: &'static [&'static str]) -> Self {
        Self { verdict, says, ended: Ended::Reset }
    }

    /// The same by a triple fault, in silence.
    pub const fn triple_fault(verdict: Verdict) -> Self {
        Self { verdict, says: &[], ended: Ended::TripleFault }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Booted(Reported),
    /// The payload ran although something was wrong, which it found as well.
    BootedNevertheless(Reported, Ending),
    /// Reset after the announced delay, by the chipset.
    Reset,
    /// Reset by the chipset; the announced delay is one of a clock that was told to run fast.
    ResetAtOnce,
    /// Reset without port I/O: by a triple fault, the only way that is left.
    TripleFault,
    Halted,
    /// The CPU is in a loop of the purgatory that is never left, because it may not execute HLT.
    Spinning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    pub segment: Option<RegionKind>,
    /// The engine that ran; any when none.
    pub engine: Option<handoff::EngineId>,
    pub elfcorehdr: Elfcorehdr,
    /// Whether any was counted.
    pub nmis: bool,
}

pub const SOUND: Reported =
    Reported { segment: None, engine: None, elfcorehdr: Elfcorehdr::Ok, nmis: false };

/// The CPU's features that cases care about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cpu {
    /// All that TCG can emulate, but for five-level paging.
    Full,
    WithoutShaNi,
    WithoutGibPages,
    La57,
}

impl Cpu {
    /// `-cpu`.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Full => CPU,
            Self::WithoutShaNi => CPU_WITHOUT_SHA_NI,
            Self::WithoutGibPages => CPU_WITHOUT_GIB_PAGES,
            Self::La57 => CPU_WITH_LA57,
        }
    }
}

pub fn flip_initrd(memory: &mut Memory) {
    memory.flip(RegionKind::Initrd, 0);
}

/// What is asked of the loader and of the crash kernel. The default is a machine on which nothing
/// is remarkable.
#[derive(Clone, Debug)]
pub struct Arrangement {
    pub cpu: Cpu,
    /// The CPU on which the image is built, where that is another: a machine that was migrated
    /// after loading.
    pub built_on: Option<Cpu>,
    /// Descriptor tables at the panic.
    pub tables: Tables,
    /// Five levels of page tables at the panic.
    pub la57: bool,
    pub nmi: Nmi,
    /// The CPU that panics, in the order in which they were started.
    pub panic_cpu: u32,
    /// CPUs with a note of their own.
    pub possible_cpus: u32,
    /// What the kernel does before the damage.
    pub steps: Vec<Step<'static>>,
    pub engine: EngineChoice,
    pub on_corrupt: OnCorrupt,
    pub reset_delay_ms: u32,
    pub leaf_size: u32,
    pub initrd_len: usize,
    /// `--hotplug`: room in the elfcorehdr's segment for what the kernel will write.
    pub hotplug: bool,
    pub console: Option<u16>,
    /// COM1 is there and never takes a byte.
    pub stuck_console: bool,
    /// A machine check is injected once the purgatory is in an endless loop.
    pub machine_check: bool,
    /// What must be left in the black box, and nothing else in the crash region.
    pub left: Option<Left>,
    /// Every instruction of the purgatory is traced, and of those that a block can forbid exactly
    /// these must have been executed.
    pub traced: Option<&'static [Forbidden]>,
}

impl Default for Arrangement {
    fn default() -> Self {
        Self {
            cpu: Cpu::Full,
            built_on: None,
            tables: Tables::Null,
            la57: false,
            nmi: Nmi::None,
            panic_cpu: 0,
            possible_cpus: 2,
            steps: Vec::new(),
            engine: EngineChoice::Auto,
            on_corrupt: OnCorrupt::Reset,
            reset_delay_ms: 700,
            leaf_size: 64 << 10,
            initrd_len: INITRD_LEN,
            hotplug: true,
            console: Some(COM1),
            stuck_console: false,
            machine_check: false,
            left: None,
            traced: None,
        }
    }
}

pub fn ordinary(_: &mut Arrangement) {}

pub fn untouched(_: &mut Memory) {}

pub fn ended_in_words(ended: &Ended) -> String {
    match ended {
        Ended::Booted(reported) if reported.elfcorehdr != Elfcorehdr::Ok => {
            "boots; elfcorehdr restored".into()
        }
        Ended::Booted(_) => "boots".into(),
        Ended::BootedNevertheless(..) => "boots, as configured".into(),
        Ended::Reset | Ended::ResetAtOnce => "reset".into(),
        Ended::TripleFault => "reset by triple fault".into(),
        Ended::Halted => "halted".into(),
        Ended::Spinning => "spins".into(),
    }
}
