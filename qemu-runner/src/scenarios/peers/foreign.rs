//! `foreign-*`: other projects' purgatories, armed by our loader.
//!
//! Each boots a capture kernel with a complete vmcore although the kernel has rewritten the
//! elfcorehdr. Each rejects a flipped bit, in its makers' way.

use crate::error::{Error, check, check_eq};
use crate::evidence::loaded::{Loaded, Segment};
use crate::scenario::table;
use crate::scenarios::damage::corrupt::bare;
use crate::stage::first::{CAPTURE_APPEND, First, load_foreign_command};
use crate::stage::{Setup, Stage, guest};

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
         vmcore";
    "foreign-kexec-tools-corrupt", [Kexec], |stage| refused(stage, &KEXEC_TOOLS),
        "kexec-tools' purgatory, armed by kdump-loader, rejects a flipped bit of the initrd on \
         the configured console";
    "foreign-linux", [Makedumpfile, Kernel("6.12"), CrashHotplug], |stage| capture(stage, &LINUX),
        "the purgatory of Debian's 6.12 kernel, armed by kdump-loader, boots a capture kernel \
         with a complete vmcore";
    "foreign-linux-corrupt", [Kernel("6.12")], |stage| refused(stage, &LINUX),
        "the same purgatory hangs silently on a flipped bit of the initrd";
    "foreign-linux-7", [Makedumpfile, Kernel("7"), CrashHotplug], |stage| capture(stage, &LINUX_7),
        "`foreign-linux` with the purgatory of Debian's newest kernel";
}

impl Peer {
    fn on(&self, setup: Setup) -> Setup {
        Setup { series: self.series, purgatory: Some(self.source), ..setup }
    }

    /// Arms it, and holds what the loader says of it against what it is.
    fn arm(&self, first: &mut First<'_, '_>) -> Result<Loaded, Error> {
        let (loaded, words) = first.load(&load_foreign_command(CAPTURE_APPEND, ""))?;
        check_eq!(loaded.purgatory, self.kind, "kind of purgatory that `load` printed")?;
        check!(
            loaded.block.is_none(),
            "block of an image without one: expected none, found {:?}",
            loaded.block
        )?;
        check!(
            words.contains("hangs"),
            "what the loader says: expected that it will not reset the machine, found {words}"
        )?;
        let status = first.vm.run_ok(&format!("{} status", guest::LOADER))?;
        let lines = [("purgatory", self.kind), ("identity", &loaded.identity)]
            .map(|(name, value)| format!("{name:<14} {value}"));
        let told = lines.iter().all(|wanted| status.lines().any(|line| line == wanted));
        check!(told, "`status`: expected {}, found {status}", lines.join(" and "))?;
        Ok(loaded)
    }
}

fn capture(stage: &mut Stage<'_>, peer: &Peer) -> Result<(), Error> {
    let mut first = stage.boot(&peer.on(Setup { dimms: 1, spare_cpus: 1, ..Setup::default() }))?;
    let loaded = peer.arm(&mut first)?;
    check_eq!(loaded.hotplug, true, "hotplug support that `load` printed")?;
    first.place_sentinel(2, &(0..u64::MAX))?;
    // The kernel rewrites the elfcorehdr on each: an image that digests it would not boot.
    let dimm = first.add_dimm(0)?;
    first.add_cpu()?;
    first.place_sentinel(1, &dimm)?;
    let mut crashed = first.panic(None)?;
    if peer.prints {
        let at = crashed
            .vm
            .await_console("the purgatory", |line| line.text.contains(BEGINS).then_some(line.at))?;
        crashed.stage.outcome.at(at, "the purgatory begins");
    }
    crashed.await_capture_kernel()?;
    let line = crashed.vm.run_ok("cat /proc/cmdline")?;
    check!(
        !line.contains("purgatory.report"),
        "the capture kernel's command line: expected no report, since this purgatory makes none, \
         found {line}"
    )?;
    crashed.check_vmcore()?;
    Ok(())
}

fn refused(stage: &mut Stage<'_>, peer: &Peer) -> Result<(), Error> {
    let mut first = stage.boot(&peer.on(bare()))?;
    let loaded = peer.arm(&mut first)?;
    let Segment { start, len, .. } = loaded.segment("initrd")?;
    first.flip_bit("the initrd", start + len / 2, 0)?;
    // On the first CPU, which is the one that the monitor is asked for.
    let mut crashed = first.panic(Some(0))?;
    if peer.prints {
        let at = crashed
            .vm
            .await_console("the refusal", |line| line.text.contains(REFUSES).then_some(line.at))?;
        crashed.stage.outcome.at(at, "the purgatory says that the digest is wrong");
    }
    let Segment { start, len, .. } = loaded.segment("purgatory")?;
    crashed.await_endless_loop(&(*start..start + len))
}
