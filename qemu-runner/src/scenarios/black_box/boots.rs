//! `black-box-*`: the boot after a reset finds the records on other machines, and with another
//! command line than the kernel that crashed.
//!
//! The damaged byte is in the kernel, so the purgatory refuses the image and resets the machine.

use handoff::{RegionKind, Verdict};
use serde_json::{Value, json};

use super::{armed, black_box};
use crate::error::{Error, check, check_eq, expect_words};
use crate::scenario::table;
use crate::scenarios::damage::corrupt::{self, Place};
use crate::stage::last::{Kept, Told};
use crate::stage::{CAPTURE_APPEND, Crashed, First, PANIC, Setup, Stage, load_command};

/// A reservation elsewhere (Documentation/admin-guide/kdump/kdump.rst, "crashkernel syntax"): the
/// old region is RAM of the second boot.
const ELSEWHERE: &str = "256M@256M";
/// The smallest reservation that has room for the image.
const SMALL: &str = "80M";
/// As many copies as a large region has (`MAX_RECORDS` and `MAX_LOG_COPIES`, handoff).
const MOST_RECORDS: usize = handoff::black_box::MAX_RECORDS;
const MOST_LOGS: usize = handoff::black_box::MAX_LOG_COPIES;
/// `kdump-loader load` could not do what it was asked to.
const COULD_NOT: i32 = 1;

table! {
    "black-box-uefi", [Kcore, Ovmf], uefi,
        "`black-box-refused` on a machine whose firmware is OVMF",
        lab: Like("black-box-refused");
    "black-box-region-moved", [Kcore], region_moved,
        "the boot after a refusal has its crash region elsewhere, and `last` finds the records by \
         the addresses on disk",
        lab: Like("black-box-refused");
    "black-box-lockdown", [Kcore, Lockdown], lockdown,
        "the boot after a refusal hides its memory (lockdown=confidentiality), and `last` says \
         that it is unknown whether the machine panicked",
        lab: Like("black-box-cleared");
    "black-box-no-room", [Kcore], no_room,
        "an image in a small region is loaded with fewer copies, and `last` tells the refusal",
        lab: Like("black-box-refused");
    "black-box-two-panics", [Kcore], two_panics,
        "a refusal, and a second panic before any load has looked for records: `last` tells the \
         first; after one more refusal, `last --all` tells both, each once",
        lab: Like("black-box-refused");
}

fn uefi(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (first, kept) = armed(stage, &Setup { efi: true, ..black_box() })?;
    let (crashed, before) = refuse(first)?;
    let mut first = crashed.boot_again(expect_refusal)?;
    let told = first.tell_after_boot(&kept)?;
    expect_told(&mut first, &told, &before)?;
    check!(told.text.contains(PANIC), "`last`: expected {PANIC:?}, found {}", told.text)
}

fn region_moved(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (crashed, kept, before) = refuse_for_good(stage, &black_box())?;
    let moved = Setup { crashkernel: Some(ELSEWHERE), ..black_box() };
    let mut first = crashed.boot_again_as(&moved)?;
    let (region, was) = (first.crash_region()?, &kept.armed()?["crash_region"]);
    let was = number(&was["start"])..number(&was["start"]) + number(&was["len"]);
    let apart = region.end <= was.start || was.end <= region.start;
    check!(apart, "crash region: expected another than {was:#x?}, found {region:#x?}")?;
    first.note(format!("the crash region is at {region:#x?}, and was at {was:#x?}"));
    let told = first.tell_after_boot(&kept)?;
    expect_told(&mut first, &told, &before)
}

fn lockdown(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (crashed, kept, _) = refuse_for_good(stage, &black_box())?;
    let locked = Setup { append: "nokaslr lockdown=confidentiality", ..black_box() };
    let mut first = crashed.boot_again_as(&locked)?;
    kept.write(&mut first)?;
    // Lockdown forbids kexec_load(2) as well. The loader looks for records before that.
    let words = first.vm.run_to(COULD_NOT, &load_command(CAPTURE_APPEND, ""))?;
    let told = first.ask_last("", &words)?;
    check_eq!(told.json["panics"], json!([]), "panics that `last` tells")?;
    let nothing = &told.json["last_harvest"]["nothing"];
    check_eq!(nothing["reason"], "unreadable", "why `last` tells no panic")?;
    let words = ["unknown whether the machine panicked", "lockdown=confidentiality"];
    expect_words("`last`", &told.text, &words)?;
    check!(!told.text.contains("no panic"), "`last`: expected no claim, found {}", told.text)
}

