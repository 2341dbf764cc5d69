//! After a reset: the first load of the boot harvests the black box, and `kdump-loader last` tells
//! what it found.
//!
//! *On entry*: the first kernel is up again, in the memory that the reset left.
//!
//! *On exit*: an image is armed again, unless the kernel refuses that. `last.txt` is beside the
//! machine's logs.

use serde_json::Value;

use super::first::{Armed, First};
use super::load::{CAPTURE_APPEND, json as parsed, load_command};
use super::{PANIC, guest};
use crate::error::{Error, check, check_eq};
use crate::host;

/// What the loader must keep over a reboot.
const STATE: [&str; 2] = ["/var/lib/kdump-loader/generation", "/var/lib/kdump-loader/armed.json"];
/// A line of the crashed kernel's log that no kernel prints.
const MARKER: &str = "black box: the last words of this kernel";

/// The loader's files in /var/lib. Both user spaces are initramfs, without a disk, so the runner
/// carries the files over the reset.
pub(crate) struct Kept([String; 2]);

impl Kept {
    pub(crate) fn read(first: &mut First<'_, '_>) -> Result<Self, Error> {
        let [generation, armed] = STATE.map(|path| first.vm.run_ok(&format!("cat {path}")));
        Ok(Self([generation?, armed?]))
    }

    /// Puts them where the next boot's loader looks for them.
    pub(crate) fn write(&self, first: &mut First<'_, '_>) -> Result<(), Error> {
        first.vm.run_ok("mkdir -p -m 700 /var/lib/kdump-loader")?;
        for (path, text) in STATE.iter().zip(&self.0) {
            first.vm.run_ok(&format!("cat >{path} <<'END'\n{text}\nEND\n"))?;
        }
        Ok(())
    }

    /// What the loader knows of the armed image's black box.
    pub(crate) fn armed(&self) -> Result<Value, Error> {
        parsed(&self.0[1])
    }
}

impl First<'_, '_> {
    /// Arms the capture kernel with a black box, and reads what the loader keeps on a disk.
    pub(crate) fn arm_black_box(
        &mut self,
        append: &str,
        options: &str,
    ) -> Result<(Armed, Kept), Error> {
        let armed = self.arm_with(append, options)?;
        Ok((armed, Kept::read(self)?))
    }

    /// Marks the kernel's log, and returns all of it.
    pub(crate) fn last_words(&mut self) -> Result<String, Error> {
        self.vm.run_ok(&format!("echo '{MARKER}' >/dev/kmsg"))?;
        let log = self.vm.run_ok("dmesg")?;
        check!(log.contains(MARKER), "dmesg before the panic: expected {MARKER:?}, found {log}")?;
        Ok(log)
    }

    /// Loads as a service does after boot, and asks `last`.
    pub(crate) fn tell_after_boot(&mut self, kept: &Kept) -> Result<Told, Error> {
        kept.write(self)?;
        // Not `arm`: memory may still have the block of the image before.
        let (_, words) = self.load(&load_command(CAPTURE_APPEND, ""))?;
        self.ask_last("", &words)
    }

    /// What `last` tells, as JSON and as text; `words` are what the load before it said.
    pub(crate) fn ask_last(&mut self, options: &str, words: &str) -> Result<Told, Error> {
        let last = format!("{} last {options}", guest::LOADER);
        let told: Value = parsed(&self.vm.run_ok(&format!("{last} --json"))?)?;
        let text = self.vm.run_ok(&last)?;
        let report = format!("{words}\n\n{text}\n\n{told:#}\n");
        host::write(&self.vm.directory().join("last.txt"), report.as_bytes())?;
        self.note(format!("`last` after the reset: {text}"));
        Ok(Told { json: told, text })
    }
}

/// What `last` tells.
pub(crate) struct Told {
    pub json: Value,
    pub text: String,
}

impl Told {
    pub fn panics(&self) -> &[Value] {
        self.json["panics"].as_array().map_or(&[][..], Vec::as_slice)
    }

    pub fn panic(&self) -> Result<&Value, Error> {
        match self.panics() {
            [panic] => Ok(panic),
            _ => Err(Error::Failed(format!("`last`: expected one panic, found {:#}", self.json))),
        }
    }

    /// The purgatory's record must have this stage and verdict.
    pub fn expect_run(&self, stage: &str, verdict: &str) -> Result<(), Error> {
        let run = &self.panic()?["run"];
        check_eq!(run["stage"], stage, "stage that `last` tells")?;
        check_eq!(run["verdict"], verdict, "verdict that `last` tells")
    }

    /// The panic, and every line that dmesg had printed before it.
    pub fn expect_crashed_log(&self, first: &mut First<'_, '_>, before: &str) -> Result<(), Error> {
        let panic = self.panic()?;
        check_eq!(panic["panic_line"], PANIC, "panic line that `last` tells")?;
        check_eq!(panic["log"]["damaged"], 0, "damaged records in the crashed kernel's log")?;
        let log = self.file(first, "dmesg.txt")?;
        expect_log("dmesg.txt", &log, before)?;
        let rest = log.get(before.len()..).unwrap_or_default();
        check!(rest.contains(PANIC), "dmesg.txt: expected the panic at its end, found {rest}")
    }

    /// The capture kernel's log must begin with all that its dmesg had printed. Returns the log.
    pub fn expect_capture_log(
        &self,
        first: &mut First<'_, '_>,
        printed: &str,
    ) -> Result<String, Error> {
        let saved = self.file(first, "capture-dmesg.txt")?;
        expect_log("capture-dmesg.txt", &saved, printed)?;
        Ok(saved)
    }

    /// A file in the panic's folder.
    pub fn file(&self, first: &mut First<'_, '_>, name: &str) -> Result<String, Error> {
        let folder = self.panic()?["folder"].as_str().unwrap_or_default();
        first.vm.run_ok(&format!("cat {folder}/{name}"))
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
