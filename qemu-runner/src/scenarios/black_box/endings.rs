//! `black-box-*`: no dump comes out, and the boot after the reset tells why. One scenario for each
//! way in which that can end.
//!
//! The first kernel is always at the same place (`nokaslr`). Else the next boot could place it over
//! the capture kernel's log, which has no copy.

use handoff::{RegionKind, Verdict};
use serde_json::json;

use super::{NEW, armed, black_box, on_new_kernel};
use crate::error::{Error, check, check_eq, expect_words};
use crate::machine::controller;
use crate::scenario::table;
use crate::scenarios::damage::corrupt::{self, Place};
use crate::stage::{CAPTURE_APPEND, Capture, First, PANIC, Setup, Stage};

/// Seconds until the capture kernel resets the machine after its own panic.
const PANIC_TIMEOUT: &str = "panic=3";
/// What a kernel with that says at the end of a panic (`panic`, kernel/panic.c).
const REBOOTING: &str = "Rebooting in 3 seconds..";
/// A disk that the machine does not have, and how a service tries to mount it. Programs of a
/// capture kernel log to /dev/kmsg, so that their words are in its log.
const MISSING: &str = "/dev/vdz";
const LOG: &str = "sed 's/^/kdump: /' >/dev/kmsg";

table! {
    "black-box-refused", [Kcore], |stage| refused(stage, &black_box()),
        "after a refusal and the reset, `last` names the verdict, the corrupt segment and the \
         panic, and has the whole kernel log; the panic was signaled once by pvpanic, and the \
         verdict is in the management controller's event log";
    "black-box-hang", [Kcore], |stage| hang(stage, &black_box()),
        "after a capture kernel that hangs and a reset from outside, `last` says that it was \
         started, and has its log";
    "black-box-cleared", [Kcore], cleared,
        "after a panic and a reset that clears memory, `last` says that there is no record, and \
         not that there was no panic";
    "black-box-capture-panics", [Kcore], capture_panics,
        "after a panic of the capture kernel, which resets the machine, `last` says that it was \
         started, and has its log up to the panic",
        lab: Like("black-box-hang");
    "black-box-target-missing", [Kcore], target_missing,
        "after a capture kernel that cannot mount the dump target and resets the machine, `last` \
         has its words about that",
        lab: Like("black-box-hang");
    "new-kernel-black-box-refused", [Kernel(NEW), Kcore], |stage| refused(stage, &on_new_kernel()),
        "`black-box-refused` on Debian's newest kernel",
        lab: Like("black-box-refused");
    "new-kernel-black-box-hang", [Kernel(NEW), Kcore], |stage| hang(stage, &on_new_kernel()),
        "`black-box-hang` on Debian's newest kernel",
        lab: Like("black-box-hang");
}

fn refused(stage: &mut Stage<'_>, setup: &Setup) -> Result<(), Error> {
    let (mut first, kept) = armed(stage, setup)?;
    let image = first.image()?;
    let address = corrupt::damage(&mut first, &image, RegionKind::Kernel, Place::Middle)?;
    let before = first.last_words()?;
    let crashed = first.panic(None)?;
    let mut first = crashed.boot_again(|crashed| {
        crashed.expect_verdict(Verdict::SegmentCorrupt)?;
        corrupt::expect_named(&crashed.said, RegionKind::Kernel, address)
    })?;

    let told = first.tell_after_boot(&kept)?;
    told.expect_run("refused", Verdict::SegmentCorrupt.word())?;
    let place = &told.panic()?["run"]["places"][0];
    check_eq!(place["region"], RegionKind::Kernel.name(), "corrupt segment that `last` tells")?;
    let number = |name: &str| place[name].as_u64().unwrap_or_default();
    let span = number("start")..number("start") + number("len");
    check!(span.contains(&address), "corrupt place: expected {address:#x}, found {span:#x?}")?;
    told.expect_crashed_log(&mut first, &before)?;
    let words = ["refused the image (segment-corrupt)", "corrupt: kernel", PANIC];
    expect_words("`last`", &told.text, &words)?;
    // Both outlive the reset.
    controller::expect_newest_entry(&mut first.vm, Verdict::SegmentCorrupt)?;
    first.note("the event log of the management controller has the verdict");
    expect_one_signal(&mut first)
}

/// The hypervisor was told once, by the purgatory: Linux does not signal a panic that its capture
/// kernel handles (`__crash_kexec`, kernel/panic.c).
fn expect_one_signal(first: &mut First<'_, '_>) -> Result<(), Error> {
    // Events come before the answer to a command.
    first.vm.monitor.all_cpus_halted()?;
    check_eq!(first.vm.monitor.crash_loaded(), 1, "events that the capture kernel is entered")
}

