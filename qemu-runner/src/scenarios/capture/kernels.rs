//! `old-kernel`, `new-kernel-*`, `huge-pages`: the same story on other kernels.
//!
//! The first kernel's command line is reused. It has parameters that a capture kernel could not run
//! with.

use handoff::Verdict;

use crate::error::{Error, check, check_eq, expect_words};
use crate::scenario::table;
use crate::scenarios::capture::complete::hotplug;
use crate::stage::{Armed, CAPTURE_APPEND, First, Setup, Stage};

/// A series without CRASH_HOTPLUG, which came with Linux 6.6.
const OLD: &str = "6.1";
/// The newest series. It comes from a repository that keeps no old versions, so it may be gone.
const NEW: &str = "7";
/// Pages of 2 MiB that the first kernel sets aside at boot: 400 MiB, of which the capture kernel's
/// 256 MiB have no room.
const HUGE_PAGES: &str = "200";
/// The first kernel's parameter for them, and one that would make the capture kernel use the
/// crashed kernel's memory as RAM.
const OF_THE_FIRST_KERNEL: &str = "hugepages=200 memmap=16M@512M";
/// Bytes of a command line that leave no room for the purgatory's report: x86 kernels read 2047
/// (`COMMAND_LINE_SIZE` without the NUL).
const WITHOUT_ROOM: usize = 1850;

table! {
    "huge-pages", [Makedumpfile, HugePages], long,
        "the reused command line loses hugepages= and memmap=, has no room for the report, and \
         the dump is complete",
        lab: Like("kexec-command");
    "old-kernel", [Kernel(OLD), Makedumpfile, NoCrashHotplug, HugePages], old,
        "Linux 6.1 has no hotplug flag: the loader arms without it, says so, and the capture \
         works with a reused command line",
        lab: Like("reload-old-kernel");
    "new-kernel-capture", [Kernel(NEW), Makedumpfile, HugePages], |stage| reused(stage, &on(NEW)),
        "on Debian's newest kernel, the reused command line loses what only suits the first \
         kernel",
        lab: Like("new-kernel-hotplug");
    "new-kernel-hotplug", [Kernel(NEW), Makedumpfile, CrashHotplug],
        |stage| hotplug(stage, &on(NEW)),
        "`hotplug` on Debian's newest kernel";
}

fn on(series: &'static str) -> Setup {
    Setup { series: Some(series), ..Setup::default() }
}

fn old(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { append: OF_THE_FIRST_KERNEL, ..on(OLD) })?;
    first.vm.run_ok("[ ! -e /sys/devices/system/memory/crash_hotplug ]")?;
    let Armed { loaded, words, .. } = first.arm("--reuse-cmdline")?;
    check_eq!(loaded.hotplug, false, "hotplug support that `load` printed")?;
    expect_words("`load` of hotplug", &words, &["load again"])?;
    panicked(first, &words)
}

/// Arms with the first kernel's command line, panics, and checks everything.
fn reused(stage: &mut Stage<'_>, setup: &Setup) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { append: OF_THE_FIRST_KERNEL, ..setup.clone() })?;
    let Armed { words, .. } = first.arm("--reuse-cmdline")?;
    panicked(first, &words)
}

/// The same with a command line that has no room for the purgatory's report.
fn long(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { append: OF_THE_FIRST_KERNEL, ..Setup::default() })?;
    let append =
        format!("{CAPTURE_APPEND} padding={}", "x".repeat(WITHOUT_ROOM - CAPTURE_APPEND.len()));
    let Armed { words, .. } = first.arm_with(&append, "--reuse-cmdline")?;
    expect_words("`load`", &words, &["no room for the purgatory's report"])?;
    expect_dropped(&mut first, &words)?;
    let mut crashed = first.panic(None)?;
    crashed.await_capture_kernel()?;
    crashed.expect_verdict(Verdict::Ok)?;
    let line = crashed.vm.run_ok("cat /proc/cmdline")?;
    expect_words("the capture kernel's command line", &line, &[&append, " elfcorehdr="])?;
    check!(!line.contains("purgatory.report"), "command line: expected no report, found {line}")?;
    crashed.check_vmcore().map(drop)
}

/// The capture kernel of an image that was armed with `--reuse-cmdline` runs without the first
/// kernel's parameters, and dumps everything.
fn panicked(mut first: First<'_, '_>, words: &str) -> Result<(), Error> {
    expect_dropped(&mut first, words)?;
    let mut capture = first.panic(None)?.capture()?;
    let line = capture.run_ok("cat /proc/cmdline")?;
    check!(
        line.contains("panic=0") && !line.contains("hugepages"),
        "the capture kernel's command line: expected the rest of it, found {line}"
    )?;
    capture.expect_dump().map(drop)
}

/// The first kernel has its huge pages, and the loader says that the capture kernel gets none.
fn expect_dropped(first: &mut First<'_, '_>, words: &str) -> Result<(), Error> {
    let huge = first.vm.run_ok("cat /proc/sys/vm/nr_hugepages")?;
    check_eq!(huge, HUGE_PAGES, "huge pages of the first kernel")?;
    expect_words("`load` of what it dropped", words, &[OF_THE_FIRST_KERNEL])?;
    first.place_sentinel(1)
}
