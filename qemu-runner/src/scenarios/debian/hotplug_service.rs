//! `debian-hotplug-service*`: the loader's own service replaces Debian's kdump-tools.
//!
//! It arms, and keeps the image up to date while memory and a CPU come and go. Debian's capture
//! service saves the dump as before. udev and systemd are Debian's, as on an operator's machine.
//! In the longer story, kdump-tools first does all that it does with the loader as `kexec`, and
//! rescue.target, a shutdown and a boot follow.

use std::time::Duration;

use crate::error::{Error, check, check_eq, expect_words};
use crate::machine::deadline::Deadline;
use crate::scenario::table;
use crate::scenarios::debian::service::{self, expect_saved_dump};
use crate::scenarios::debian::stays_armed;
use crate::stage::MEMORY_BLOCK;
use crate::stage::installed::{self, Disk, Guest, Kexec, LOADER};
use crate::stage::{BOOT_CPUS, First, OOPS, Stage, number};

/// As for Debian's own service, and an installation, a boot, a DIMM and a CPU more.
const LIMIT: Duration = Duration::from_secs(1200);
/// Where `service install` puts it.
const INSTALLED: &str = "/usr/sbin/kdump-loader";
/// Who arms on this Debian besides, by unit and by rule.
const OTHERS: [&str; 2] = ["kdump-tools.service", "50-kdump-tools.rules"];
/// `systemctl is-active` of a unit that is not (systemctl(1), "EXIT STATUS").
const INACTIVE: i32 = 3;
/// The most reloads that a burst may cost: one at once, one when it is quiet.
const PER_BURST: u32 = 2;

table! {
    "debian-hotplug-service", [DebianDisk, Makedumpfile], hotplug,
        "after `service install`, `uninstall` and `install`, hot-added memory and CPUs cost no \
         reload, a removed DIMM at most two, `systemctl stop` disarms, `systemctl restart` does \
         not, and an oops leaves a dump";
    "debian-hotplug-service-boots", [DebianDisk, Makedumpfile], boots,
        "`debian-hotplug-service` after kdump-tools has loaded, reloaded and unloaded by the loader \
         as `kexec`, rescue.target, and a shutdown: only `systemctl stop` disarms",
        lab: Like("debian-hotplug-service");
}

/// The machine that each of them has.
fn guest() -> Guest {
    Guest { dimms: 1, spare_cpus: 1, ..Guest::with(Kexec::Ours) }
}

fn hotplug(stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.deadline = Deadline::after(LIMIT);
    let (mut first, disk) = installed::boot(stage, &guest())?;
    service::expect_armed_by_kdump_tools(&mut first)?;
    switch_over(&mut first)?;
    switch_back(&mut first)?;
    switch_over(&mut first)?;
    stays_armed::restart_stop_and_start(&mut first)?;
    follow_and_crash(first, disk)
}

fn boots(stage: &mut Stage<'_>) -> Result<(), Error> {
    stage.deadline = Deadline::after(LIMIT);
    let (mut first, mut disk) = installed::boot(stage, &guest())?;
    service::expect_armed_by_kdump_tools(&mut first)?;
    service::verbs(&mut first)?;
    stays_armed::mount_boot(&mut first)?;
    switch_over(&mut first)?;
    switch_back(&mut first)?;
    switch_over(&mut first)?;
    stays_armed::restart_stop_and_start(&mut first)?;
    stays_armed::isolate_rescue(&mut first)?;
    stays_armed::watch_the_end(&mut first)?;
    let (mut first, shutdown) = installed::reboot(first, &mut disk)?;
    stays_armed::expect_armed_at_the_end(&shutdown)?;
    expect_armed_at_boot(&mut first)?;
    let last = first.vm.run_ok(&format!("{INSTALLED} last"))?;
    expect_words("`last` after a shutdown in order", &last, &SHUT_DOWN)?;
    follow_and_crash(first, disk)
}

