//! `black-box-*`: no dump comes out, and the boot after the reset tells why.
//!
//! The first kernel is always at the same place (`nokaslr`). Else the next boot could place it over
//! the capture kernel's log, which has no copy.

use handoff::{RegionKind, Verdict};
use serde_json::{Value, json};

use crate::error::{Error, check, check_eq, expect_words};
use crate::host;
use crate::scenario::table;
use crate::scenarios::damage::corrupt::{self, Place};
use crate::stage::{CAPTURE_APPEND, First, PANIC, Setup, Stage, guest};
use crate::stage::{json as parsed, load_command};

/// A line of the crashed kernel's log that no kernel prints.
const MARKER: &str = "black box: the last words of this kernel";
/// What the loader must keep over a reboot.
const STATE: [&str; 2] = ["/var/lib/kdump-loader/generation", "/var/lib/kdump-loader/armed.json"];
const PANICS: &str = "/var/lib/kdump-loader/panics";
/// The newest series. It comes from a repository that keeps no old versions, so it may be gone.
const NEW: &str = "7";

table! {
    "black-box-refused", [Kcore], |stage| refused(stage, &black_box()),
        "after a refusal and the reset, `last` names the verdict, the corrupt segment and the \
         panic, and has the whole kernel log";
    "black-box-hang", [Kcore], |stage| hang(stage, &black_box()),
        "after a capture kernel that hangs and a reset from outside, `last` says that it was \
         started, and has its log";
    "black-box-cleared", [Kcore], cleared,
        "after a panic and a reset that clears memory, `last` says that there is no record, and \
         not that there was no panic";
    "new-kernel-black-box-refused", [Kernel(NEW), Kcore], |stage| refused(stage, &on_new_kernel()),
        "`black-box-refused` on Debian's newest kernel",
        lab: Like("black-box-refused");
    "new-kernel-black-box-hang", [Kernel(NEW), Kcore], |stage| hang(stage, &on_new_kernel()),
        "`black-box-hang` on Debian's newest kernel",
        lab: Like("black-box-hang");
}

fn black_box() -> Setup {
    Setup { append: "nokaslr", ..corrupt::bare() }
}

fn on_new_kernel() -> Setup {
    Setup { series: Some(NEW), ..black_box() }
}

fn refused(stage: &mut Stage<'_>, setup: &Setup) -> Result<(), Error> {
    let (mut first, kept) = armed(stage, setup)?;
    let image = first.image()?;
    let address = corrupt::damage(&mut first, &image, RegionKind::Kernel, Place::Middle)?;
    let before = last_words(&mut first)?;
    let crashed = first.panic(None)?;
    let mut first = crashed.boot_again(|crashed| {
        crashed.expect_verdict(Verdict::SegmentCorrupt)?;
        corrupt::expect_named(&crashed.said, RegionKind::Kernel, address)
    })?;

    let told = tell_after_boot(&mut first, &kept)?;
    let panic = told.panic()?;
    let run = &panic["run"];
    check_eq!(run["stage"], "refused", "stage that `last` tells")?;
    check_eq!(run["verdict"], Verdict::SegmentCorrupt.word(), "verdict that `last` tells")?;
    let place = &run["places"][0];
    check_eq!(place["region"], RegionKind::Kernel.name(), "corrupt segment that `last` tells")?;
    let number = |name: &str| place[name].as_u64().unwrap_or_default();
    let span = number("start")..number("start") + number("len");
    check!(span.contains(&address), "corrupt place: expected {address:#x}, found {span:#x?}")?;
    told.expect_crashed_log(&mut first, &before)?;
    let words = ["refused the image (segment-corrupt)", "corrupt: kernel", PANIC];
    expect_words("`last`", &told.text, &words)
}

/// The capture kernel's user space saves nothing. For the boot after the reset that is a hang.
fn hang(stage: &mut Stage<'_>, setup: &Setup) -> Result<(), Error> {
    let (mut first, kept) = armed(stage, setup)?;
    let before = last_words(&mut first)?;
    let mut capture = first.panic(None)?.capture()?;
    capture.expect_verdict(Verdict::Ok)?;
    let capture_log = capture.run_ok("dmesg")?;
    let mut crashed = capture.crashed;
    crashed.press_reset(|_| Ok(()))?;
    let mut first = crashed.boot_again(|_| Ok(()))?;

    let told = tell_after_boot(&mut first, &kept)?;
    let run = &told.panic()?["run"];
    check_eq!(run["stage"], "jumped", "stage that `last` tells")?;
    check_eq!(run["verdict"], Verdict::Ok.word(), "verdict that `last` tells")?;
    told.expect_crashed_log(&mut first, &before)?;
    let saved = first.vm.run_ok(&format!("cat {PANICS}/*/capture-dmesg.txt"))?;
    expect_log("capture-dmesg.txt", &saved, &capture_log)?;
    let words = ["started the capture kernel (ok)", "ran; its last lines were:", PANIC];
    expect_words("`last`", &told.text, &words)
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

    let told = tell_after_boot(&mut first, &kept)?;
    check_eq!(told.json["panics"], json!([]), "panics that `last` tells")?;
    let nothing = &told.json["last_harvest"]["nothing"];
    check_eq!(nothing["reason"], "no_record", "why `last` tells no panic")?;
    let copies = &nothing["copies"];
    check_eq!(copies["lost"], copies["reserved"], "lost copies of the record")?;
    let words = ["armed 20", "but no record: memory was cleared by the reset"];
    expect_words("`last`", &told.text, &words)?;
    check!(!told.text.contains("no panic"), "`last`: expected no claim, found {}", told.text)
}

