//! `debian-service*`: Debian's kdump service loads, reloads, unloads and saves the dump, with the
//! loader as `kexec`.
//!
//! Only the link `/usr/sbin/kexec` is changed. The service's results and the kernel's state are
//! checked; makedumpfile checks the dump outside. The run with Debian's own kexec is the control.

use std::time::Duration;

use handoff::Verdict;

use crate::assets::GuestProgram;
use crate::error::{Error, check, check_eq};
use crate::evidence::console::Said;
use crate::evidence::report;
use crate::machine::agent::Output;
use crate::machine::deadline::Deadline;
use crate::machine::vm::Line;
use crate::scenario::table;
use crate::stage::Stage;
use crate::stage::capture::{Crashed, OOPS, PANIC};
use crate::stage::first::First;
use crate::stage::installed::{self, Disk, Guest, Kexec};

/// systemd boots twice and makedumpfile compresses, on emulated CPUs: 150 s of a processor's time,
/// which on busy cores have taken 470 s.
const LIMIT: Duration = Duration::from_secs(900);

table! {
    "debian-service", [DebianDisk, Makedumpfile], |stage| service(stage, Kexec::Ours),
        "kdump-loader replaces `kexec`: Debian's kdump-tools loads, reloads and unloads with it, \
         and the capture service saves the dump";
    "debian-service-peer", [DebianDisk, Makedumpfile], |stage| service(stage, Kexec::Peer),
        "the control: `debian-service` with Debian's own kexec",
        by name only: "the control of debian-service: it shows nothing of ours and takes minutes";
}

fn service(stage: &mut Stage<'_>, kexec: Kexec) -> Result<(), Error> {
    stage.deadline = Deadline::after(LIMIT);
    let makedumpfile = stage.context.makedumpfile()?.clone();
    let release = stage.context.debian_disk()?.kernel.release.clone();
    let (mut first, disk) = installed::boot(stage, &Guest::with(kexec))?;
    let version = first.vm.run_ok("kexec --version 2>&1")?;
    let whose = if kexec == Kexec::Ours { "kdump-loader " } else { "kexec-tools " };
    check!(
        version.starts_with(whose),
        "what `kexec --version` says: expected {whose}, found {version}"
    )?;

    first.vm.run_ok("systemctl is-active kdump-tools.service")?;
    expect_armed(&mut first, "at boot", true)?;
    let called = first.vm.run_ok("cat /var/crash/kexec_cmd")?;
    first.note(format!("kdump-tools.service has armed: {called}"));
    verbs(&mut first)?;
    if kexec == Kexec::Ours {
        // The purgatory in memory is ours: `kexec` has not left the image to the kernel.
        let identity = first.image()?.identity;
        first.stage.outcome.fact("image identity", identity);
    }
    // Memory and CPUs that come later are in the dump without the reload that Debian's udev rule
    // does for them.
    check_eq!(
        first.vm.run_ok("cat /sys/devices/system/memory/crash_hotplug")?,
        "1",
        "crash_hotplug"
    )?;

    expect_saved_dump(first, Ending::Panic, disk, kexec == Kexec::Ours, &makedumpfile, &release)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scenarios) enum Ending {
    Panic,
    /// By an oops, which panics only if the kernel is told so.
    Oops,
}