/// Our service has armed. Memory and a CPU come and go, and the kernel crashes.
fn follow_and_crash(mut first: First<'_, '_>, disk: Disk<'_>) -> Result<(), Error> {
    expect_repeated_events_to_be_ignored(&mut first)?;

    let identity = first.image()?.identity;
    let dimm = first.add_dimm(0)?;
    first.add_cpu()?;
    settle(&mut first)?;
    check_eq!(reloads(&mut first)?, 0, "reloads after a DIMM and a CPU came")?;
    check_eq!(first.image()?.identity, identity, "identity after them")?;
    check_eq!(first.lists(&dimm)?, true, "whether the elfcorehdr lists the DIMM")?;
    first.note("udev has seen them come, and nothing was reloaded");
    first.vm.monitor.ask_for_cpu()?;
    first.vm.run_ok(&format!(
        "while [ -e /sys/devices/system/cpu/cpu{BOOT_CPUS} ]; do sleep 0.1; done"
    ))?;
    settle(&mut first)?;
    check_eq!(reloads(&mut first)?, 0, "reloads after the CPU has gone")?;
    check_eq!(first.image()?.identity, identity, "identity after that")?;
    first.note("the CPU is gone, and nothing was reloaded");
    // Nothing here takes the kernel's kexec lock but the kernel, which makes a reader of
    // crash_hotplug wait until it is done (`__crash_hotplug_lock`, kernel/crash_core.c). So udev
    // reads 1 each time, however busy the machine is.
    check_eq!(started(&mut first)?, 0, "reloads that were started since boot, needed or not")?;

    first.vm.monitor.ask_for_dimm(0)?;
    let block = dimm.start / MEMORY_BLOCK;
    first.vm.run_ok(&format!(
        "while [ -e /sys/devices/system/memory/memory{block} ]; do sleep 0.1; done"
    ))?;
    first.note("the DIMM's first block is gone");
    settle(&mut first)?;
    let count = reloads(&mut first)?;
    let few = (1..=PER_BURST).contains(&count);
    check!(few, "reloads after a DIMM has gone: expected 1 to {PER_BURST}, found {count}")?;
    check_eq!(first.lists(&dimm)?, false, "whether the elfcorehdr lists the DIMM then")?;
    first.expect_armed(true, "then")?;
    first.expect_all_memory_listed("then")?;
    first.stage.outcome.fact("reloads for a DIMM that goes", count);
    expect_status_names_the_saver(&mut first)?;

    // kdump-tools, which set it, runs in capture kernels only.
    first.vm.run_ok("grep -qx 1 /proc/sys/kernel/panic_on_oops")?;
    first.vm.run_ok("sync")?;
    expect_saved_dump(first.oops()?, OOPS, disk, true)
}

/// What `last` says of it.
const SHUT_DOWN: [&str; 1] = ["no panic is recorded; an orderly shutdown or reboot began 20"];

/// What the README tells an operator, and what `service check` says before and after.
pub(in crate::scenarios) fn switch_over(first: &mut First<'_, '_>) -> Result<(), Error> {
    let before = first.vm.run_to(1, &format!("{LOADER} service check"))?;
    expect_words("`service check` before", &before, &OTHERS)?;
    first.vm.run_ok("echo 0 >/proc/sys/kernel/panic_on_oops")?;
    first.vm.run_ok(&format!("{LOADER} service install --mask-conflicts"))?;
    first.vm.run_ok("grep -qx 1 /proc/sys/kernel/panic_on_oops")?;
    first.vm.run_ok(&format!("{INSTALLED} service check"))?;
    first.vm.run_ok("systemctl start kdump-loader.service")?;
    for unit in ["kdump-loader.service", "kdump-loader-reload.path"] {
        first.vm.run_ok(&format!("systemctl is-active {unit} && systemctl is-enabled {unit}"))?;
    }
    expect_status_names_the_saver(first)?;
    first.expect_armed(true, "by our service")?;
    // The image that is armed now is the one that the service would arm.
    first.vm.run_ok(&format!("{INSTALLED} reload --json 2>/dev/null | grep -q '\"armed\": 0'"))?;
    first.note("switched over: kdump-loader.service has armed in the place of kdump-tools.service");
    Ok(())
}

/// The unit that saves the dump, and Debian 13's makedumpfile, which does not know Linux 6.12.
const SAVED_BY_DEBIAN: [&str; 2] = [
    "saved by       kdump-tools-dump.service on the root file system, to /var/crash",
    "warning[makedumpfile_too_old]: makedumpfile 1.7.6",
];