/// The capture kernel's user space saves nothing. For the boot after the reset that is a hang.
fn hang(stage: &mut Stage<'_>, setup: &Setup) -> Result<(), Error> {
    let (mut first, kept) = armed(stage, setup)?;
    let before = first.last_words()?;
    let mut capture = first.panic(None)?.capture()?;
    capture.expect_verdict(Verdict::Ok)?;
    let capture_log = capture.run_ok("dmesg")?;
    let mut crashed = capture.crashed;
    crashed.press_reset(|_| Ok(()))?;
    let mut first = crashed.boot_again(|_| Ok(()))?;

    let told = first.tell_after_boot(&kept)?;
    told.expect_run("jumped", Verdict::Ok.word())?;
    told.expect_crashed_log(&mut first, &before)?;
    told.expect_capture_log(&mut first, &capture_log)?;
    // Error messages may come between: some CPUs lack a register that the kernel tries.
    let words = ["started the capture kernel (ok)", " ran; ", "its last lines were:", PANIC];
    expect_words("`last`", &told.text, &words)?;
    expect_one_signal(&mut first)
}

/// Firmware may clear memory at a reset.
fn cleared(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (mut first, kept) = armed(stage, &black_box())?;
    let region = first.crash_region()?;
    let mut crashed = first.panic(None)?.capture()?.crashed;
    crashed.press_reset(|crashed| {
        crashed.vm.ram.write(region.start, &vec![0; (region.end - region.start) as usize])?;
        crashed.stage.outcome.now(format!("the crash region {region:#x?} is cleared"));
        Ok(())
    })?;
    let mut first = crashed.boot_again(|_| Ok(()))?;

    let told = first.tell_after_boot(&kept)?;
    check_eq!(told.json["panics"], json!([]), "panics that `last` tells")?;
    let nothing = &told.json["last_harvest"]["nothing"];
    check_eq!(nothing["reason"], "no_record", "why `last` tells no panic")?;
    let copies = &nothing["copies"];
    check_eq!(copies["lost"], copies["reserved"], "lost copies of the record")?;
    let words = ["armed 20", "but no record: memory was cleared by the reset"];
    expect_words("`last`", &told.text, &words)?;
    check!(!told.text.contains("no panic"), "`last`: expected no claim, found {}", told.text)
}

/// `panic=` on the capture kernel's command line ends a panic with a reset.
fn capture_panics(stage: &mut Stage<'_>) -> Result<(), Error> {
    let ends = |capture: &mut Capture<'_, '_>| {
        capture.crashed.vm.say("echo c >/proc/sysrq-trigger\n")?;
        capture.crashed.await_words("the capture kernel panics", PANIC)
    };
    let append = format!("{CAPTURE_APPEND} {PANIC_TIMEOUT}");
    capture_ends(stage, &append, ends, &[PANIC, REBOOTING], PANIC)
}

/// What a service in the capture kernel does if it cannot save the dump: it says why, and reboots.
fn target_missing(stage: &mut Stage<'_>) -> Result<(), Error> {
    let ends = |capture: &mut Capture<'_, '_>| {
        let mount = format!("mount -t ext4 {MISSING} /tmp 2>/tmp/said");
        capture.run_ok(&format!("if {mount}; then false; else {LOG} </tmp/said; fi"))?;
        capture.crashed.vm.say("reboot -f\n")
    };
    let said =
        format!("kdump: mount: mounting {MISSING} on /tmp failed: No such file or directory");
    capture_ends(stage, CAPTURE_APPEND, ends, &[&said, "reboot: machine restart"], &said)
}

/// The capture kernel, armed with `append`, ends with a reset of its own, by what `ends` does in
/// it. `last` must have its log, with `words` after all that dmesg had printed before, and print
/// `why` about the capture kernel.
fn capture_ends(
    stage: &mut Stage<'_>,
    append: &str,
    ends: impl FnOnce(&mut Capture<'_, '_>) -> Result<(), Error>,
    words: &[&str],
    why: &str,
) -> Result<(), Error> {
    let mut first = stage.boot(&black_box())?;
    first.survive_resets()?;
    let (_, kept) = first.arm_black_box(append, "")?;
    let before = first.last_words()?;
    let mut capture = first.panic(None)?.capture()?;
    capture.expect_verdict(Verdict::Ok)?;
    let capture_log = capture.run_ok("dmesg")?;
    ends(&mut capture)?;
    let mut first = capture.crashed.boot_again(|_| Ok(()))?;

    let told = first.tell_after_boot(&kept)?;
    told.expect_run("jumped", Verdict::Ok.word())?;
    told.expect_crashed_log(&mut first, &before)?;
    let saved = told.expect_capture_log(&mut first, &capture_log)?;
    let rest = saved.get(capture_log.len()..).unwrap_or_default();
    expect_words("the end of capture-dmesg.txt", rest, words)?;
    // Before this row, the text is about the crashed kernel.
    let row = told.text.find("\ncapture ").map(|at| &told.text[at..]).unwrap_or_default();
    expect_words("`last` of the capture kernel", row, &["its last lines were:", why])?;
    expect_one_signal(&mut first)
}
