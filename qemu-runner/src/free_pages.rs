//! Dumps in which free pages can be counted: a kernel, its page tables, and memory that was used
//! and freed before the panic.
//!
//! *On entry* nothing. *On exit* the crashed machine's /proc/vmcore as a file.

use std::fmt;
use std::path::PathBuf;

use crate::context::Context;
use crate::error::{Error, check_eq};
use crate::machine::deadline::Deadline;
use crate::machine::{CPU, CPU_WITH_LA57};
use crate::scenario::LIMIT;
use crate::stage::{Setup, Stage};

/// A kernel, and how many levels its page tables have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The kernel's series.
    pub series: &'static str,
    /// 4 or 5.
    pub levels: u32,
}

/// Every kernel that setup brings, with either paging.
pub const KINDS: [Kind; 6] = {
    const fn kind(series: &'static str, levels: u32) -> Kind {
        Kind { series, levels }
    }
    [kind("6.1", 4), kind("6.1", 5), kind("6.12", 4), kind("6.12", 5), kind("7", 4), kind("7", 5)]
};

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Linux {}, {} levels", self.series, self.levels)
    }
}

/// A dump, and the kernel that crashed.
#[derive(Clone, Debug)]
pub struct Crash {
    /// The dump, as /proc/vmcore had it.
    pub vmcore: PathBuf,
    /// As `uname -r` prints it.
    pub release: String,
}

/// MiB of memory.
const MEMORY: u64 = 2048;
/// Pages that do not compress are used and freed, some as large blocks, some one by one between
/// others that stay.
const USE: &str = "cd /tmp && dd if=/dev/urandom of=kept bs=1M count=150 2>/dev/null && \
    cp kept freed && mkdir pieces && cd pieces && i=0 && \
    while [ $i -lt 8192 ]; do echo $i >$i || exit; i=$((i + 1)); done && rm ../freed *[02468]";

/// Crashes a machine of this kind, and keeps the dump.
pub fn crash(context: &Context, kind: Kind) -> Result<Crash, Error> {
    let play = |stage: &mut Stage<'_>| {
        let cpu = if kind.levels == 5 { CPU_WITH_LA57 } else { CPU };
        let series = Some(kind.series);
        let mut first =
            stage.boot(&Setup { series, cpu, memory_mib: MEMORY, ..Setup::default() })?;
        // Linux hides the flag if it uses four levels.
        let flags = first.vm.run_ok("grep -cw la57 /proc/cpuinfo || true")?;
        check_eq!(flags != "0", kind.levels == 5, "whether five levels are in use")?;
        first.arm("")?;
        first.place_sentinel(1)?;
        first.vm.run_ok(USE)?;
        let mut capture = first.panic(None)?.capture()?;
        let core = capture.expect_dump()?;
        let vmcore = capture.crashed.keep_vmcore(&core)?;
        Ok(Crash { vmcore, release: capture.crashed.victim.release.clone() })
    };
    let name = format!("free-pages-{}-{}", kind.series, kind.levels);
    Stage::play(context, &name, Deadline::after(LIMIT), &[], play).map(|(crash, _)| crash)
}