/// `status` says yes, and which unit saves the dump.
fn expect_status_names_the_saver(first: &mut First<'_, '_>) -> Result<(), Error> {
    let status = first.vm.run_ok(&format!("{INSTALLED} status"))?;
    expect_words("`status` of Debian's service", &status, &SAVED_BY_DEBIAN)
}

/// The loader's service arms, and no other service does.
pub(in crate::scenarios) fn expect_armed_at_boot(first: &mut First<'_, '_>) -> Result<(), Error> {
    // "degraded" is none of our business: it is said of any unit that has failed.
    first.vm.run_ok(
        "systemctl is-system-running --wait; \
         systemctl is-active kdump-loader.service kdump-loader-reload.path",
    )?;
    first.vm.run_to(INACTIVE, "systemctl is-active --quiet kdump-tools.service")?;
    first.expect_armed(true, "after boot")?;
    expect_status_names_the_saver(first)?;
    let asked = "systemctl show -P ExecMainExitTimestampMonotonic kdump-loader.service";
    let at_us: u64 = number(&first.vm.run_ok(asked)?)?;
    first.note("kdump-loader.service has armed at boot");
    let figure = format!("{:.1} s after the kernel's start", at_us as f64 / 1e6);
    first.stage.outcome.fact("armed at boot", figure);
    Ok(())
}

/// `udevadm trigger` repeats every event at boot, which is during the first load on a slow machine.
/// No repeated event may start a reload. Here nothing is armed when the events are repeated:
/// crash_hotplug reads 0, as it does during a load.
fn expect_repeated_events_to_be_ignored(first: &mut First<'_, '_>) -> Result<(), Error> {
    check_eq!(started(first)?, 0, "reloads that were started at boot")?;
    first.vm.run_ok(&format!("{INSTALLED} unload"))?;
    first.vm.run_ok(
        "udevadm trigger --settle --action=add --subsystem-match=cpu --subsystem-match=memory",
    )?;
    settle(first)?;
    check_eq!(started(first)?, 0, "reloads after repeated events")?;
    first.expect_armed(false, "after repeated events")?;
    first.vm.run_ok("systemctl reload kdump-loader.service")?;
    first.expect_armed(true, "after `systemctl reload`")?;
    first.note("udev has repeated its events, and nothing was reloaded");
    Ok(())
}

/// The way back, and nothing of ours is left on it.
fn switch_back(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok(&format!("{INSTALLED} service uninstall"))?;
    first.expect_armed(true, "after `service uninstall`")?;
    first.vm.run_ok(
        "systemctl restart kdump-tools.service && grep -q -- --initrd /var/crash/kexec_cmd",
    )?;
    first.expect_armed(true, "after kdump-tools.service")?;
    // But the program that installed it, which the disk came with.
    let left = first.vm.run_ok(&format!(
        "find /etc /usr /var/lib -name '*kdump-loader*' ! -path {LOADER}; \
         systemctl cat kdump-loader.service 2>/dev/null || true"
    ))?;
    check_eq!(left, "", "what `service uninstall` has left")?;
    first.note("switched back: kdump-tools.service has armed, and nothing of ours is left");
    Ok(())
}

/// Waits for udev's rules, for the path unit, and for the reload that they may have started.
fn settle(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok(
        "udevadm settle; while [ -e /run/kdump-loader/pending ] || \
         ! systemctl show -P ActiveState kdump-loader-reload.service | grep -qx inactive; \
         do sleep 0.1; done",
    )?;
    Ok(())
}

/// How often a reload has armed an image since boot, in the loader's own words: systemd's words
/// about the unit are beside them.
fn reloads(first: &mut First<'_, '_>) -> Result<u32, Error> {
    lines_of_reload_unit(first, "^kdump-loader: armed ")
}

/// How often systemd has started a reload since boot, whether it armed an image or not.
fn started(first: &mut First<'_, '_>) -> Result<u32, Error> {
    lines_of_reload_unit(first, "^Starting ")
}

/// Counts lines of the reload unit in the journal. A program's last words may still be on their way
/// there when it has ended, hence `--sync`.
fn lines_of_reload_unit(first: &mut First<'_, '_>, pattern: &str) -> Result<u32, Error> {
    let journal = "journalctl --sync && journalctl -b -q -o cat -u kdump-loader-reload.service";
    number(&first.vm.run_ok(&format!("{journal} | grep -c '{pattern}' || true"))?)
}
