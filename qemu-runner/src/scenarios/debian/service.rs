//! `debian-service*`: Debian's kdump service loads, reloads, unloads and saves the dump, with the
//! loader as `kexec`.
//!
//! Only the link `/usr/sbin/kexec` is changed. The service's results and the kernel's state are
//! checked; makedumpfile checks the dump outside. The run with Debian's own kexec is the control.

use std::time::Duration;

use handoff::Verdict;

use crate::error::{Error, check, check_eq};
use crate::evidence::console::Said;
use crate::evidence::report;
use crate::machine::deadline::Deadline;
use crate::scenario::table;
use crate::stage::installed::{self, Disk, Guest, Kexec};
use crate::stage::{Crashed, First, PANIC, Stage};

/// systemd boots twice and makedumpfile compresses, on emulated CPUs: 150 s of a processor's time,
/// which on busy cores have taken 470 s.
const LIMIT: Duration = Duration::from_secs(900);

/// What the capture kernel says before its command line.
const COMMAND_LINE: &str = "Kernel command line: ";

table! {
    "debian-service", [DebianDisk, Makedumpfile], |stage| service(stage, Kexec::Ours),
        "kdump-loader replaces `kexec`: Debian's kdump-tools loads, reloads and unloads with it, \
         and the capture service saves the dump",
        lab: Like("kexec-command");
    "debian-service-peer", [DebianDisk, Makedumpfile], |stage| service(stage, Kexec::Peer),
        "the control: `debian-service` with Debian's own kexec",
        lab: NotOurs("the control of debian-service");
}

fn service(stage: &mut Stage<'_>, kexec: Kexec) -> Result<(), Error> {
    stage.deadline = Deadline::after(LIMIT);
    let (mut first, disk) = installed::boot(stage, &Guest::with(kexec))?;
    let version = first.vm.run_ok("kexec --version 2>&1")?;
    let whose = if kexec == Kexec::Ours { "kdump-loader " } else { "kexec-tools " };
    check!(version.starts_with(whose), "`kexec --version`: expected {whose}, found {version}")?;

    expect_armed_by_kdump_tools(&mut first)?;
    verbs(&mut first)?;
    if kexec == Kexec::Ours {
        // The purgatory in memory is ours: `kexec` has not left the image to the kernel.
        let identity = first.image()?.identity;
        first.stage.outcome.fact("image identity", identity);
    }
    // Memory and CPUs that come later are in the dump without the reload that Debian's udev rule
    // does for them.
    first.expect_crash_hotplug()?;
    first.vm.run_ok("sync")?;
    expect_saved_dump(first.panic(None)?, PANIC, disk, kexec == Kexec::Ours)
}

/// Debian's service has armed at boot, by what answers to `kexec`.
pub(in crate::scenarios) fn expect_armed_by_kdump_tools(
    first: &mut First<'_, '_>,
) -> Result<(), Error> {
    first.vm.run_ok("systemctl is-active kdump-tools.service")?;
    expect_armed(first, "at boot", true)?;
    let called = first.vm.run_ok("cat /var/crash/kexec_cmd")?;
    first.note(format!("kdump-tools.service has armed: {called}"));
    Ok(())
}

/// After a crash with these words, Debian's capture service must save a dump with the words in it,
/// after our purgatory if the image is `ours`. What the story has left in memory must be on the
/// disk before.
pub(in crate::scenarios) fn expect_saved_dump(
    mut crashed: Crashed<'_, '_>,
    words: &str,
    disk: Disk<'_>,
    ours: bool,
) -> Result<(), Error> {
    if ours {
        expect_our_purgatory(&mut crashed)?;
    }
    crashed.await_words("the capture service starts", "running makedumpfile ")?;
    crashed.await_words("the capture service has saved the dump", "saved vmcore in /var/crash/")?;
    crashed.orderly_reset()?;
    let Crashed { stage, vm, .. } = crashed;
    drop(vm);

    let saved = disk.saved()?;
    stage.outcome.fact("dump", format!("{} bytes", saved.dump_len()?));
    let release = &stage.context.debian_disk()?.kernel.release;
    let in_dump = saved.dmesg_in_dump(stage.context.makedumpfile()?, release)?;
    for (what, log) in [("the service's log", saved.log()?), ("the dump's log", in_dump)] {
        let last = log.lines().last();
        check!(log.contains(words), "{what}: expected {words}, found {last:?} at its end")?;
    }
    stage.outcome.now("makedumpfile takes the dump and finds the panic in it");
    stage.outcome.fact(
        "crash",
        "skipped: it needs the kernel's debug symbols, a package of 320 MB, 1.8 GB unpacked",
    );
    Ok(())
}

/// It was our purgatory that verified the image, and it has told the capture kernel.
pub(in crate::scenarios) fn expect_our_purgatory(
    crashed: &mut Crashed<'_, '_>,
) -> Result<(), Error> {
    crashed.await_said("the purgatory's verdict", |said| matches!(said, Said::Verdict(_)))?;
    crashed.expect_verdict(Verdict::Ok)?;
    let line = crashed.vm.await_words("the capture kernel's command line", COMMAND_LINE)?;
    let report = report::parse(&line.text)?;
    check_eq!(report.verdict, Verdict::Ok, "verdict in the report")?;
    crashed.stage.outcome.now(format!("report: {report}"));
    Ok(())
}

/// What an administrator types, and what a udev rule does.
pub(in crate::scenarios) fn verbs(first: &mut First<'_, '_>) -> Result<(), Error> {
    call(first, "kdump-config unload", 0)?;
    expect_armed(first, "after `kdump-config unload`", false)?;
    // A capture kernel that is none: kdump-config has nothing but the exit status to know it by.
    first.vm.run_ok(
        "cp /etc/default/kdump-tools /tmp && \
         echo KDUMP_KERNEL=/etc/hostname >>/etc/default/kdump-tools",
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
    first.vm.run_to(expected, command)?;
    first.note(format!("`{command}` ends with {expected}"));
    Ok(())
}

/// Kernel and service must agree on whether a capture kernel is armed.
fn expect_armed(first: &mut First<'_, '_>, when: &str, armed: bool) -> Result<(), Error> {
    first.expect_armed(armed, when)?;
    let said = first.vm.run_ok("kdump-config status")?;
    let state = said.rsplit(": ").next().unwrap_or_default();
    let expected = if armed { "ready to kdump" } else { "Not ready to kdump" };
    check_eq!(state, expected, "`kdump-config status` {when}")
}
