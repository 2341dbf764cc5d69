//! `capture-watchdog*`: a hardware watchdog that was running. With its driver, it resets no machine
//! whose dump is being saved, but one whose capture kernel hangs.

use std::time::Duration;

use capture_init::State;

use super::small_machine::{DISK, arm_partition, await_messages, fill_memory, setup};
use crate::error::{Error, check, check_eq, expect_words};
use crate::machine::disk::Bus;
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{First, Setup, SetupDisk, Stage, guest};

/// Seconds after which the watchdog resets the crashed machine.
const TIMEOUT: u64 = 20;
/// The same in the capture kernel: what the driver begins with (`ESB_HEARTBEAT_DEFAULT`,
/// drivers/watchdog/i6300esb.c).
const DEFAULT: Duration = Duration::from_secs(30);
/// Bytes a second that the disk takes. So 150 MiB take longer than both.
const SLOW: u64 = 3 << 20;
/// The watchdog's name, which is its driver's, too.
const NAME: &str = "i6300ESB timer";
/// A capture kernel that panics hangs, and its log keys work.
const HANGS: &str = "--append 'panic=0 sysrq_always_enabled'";
/// A capture kernel that cannot load the driver.
const BLOCKED: &str = "--append module_blacklist=i6300esb";
/// Panics it (Documentation/admin-guide/sysrq.rst).
const CRASH: &str = "alt-sysrq-c";

table! {
    "capture-watchdog", [], fed,
        "a hardware watchdog is running: the initrd has its driver, /init feeds it, and a dump \
         that takes longer than its time is complete",
        lab: Like("capture-full");
    "capture-watchdog-hangs", [], hangs,
        "the capture kernel hangs: the watchdog that /init has fed resets the machine",
        lab: Like("capture-full");
    "capture-watchdog-unfed", [], unfed,
        "the watchdog's driver cannot be loaded: /init says so, goes on, and the watchdog resets \
         the machine before the dump is complete",
        lab: Like("capture-full");
}

fn fed(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = watched(stage, "")?;
    fill_memory(&mut first)?;
    let image = first.disk(0);
    first.vm.monitor.slow_down_writes(0, SLOW)?;
    let mut crashed = first.panic(None)?;
    let line = crashed.vm.await_words("the watchdog to be fed", FED)?;
    crashed.stage.outcome.at(line.at, "/init feeds the watchdog");
    let saved_after = crashed.panicked_at + crashed.await_saved()?;
    crashed.orderly_reset()?;
    check_eq!(crashed.vm.monitor.watchdog_resets(), 0, "resets by the watchdog")?;
    let fed_for = saved_after.duration_since(line.at);
    check!(fed_for > DEFAULT, "the dump: expected to take more than {DEFAULT:?}, not {fed_for:?}")?;
    crashed.stage.outcome.fact("watchdog fed for", format!("{} s", fed_for.as_secs()));
    Saved::in_partition(&image)?.expect_complete(&crashed.victim)
}

fn hangs(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = watched(stage, HANGS)?;
    fill_memory(&mut first)?;
    first.vm.monitor.slow_down_writes(0, SLOW)?;
    let mut crashed = first.panic(None)?;
    crashed.await_words("/init feeds the watchdog", FED)?;
    crashed.await_words("the dump has begun", " MiB written, ")?;
    crashed.vm.monitor.press(CRASH)?;
    crashed.await_words("the capture kernel panics", "Kernel panic - not syncing")?;
    crashed.orderly_reset()?;
    check_eq!(crashed.vm.monitor.watchdog_resets(), 1, "resets by the watchdog")
}

fn unfed(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = watched(stage, BLOCKED)?;
    fill_memory(&mut first)?;
    let image = first.disk(0);
    first.vm.monitor.slow_down_writes(0, SLOW)?;
    let mut crashed = first.panic(None)?;
    let unfed = format!("the watchdog {NAME} was running, and this kernel has no driver for it");
    let said =
        ["i6300esb.ko.xz cannot be loaded: ", &unfed, "writing the dump without free pages to"];
    await_messages(&mut crashed, &said)?;
    check!(!crashed.saved_or_reset()?, "the dump: expected a reset before it is complete")?;
    crashed.orderly_reset()?;
    check_eq!(crashed.vm.monitor.watchdog_resets(), 1, "resets by the watchdog")?;
    let record = Saved::record_in_partition(&image)?;
    check_eq!(record.state, State::Writing, "state in the record")?;
    check_eq!(record.troubles.len(), 2, "troubles in the record")
}

/// What /init says.
const FED: &str = "watchdog0 (i6300ESB timer) was running, so /init feeds it: if /init hangs, it \
                   resets the machine after 30 s";

/// Boots a machine, starts its watchdog, and arms it to save to a partition.
fn watched<'s, 'c>(stage: &'s mut Stage<'c>, options: &str) -> Result<First<'s, 'c>, Error> {
    let mut setup = Setup { watchdog: true, ..setup(SetupDisk::of(Bus::VirtioBlk, DISK)) };
    setup.modules.push("i6300esb");
    let mut first = stage.boot(&setup)?;
    first.load_drivers()?;
    let words = arm_partition(&mut first, options)?;
    check!(!words.contains(NAME), "`load` before the watchdog runs: expected no word of it")?;
    first.vm.run_ok(&format!("watchdog -t 2 -T {TIMEOUT} /dev/watchdog0"))?;
    first.note(format!("the watchdog is running, with {TIMEOUT} s"));
    let status = first.vm.run(&format!("{} status", guest::LOADER))?.text;
    let started = format!("the watchdog {NAME} was started after the image was loaded");
    expect_words("`status`", &status, &[&started])?;
    let words = arm_partition(&mut first, options)?;
    expect_words(
        "`load`",
        &words,
        &[&format!("the watchdog {NAME} is running; /init will feed it")],
    )?;
    Ok(first)
}