/// Brings the machine down; Debian's capture service must save a dump with the panic in it, after
/// our purgatory if the image is `ours`.
pub(in crate::scenarios) fn expect_saved_dump(
    mut first: First<'_, '_>,
    ending: Ending,
    disk: Disk<'_>,
    ours: bool,
    makedumpfile: &GuestProgram,
    release: &str,
) -> Result<(), Error> {
    // What the story has left in memory shall be on the disk before the machine dies.
    first.vm.run_ok("sync")?;
    let (mut crashed, words) = match ending {
        Ending::Panic => (first.panic(None)?, PANIC),
        Ending::Oops => (first.oops()?, OOPS),
    };
    if ours {
        expect_our_purgatory(&mut crashed)?;
    }
    for (event, words) in
        [("starts", "running makedumpfile "), ("has saved the dump", "saved vmcore in /var/crash/")]
    {
        let what = format!("the capture service {event}");
        let at =
            crashed.vm.await_console(&what, |line| line.text.contains(words).then_some(line.at))?;
        crashed.stage.outcome.at(at, what);
    }
    let reset = crashed.reset()?;
    check!(
        !reset.triple_fault,
        "the reset: expected one that the capture service asked for, found a triple fault"
    )?;
    let Crashed { stage, vm, .. } = crashed;
    drop(vm);

    let saved = disk.saved()?;
    stage.outcome.fact("dump", format!("{} bytes", saved.dump_len()?));
    let logs = [
        ("the service's log", saved.log()?),
        ("makedumpfile's log of the dump", saved.dmesg_in_dump(makedumpfile, release)?),
    ];
    for (what, log) in logs {
        check!(
            log.contains(words),
            "{what}: expected {words}, found {}",
            log.lines().last().unwrap_or("nothing")
        )?;
    }
    stage.outcome.now("makedumpfile takes the dump and finds the panic in it");
    stage.outcome.fact(
        "crash",
        "skipped: it needs the kernel's debug symbols, a package of 320 MB, 1.8 GB unpacked",
    );
    Ok(())
}

/// It was our purgatory that verified the image, and it has told the capture kernel.
fn expect_our_purgatory(crashed: &mut Crashed<'_, '_>) -> Result<(), Error> {
    crashed.await_said("the purgatory's verdict", |said| matches!(said, Said::Verdict(_)))?;
    crashed.expect_verdict(Verdict::Ok)?;
    let said = |line: &Line| line.text.contains("Kernel command line: ").then(|| line.text.clone());
    let report =
        report::parse(&crashed.vm.await_console("the capture kernel's command line", said)?)?;
    check_eq!(report.verdict.word(), Verdict::Ok.word(), "verdict in the report")?;
    crashed.stage.outcome.now(format!("report: {report}"));
    Ok(())
}

/// What an administrator types, and what a udev rule does.
fn verbs(first: &mut First<'_, '_>) -> Result<(), Error> {
    call(first, "kdump-config unload", 0)?;
    expect_armed(first, "after `kdump-config unload`", false)?;
    // A capture kernel that is none: kdump-config has nothing but the exit status to know it by.
    first.vm.run_ok(
        "cp /etc/default/kdump-tools /tmp && echo KDUMP_KERNEL=/etc/hostname \
                     >>/etc/default/kdump-tools",
    )?;
    call(first, "kdump-config load", 1)?;
    expect_armed(first, "after `kdump-config load` of a file that is no kernel", false)?;
    first.vm.run_ok("cp /tmp/kdump-tools /etc/default/kdump-tools")?;
    call(first, "kdump-config load", 0)?;
    expect_armed(first, "after `kdump-config load`", true)?;
    call(first, "kdump-config reload", 0)?;
    expect_armed(first, "after `kdump-config reload`", true)?;
    // By the udev rule, on every CPU and block of memory that comes or goes.
    call(first, "kdump-config try-reload", 0)?;
    expect_armed(first, "after `kdump-config try-reload`", true)
}

/// Runs a command of the service, which must end with this status.
fn call(first: &mut First<'_, '_>, command: &str, expected: i32) -> Result<(), Error> {
    let Output { status, text } = first.vm.run(command)?;
    check_eq!(status, expected, "exit status of `{command}`, which said {text:?}")?;
    first.note(format!("`{command}` ends with {status}"));
    Ok(())
}

/// Kernel and service must agree on whether a capture kernel is armed.
fn expect_armed(first: &mut First<'_, '_>, when: &str, armed: bool) -> Result<(), Error> {
    check_eq!(first.crash_loaded()?, armed, "kexec_crash_loaded {when}")?;
    let said = first.vm.run_ok("kdump-config status")?;
    let state = said.rsplit(": ").next().unwrap_or_default();
    check_eq!(
        state,
        if armed { "ready to kdump" } else { "Not ready to kdump" },
        "`kdump-config status` {when}"
    )
}
