//! `kdump-loader test`: everything short of a panic that decides whether `--capture` saves a dump;
//! with --panic, the panic.
//!
//! *On entry* a target, from the command line, the config or the armed image.
//!
//! *On exit* one line for each check. With --panic there is no exit: the machine panics.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use capture_init::Target;
use loader::admit::preflight;
use loader::files;
use loader::files::read::Opened;
use loader::machine::KexecState;

use super::{Error, LIVE, print};
use crate::arm;
use crate::arm::record::{self, Known};
use crate::arm::request_for::{LARGEST_FILE, OURSELVES};
use crate::capture::{self, Place};
use crate::cli::Test;
use crate::findings::{Answer, Level};
use crate::health::survey;
use crate::messages::{in_full, say};
use crate::options::Options;
use crate::options::config::Config;

/// Exit status of a check that failed.
const FAILED: u8 = 1;
/// The file that is written and removed again.
const PROBE: &str = ".kdump-loader-test";
/// Its bytes.
const PROBE_LEN: usize = 1 << 20;
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// A `c` in it panics the kernel (Documentation/admin-guide/sysrq.rst).
const SYSRQ: &str = "/proc/sysrq-trigger";

/// Checks, or panics.
pub fn run(arguments: &Test) -> Result<ExitCode, Error> {
    preflight::privileged(Path::new(LIVE))?;
    if arguments.panic {
        panic_now(&mut io::stdin().lock())?;
    }
    let mut report = Report::default();
    match options(arguments)? {
        Some(options) => check(&options, &mut report),
        None => report.fail(
            "target",
            "neither --capture, nor the config, nor the armed image names a target".into(),
        ),
    }
    armed(&mut report);
    print(&report.text)?;
    Ok(if report.failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// What is checked, one line each.
#[derive(Default)]
struct Report {
    text: String,
    failed: bool,
}

impl Report {
    fn ok(&mut self, what: &str, words: &str) {
        self.text += &format!("ok      {what}: {words}\n");
    }

    fn note(&mut self, what: &str, words: &str) {
        self.text += &format!("note    {what}: {words}\n");
    }

    fn fail(&mut self, what: &str, words: String) {
        self.text += &format!("FAILED  {what}: {words}\n");
        self.failed = true;
    }
}

/// The options whose initrd is tested.
fn options(arguments: &Test) -> Result<Option<Options>, Error> {
    let root = Path::new(LIVE);
    let armed = match record::read(root) {
        Ok(Known::Image(record)) => Some(record),
        _ => None,
    };
    if let Some(place) = &arguments.capture {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kernel = armed.map(|record| PathBuf::from(record.kernel));
        let running = || PathBuf::from(format!("/boot/vmlinuz-{}", release.trim_end()));
        let kernel = arguments.kernel.clone().or(kernel).unwrap_or_else(running);
        return Ok(Some(Options { capture: Some(place.clone()), ..Options::new(kernel) }));
    }
    let from_record = || {
        let record = armed?;
        let options = &record.origin.as_ref()?.options;
        let capture = Some(Place::parse(options.get("capture")?).ok()?);
        let makedumpfile = options.get("makedumpfile").map(PathBuf::from);
        Some(Options { capture, makedumpfile, ..Options::new(record.kernel.into()) })
    };
    if let Some(options) = from_record() {
        return Ok(Some(options));
    }
    let config = Config::read(root, arguments.config.as_deref())?;
    Ok(Some(config.options).filter(|options| options.capture.is_some()))
}

/// The target, its modules, and a write to it.
fn check(options: &Options, report: &mut Report) {
    let read = Opened::new("capture kernel", &options.kernel)
        .and_then(|opened| opened.read(files::wanted, LARGEST_FILE));
    let kernel = match read {
        Ok(content) => content.input,
        Err(error) => return report.fail("kernel", in_full(&error)),
    };
    report.ok("kernel", &options.kernel.display().to_string());
    match capture::make(Path::new(LIVE), options, &kernel, &[]) {
        Ok(None) => {}
        Ok(Some(made)) => {
            let [target, initrd] = &made.notes;
            report.ok("target", target);
            report.ok("modules", initrd);
            made.watchdog_notes.iter().for_each(|words| report.note("watchdog", words));
            match write(options.capture.as_ref(), &made) {
                Ok(words) => report.ok("write", &words),
                Err((path, error)) => {
                    report.fail("write", format!("cannot write {}: {error}", path.display()));
                }
            }
        }
        Err(error) => report.fail("target", in_full(&error)),
    }
}

/// Writes a file and removes it. A partition is opened for writing, but keeps its content.
fn write(place: Option<&Place>, made: &capture::Made) -> Result<String, (PathBuf, io::Error)> {
    if let (Some(Place::Directory(directory)), Target::Directory { .. }) = (place, &made.target) {
        let path = directory.join(PROBE);
        let written = probe(&path);
        let removed = fs::remove_file(&path);
        return match written.and(removed) {
            Ok(()) => Ok(format!("a file of {} KiB in {}", PROBE_LEN >> 10, directory.display())),
            Err(error) => Err((path, error)),
        };
    }
    let node = made.node.clone();
    match OpenOptions::new().read(true).write(true).open(&node) {
        Ok(_) => Ok(format!("{} can be opened for writing", node.display())),
        Err(error) => Err((node, error)),
    }
}

fn probe(path: &Path) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(&[0x5a; PROBE_LEN])?;
    file.sync_all()
}

/// What `status` says of the armed image.
fn armed(report: &mut Report) {
    let findings = survey(Path::new(LIVE), None, Path::new(OURSELVES)).findings;
    let serious = findings.iter().filter(|finding| finding.level >= Level::Warning);
    let words: Vec<String> = serious.map(ToString::to_string).collect();
    match Answer::of(&findings) {
        Answer::Yes => report.ok("status", "a panic now would leave a dump"),
        Answer::YesBut => report.ok("status", &format!("yes, but: {}", words.join("; "))),
        Answer::CannotTell | Answer::No => report.fail("status", words.join("; ")),
    }
}

/// Asks for the machine's name and panics.
fn panic_now(input: &mut impl BufRead) -> Result<(), Error> {
    if !KexecState::crash_loaded(Path::new(LIVE)).map_err(arm::Error::Armed)? {
        return Err(Error::NothingToTest);
    }
    let host = fs::read_to_string(HOST_NAME).unwrap_or_default();
    let host = host.trim();
    say(format_args!(
        "this panics the machine: every program ends at once, and unsaved work is lost. Type the \
         machine's name ({host}) to continue:"
    ));
    let mut line = String::new();
    let read = input.read_line(&mut line);
    if read.is_err() || line.trim() != host || host.is_empty() {
        return Err(Error::NotConfirmed { host: host.to_owned() });
    }
    rustix::fs::sync();
    say(format_args!("panicking now; after the reboot, `kdump-loader last` tells how it went"));
    let path = PathBuf::from(SYSRQ);
    fs::write(&path, "c").map_err(|source| Error::Output { path: path.clone(), source })?;
    Err(Error::NoPanic { path })
}