fn no_room(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (first, kept) = armed(stage, &Setup { crashkernel: Some(SMALL), ..black_box() })?;
    let armed = kept.armed()?;
    let count = |name: &str| armed[name].as_array().map_or(0, Vec::len);
    let (records, logs) = (count("records"), count("log_copies"));
    let fewer = records < MOST_RECORDS || logs < MOST_LOGS;
    check!(fewer, "copies: expected fewer, found {records} records and {logs} logs")?;
    check!(records > 0, "copies: expected a record page, found none")?;
    let (crashed, before) = refuse(first)?;
    crashed.stage.outcome.fact("black box", format!("{records} records, {logs} logs"));
    let mut first = crashed.boot_again(expect_refusal)?;
    let told = first.tell_after_boot(&kept)?;
    told.expect_run("refused", Verdict::SegmentCorrupt.word())?;
    if logs > 0 {
        told.expect_crashed_log(&mut first, &before)?;
    }
    Ok(())
}

fn two_panics(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (first, kept) = armed(stage, &black_box())?;
    let (crashed, before) = refuse(first)?;
    let first = crashed.boot_again(expect_refusal)?;
    // Nothing is armed, so the kernel hangs at the end of its panic.
    let mut crashed = first.panic(None)?;
    crashed.press_reset(|_| Ok(()))?;
    let mut first = crashed.boot_again(|_| Ok(()))?;
    let told = first.tell_after_boot(&kept)?;
    expect_told(&mut first, &told, &before)?;
    // The disk would have the first panic; this user space has only what the runner brings.
    let kept = Kept::read(&mut first)?;
    let saved = first.vm.run_ok("tar -c -C / var/lib/kdump-loader/panics | base64 -w 76")?;
    let (crashed, before) = refuse(first)?;
    let mut first = crashed.boot_again(expect_refusal)?;
    first.vm.run_ok(&format!("base64 -d <<'END' | tar -x -C /\n{saved}\nEND\n"))?;
    let told = first.tell_after_boot(&kept)?;
    expect_told(&mut first, &told, &before)?;
    let all = first.ask_last("--all", "")?;
    let generations: Vec<_> =
        all.panics().iter().map(|panic| number(&panic["arming"]["generation"])).collect();
    let two = matches!(generations[..], [one, other] if one < other);
    check!(two, "generations that `last --all` tells: expected two, found {generations:?}")
}

/// Damages the kernel and panics. Returns all that dmesg had printed before.
fn refuse<'s, 'c>(mut first: First<'s, 'c>) -> Result<(Crashed<'s, 'c>, String), Error> {
    let image = first.image()?;
    corrupt::damage(&mut first, &image, RegionKind::Kernel, Place::Middle)?;
    let before = first.last_words()?;
    Ok((first.panic(None)?, before))
}

/// The same on a machine that ends with the reset, so that another can have its memory.
fn refuse_for_good<'s, 'c>(
    stage: &'s mut Stage<'c>,
    setup: &Setup,
) -> Result<(Crashed<'s, 'c>, Kept, String), Error> {
    let mut first = stage.boot(setup)?;
    let (_, kept) = first.arm_black_box(CAPTURE_APPEND, "")?;
    let (mut crashed, before) = refuse(first)?;
    crashed.expect_refusal(Verdict::SegmentCorrupt)?;
    Ok((crashed, kept, before))
}

fn expect_refusal(crashed: &Crashed<'_, '_>) -> Result<(), Error> {
    crashed.expect_verdict(Verdict::SegmentCorrupt)
}

/// `last` tells the refusal, and has the whole log.
fn expect_told(first: &mut First<'_, '_>, told: &Told, before: &str) -> Result<(), Error> {
    told.expect_run("refused", Verdict::SegmentCorrupt.word())?;
    told.expect_crashed_log(first, before)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
