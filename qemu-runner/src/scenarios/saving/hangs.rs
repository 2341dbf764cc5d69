//! `capture-*` beside or on a disk that hangs: /init says so, waits as long as it may, and resets
//! the machine.

use capture_init::State;

use super::small_machine::{
    DISK, RESET, arm_partition, armed, await_messages, expect_end, fill_memory, setup,
};
use crate::error::{Error, check, check_eq};
use crate::machine::disk::Bus;
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{SetupDisk, Stage};

/// How long the capture may take, or how long nothing may move, in seconds.
const TIMEOUT: u64 = 20;
/// How much longer /init waits for the disk before the reset, in seconds (`MOST_SYNC`), and what a
/// busy host may add.
const MOST_SYNC: u64 = 20;
const SLACK: u64 = 10;

table! {
    "capture-disk-hangs", [], in_time,
        "the disk hangs during the dump: the machine is reset when time is over and the disk has \
         had its time to answer",
        lab: Like("capture-full");
    "capture-silence", [], without_a_limit,
        "the disk hangs during the dump, and the capture's time has no limit: the machine is reset \
         when nothing has moved for a while",
        lab: Like("capture-full");
    "capture-sick-disk", [], sick_disk,
        "another disk beside the target's does not answer: /init names it, and saves the dump",
        lab: Like("capture-full");
}

fn in_time(stage: &mut Stage<'_>) -> Result<(), Error> {
    let options = format!("--capture-timeout {TIMEOUT}");
    let began = format!("the machine is reset after {TIMEOUT} s at the latest");
    hang(stage, &options, Some(&began), "the capture's time is over")
}

fn sick_disk(stage: &mut Stage<'_>) -> Result<(), Error> {
    // The kernel looks for the partitions of SCSI disks beside each other.
    let disk = SetupDisk::of(Bus::VirtioScsi, DISK);
    let mut setup = setup(disk);
    setup.disks.push(disk);
    let mut first = stage.boot(&setup)?;
    first.load_drivers()?;
    arm_partition(&mut first, "")?;
    first.vm.monitor.hang_reads(1)?;
    // The first read of either disk still ends. That of the target has no limit.
    first.vm.run_ok("for disk in /dev/sd[ab]; do dd if=$disk of=/dev/null bs=4k count=1; done")?;
    first.vm.run_ok("echo 3 >/proc/sys/vm/drop_caches")?;
    first.note("disk 1 does not answer any more");
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let said = [
        " is not loaded after 20 s, as if a device did not answer; continuing without it",
        " does not answer for 5 s; continuing without it",
        "the dump is saved in ",
        RESET,
    ];
    expect_end(&mut crashed, &said)?;
    check_eq!(Saved::in_partition(&image)?.record.state, State::Complete, "state in the record")
}

/// Ten minutes, which a test does not wait.
fn without_a_limit(stage: &mut Stage<'_>) -> Result<(), Error> {
    let options = format!("--append capture_silence={TIMEOUT}");
    let silent = format!("nothing has moved for {TIMEOUT} s while writing the dump");
    hang(stage, &options, None, &silent)
}

/// The disk hangs during the dump. Time runs from this message, or else from when it hangs, to the
/// words of the end.
fn hang(stage: &mut Stage<'_>, options: &str, began: Option<&str>, end: &str) -> Result<(), Error> {
    // The kernel gives up on an NVMe drive or a SCSI disk that does not answer, not on this one.
    let mut first = armed(stage, SetupDisk::of(Bus::VirtioBlk, DISK), options)?;
    fill_memory(&mut first)?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let announced = match began {
        Some(words) => Some(crashed.vm.await_words("the announcement", words)?.at),
        None => None,
    };
    let writing = crashed.vm.await_words("the dump has begun", " MiB written, ")?.at;
    crashed.vm.monitor.hang_writes(0)?;
    crashed.stage.outcome.now("the disk hangs");
    await_messages(&mut crashed, &[end, "the disk still does not answer after 20 s"])?;
    let reset = crashed.vm.await_words("the reset", RESET)?.at;
    let took = reset.duration_since(announced.unwrap_or(writing)).as_secs();
    let most = TIMEOUT + MOST_SYNC + SLACK;
    check!(took <= most, "the reset: expected within {most} s, found after {took} s")?;
    crashed.stage.outcome.fact("limit to reset", format!("{took} s"));
    crashed.orderly_reset()?;
    check_eq!(Saved::record_in_partition(&image)?.state, State::Writing, "state in the record")
}