/// Boots and arms, with a black box. Returns what the loader keeps on a disk.
fn armed<'s, 'c>(stage: &'s mut Stage<'c>, setup: &Setup) -> Result<(First<'s, 'c>, Kept), Error> {
    let mut first = stage.boot(setup)?;
    first.survive_resets()?;
    first.arm("")?;
    let kept = Kept::read(&mut first)?;
    Ok((first, kept))
}

/// Marks the kernel's log, and returns all of it.
fn last_words(first: &mut First<'_, '_>) -> Result<String, Error> {
    first.vm.run_ok(&format!("echo '{MARKER}' >/dev/kmsg"))?;
    let log = first.vm.run_ok("dmesg")?;
    check!(log.contains(MARKER), "dmesg before the panic: expected {MARKER:?}, found {log}")?;
    Ok(log)
}

/// The loader's files in /var/lib. Both user spaces are initramfs, without a disk, so the runner
/// carries the files over the reset.
struct Kept([String; 2]);

impl Kept {
    fn read(first: &mut First<'_, '_>) -> Result<Self, Error> {
        let [generation, armed] = STATE.map(|path| first.vm.run_ok(&format!("cat {path}")));
        Ok(Self([generation?, armed?]))
    }

    fn write(&self, first: &mut First<'_, '_>) -> Result<(), Error> {
        first.vm.run_ok("mkdir -p -m 700 /var/lib/kdump-loader")?;
        for (path, text) in STATE.iter().zip(&self.0) {
            first.vm.run_ok(&format!("cat >{path} <<'END'\n{text}\nEND\n"))?;
        }
        Ok(())
    }
}

/// What `last` tells after the first load of a boot.
struct Told {
    json: Value,
    text: String,
}

fn tell_after_boot(first: &mut First<'_, '_>, kept: &Kept) -> Result<Told, Error> {
    kept.write(first)?;
    // Not `arm`: memory may still have the block of the image before.
    let (_, words) = first.load(&load_command(CAPTURE_APPEND, ""))?;
    let last = format!("{} last", guest::LOADER);
    let told: Value = parsed(&first.vm.run_ok(&format!("{last} --json"))?)?;
    let text = first.vm.run_ok(&last)?;
    let report = format!("{words}\n\n{text}\n\n{told:#}\n");
    host::write(&first.vm.directory().join("last.txt"), report.as_bytes())?;
    first.note(format!("`last` after the reset: {text}"));
    Ok(Told { json: told, text })
}

impl Told {
    fn panic(&self) -> Result<&Value, Error> {
        let panics = self.json["panics"].as_array().map_or(&[][..], Vec::as_slice);
        match panics {
            [panic] => Ok(panic),
            _ => Err(Error::Failed(format!("`last`: expected one panic, found {:#}", self.json))),
        }
    }

    /// The panic, and every line that dmesg had printed before it.
    fn expect_crashed_log(&self, first: &mut First<'_, '_>, before: &str) -> Result<(), Error> {
        let panic = self.panic()?;
        check_eq!(panic["panic_line"], PANIC, "panic line that `last` tells")?;
        check_eq!(panic["log"]["damaged"], 0, "damaged records in the crashed kernel's log")?;
        let log = first.vm.run_ok(&format!("cat {PANICS}/*/dmesg.txt"))?;
        expect_log("dmesg.txt", &log, before)?;
        let rest = log.get(before.len()..).unwrap_or_default();
        check!(rest.contains(PANIC), "dmesg.txt: expected the panic at its end, found {rest}")
    }
}

/// A saved log must begin with all that dmesg had printed.
fn expect_log(name: &str, saved: &str, printed: &str) -> Result<(), Error> {
    let mut lines = saved.lines();
    for expected in printed.lines() {
        let found = lines.next().unwrap_or_default();
        let fits = found == expected || found == indented(expected);
        check!(fits, "line of {name}: expected {expected:?}, found {found:?}")?;
    }
    Ok(())
}

/// A line without its time. Busybox's dmesg repeats the time on each line of a record, a saved log
/// indents all but the first.
fn indented(line: &str) -> String {
    let text = line.split_once("] ").map_or(line, |(_, text)| text);
    " ".repeat(line.len() - text.len()) + text
}
