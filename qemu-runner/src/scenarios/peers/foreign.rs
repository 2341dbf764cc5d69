//! `foreign-*`: other projects' purgatories, armed by our loader.
//!
//! Each boots a capture kernel with a complete vmcore although the kernel has rewritten the
//! elfcorehdr. Each rejects a flipped bit, in its makers' way.

use crate::error::{Error, check, check_eq, expect_words};
use crate::scenario::table;
use crate::scenarios::damage::corrupt::bare;
use crate::stage::{CAPTURE_APPEND, First, Loaded, Setup, Stage, guest, load_foreign_command};

/// What kexec-tools' purgatory says first (`purgatory`, purgatory/purgatory.c).
const BEGINS: &str = "I'm in purgatory";
/// What it says of a wrong digest (`verify_sha256_digest`, ibid.).
const REFUSES: &str = "sha256 digests do not match";

/// Whose purgatory, and on which kernel.
struct Peer {
    /// Among [`crate::peers::SOURCES`].
    source: &'static str,
    /// As the loader calls it.
    kind: &'static str,
    series: Option<&'static str>,
    prints: bool,
}

const KEXEC_TOOLS: Peer =
    Peer { source: "kexec-tools", kind: "kexec-tools", series: None, prints: true };
const LINUX: Peer =
    Peer { source: "linux-6.12", kind: "linux", series: Some("6.12"), prints: false };
const LINUX_7: Peer = Peer { source: "linux-7", kind: "linux", series: Some("7"), prints: false };

table! {
    "foreign-kexec-tools", [Makedumpfile, Kexec, CrashHotplug],
        |stage| capture(stage, &KEXEC_TOOLS),
        "kexec-tools' purgatory, armed by kdump-loader, boots a capture kernel with a complete \
         vmcore",
        lab: Like("foreign-linux");
    "foreign-kexec-tools-corrupt", [Kexec], |stage| refused(stage, &KEXEC_TOOLS),
        "kexec-tools' purgatory, armed by kdump-loader, rejects a flipped bit of the initrd on \
         the configured console",
        lab: NotOurs("a fault that kexec-tools' purgatory finds");
    "foreign-linux", [Makedumpfile, Kernel("6.12"), CrashHotplug], |stage| capture(stage, &LINUX),
        "the purgatory of Debian's 6.12 kernel, armed by kdump-loader, boots a capture kernel \
         with a complete vmcore";
    "foreign-linux-corrupt", [Kernel("6.12")], |stage| refused(stage, &LINUX),
        "the same purgatory hangs silently on a flipped bit of the initrd",
        lab: NotOurs("a fault that the kernel's purgatory finds");
    "foreign-linux-7", [Makedumpfile, Kernel("7"), CrashHotplug], |stage| capture(stage, &LINUX_7),
        "`foreign-linux` with the purgatory of Debian's newest kernel",
        lab: Like("foreign-linux");
}

impl Peer {
    fn on(&self, setup: Setup) -> Setup {
        Setup { series: self.series, purgatory: Some(self.source), ..setup }
    }

    /// Arms it, and holds what the loader says of it against what it is.
    fn arm(&self, first: &mut First<'_, '_>) -> Result<Loaded, Error> {
        let (loaded, words) = first.load(&load_foreign_command(CAPTURE_APPEND, ""))?;
        check_eq!(loaded.image.purgatory, self.kind, "kind of purgatory that `load` printed")?;
        check_eq!(loaded.image.by_block, None, "what `load` printed of a block")?;
        expect_words("`load`", &words, &["hangs"])?;
        let status = first.vm.run_ok(&format!("{} status", guest::LOADER))?;
        for (name, value) in [("purgatory", self.kind), ("identity", &loaded.image.identity)] {
            let wanted = format!("{name:<14} {value}");
            let told = status.lines().any(|line| line == wanted);
            check!(told, "`status`: expected {wanted}, found {status}")?;
        }
        Ok(loaded)
    }
}

fn capture(stage: &mut Stage<'_>, peer: &Peer) -> Result<(), Error> {
    let mut first = stage.boot(&peer.on(Setup { dimms: 1, spare_cpus: 1, ..Setup::default() }))?;
    let loaded = peer.arm(&mut first)?;
    check_eq!(loaded.hotplug, true, "hotplug support that `load` printed")?;
    // An image that digests the elfcorehdr would not boot.
    first.grow()?;
    let mut crashed = first.panic(None)?;
    if peer.prints {
        crashed.await_words("the purgatory begins", BEGINS)?;
    }
    crashed.await_capture_kernel()?;
    let line = crashed.vm.run_ok("cat /proc/cmdline")?;
    check!(!line.contains("purgatory.report"), "command line: expected no report, found {line}")?;
    crashed.check_vmcore().map(drop)
}

fn refused(stage: &mut Stage<'_>, peer: &Peer) -> Result<(), Error> {
    let mut first = stage.boot(&peer.on(bare()))?;
    let loaded = peer.arm(&mut first)?;
    let initrd = loaded.segment("initrd")?;
    first.flip_bit("the initrd", initrd.start + initrd.len / 2, 0)?;
    // On the first CPU, which is the one that the monitor is asked for.
    let mut crashed = first.panic(Some(0))?;
    if peer.prints {
        crashed.await_words("the purgatory says that the digest is wrong", REFUSES)?;
    }
    let purgatory = loaded.segment("purgatory")?;
    crashed.await_endless_loop(&(purgatory.start..purgatory.start + purgatory.len))
}
