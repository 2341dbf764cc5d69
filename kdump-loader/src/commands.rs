//! The subcommands, one file each, and what they share: messages and data output, and how a request
//! is read.

mod error; // why a command failed
pub mod load;
pub mod load_file;
pub mod kexec;
pub mod unload;
pub mod reload;
pub mod status;
pub mod watch;
pub mod plan;
pub mod inspect;
pub mod snapshot;
pub mod service;

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::arm::record;
use crate::arm::record::origin::Origin;
use crate::arm::write;
use crate::findings::Level;
use crate::findings::advice;
use crate::findings::advice::Advice;
use crate::findings::recorded::RecordedAdvice;
use crate::options::Options;
use crate::options::embedded::embedded;
use loader::cmdline::Base;
use loader::files::Files;
use loader::files::read::{Content, Opened, all};
use loader::image::Image;
use loader::kernel;
use loader::machine::{KexecState, Machine};
use loader::request::{InputFile, Request};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Serialize;

use crate::cli::ImageArgs;
pub use error::{Aftermath, Error, Hint};

/// The root of the live machine.
pub const LIVE: &str = "/";
/// The file that this program was started from, even if its name leads to another file now.
pub const OURSELVES: &str = "/proc/self/exe";

/// Mode of a new file that the user asked for: pictures and metrics have no secrets.
const READABLE: u32 = 0o644;
/// The permission bits of a mode, without set-user-ID and its neighbors (inode(7)).
const PERMISSIONS: u32 = 0o777;

/// Prints a message on standard error. A closed standard error is no reason to stop.
pub fn say(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "kdump-loader: {message}");
}

/// Says what the command decided or is waiting for.
pub fn note(message: fmt::Arguments<'_>) {
    say(format_args!("note: {message}"));
}

/// Says what may spoil a dump, or what failed although the command continues.
pub fn warn(message: fmt::Arguments<'_>) {
    say(format_args!("warning: {message}"));
}

/// Says why the command failed.
pub fn report(error: &dyn std::error::Error) {
    say(format_args!("error: {}", in_full(error)));
}

/// An error and its causes, in one line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Prints data on standard output. A reader that has closed it (`| head`) is no error.
pub fn print(data: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Output { path: "standard output".into(), source: error })
        }
        _ => Ok(()),
    }
}

/// Version of the `--json` output. New keys do not change it.
pub const JSON_VERSION: u32 = 1;

/// Data with its version.
#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    data: &'a T,
}

impl<'a, T> Versioned<'a, T> {
    fn new(data: &'a T) -> Self {
        Self { version: JSON_VERSION, data }
    }
}

/// Data as JSON.
pub fn print_json(data: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(&Versioned::new(data)).expect("strings, integers and booleans always serialize");
    print(&(text + "\n"))
}

/// Largest accepted file: a purgatory, or any file of `inspect`.
pub const LARGEST_FILE: u64 = 2 << 30;

/// Writes a file that the user named: whole or not at all, and never through a link.
/// An existing file keeps its group and mode.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mode = fs::symlink_metadata(path).map_or(READABLE, |found| found.permissions().mode() & PERMISSIONS);
    write::replace(path, bytes, mode).map_err(|source| Error::Output { path: path.to_owned(), source })
}

/// Rejects a kernel file of another format.
pub fn expect_format(file: &InputFile, expected: &'static str) -> Result<(), Error> {
    let found = kernel::format_of(&file.bytes);
    if found == Some(expected) { Ok(()) } else { Err(Error::Format { path: file.path.clone(), expected, found }) }
}

/// The named purgatory, or the embedded one.
pub fn read_purgatory(path: Option<&Path>) -> Result<InputFile, Error> {
    match path {
        Some(path) => Ok(Opened::new("purgatory", path)?.read(all, LARGEST_FILE)?.input),
        None => Ok(embedded()?),
    }
}

/// Reads every file that the flags name, and converts the flags into a request.
pub fn request(arguments: &ImageArgs, machine: &Machine, rng_seed: Option<[u8; 32]>) -> Result<(Request, Origin), Error> {
    request_for(&arguments.options(), machine, rng_seed)
}

/// The same for options from any source. The origin describes exactly the files that were read.
pub fn request_for(options: &Options, machine: &Machine, rng_seed: Option<[u8; 32]>) -> Result<(Request, Origin), Error> {
    let mut origin = origin(options);
    let files = Files::read(&options.kernel, options.initrd.as_deref(), machine.crash_region()?)?;
    origin.read(&files);
    let Files { kernel: Content { input: kernel, .. }, initrd } = files;
    let defaults = kernel::uki::defaults(&kernel.bytes);
    let append = options.append.as_deref();
    let command_line = base_command_line(&machine.command_line, options.reuse_cmdline, append, defaults.command_line);
    let inside = || Some(InputFile { path: kernel.path.clone(), bytes: defaults.initrd?.to_vec() });
    let initrd = initrd.map(|initrd| initrd.input).or_else(inside);
    let request = Request {
        kernel,
        initrd,
        command_line,
        noefi: options.noefi,
        on_corrupt: options.on_corrupt,
        reset_delay_ms: options.reset_delay_ms,
        console: options.console,
        confidential: options.confidential,
        hotplug: !options.no_hotplug,
        engine: options.engine,
        leaf_size: options.leaf_size,
        purgatory: read_purgatory(options.purgatory.as_deref())?,
        rng_seed,
        window: None,
    };
    Ok((request, origin))
}

/// The requested command line. Says which parameters of a reused line were dropped.
pub fn base_command_line(running: &[u8], reuse: bool, given: Option<&str>, brought: Option<&[u8]>) -> Base {
    let base = Base::chosen(running, reuse, given, brought);
    if !base.dropped.is_empty() {
        note(format_args!("dropped from the reused command line: {}", base.dropped_text().join(" ")));
    }
    base
}

/// What an image with these options is made from, before the files are read.
pub fn origin(options: &Options) -> Origin {
    Origin::of(options, Path::new(OURSELVES))
}

/// Warns of what is allowed but probably not intended, and returns it for the record.
pub fn advise(image: &Image<'_>, request: &Request, machine: &Machine) -> Vec<RecordedAdvice> {
    print_advice(&advice::advise(image, request, machine))
}

/// Prints every piece of advice, and returns it for the record.
pub fn print_advice(advice: &[Advice]) -> Vec<RecordedAdvice> {
    for advice in advice {
        match advice.level() {
            Level::Note => note(format_args!("{advice}")),
            Level::Warning | Level::Unknown | Level::Error => warn(format_args!("{advice}")),
        }
    }
    advice.iter().map(RecordedAdvice::from).collect()
}

/// Takes the lock of arming and recording. If /run cannot be written, the machine is armed without
/// it.
pub fn hold_arming_lock(root: &Path) -> Result<Option<record::HeldLock>, Error> {
    let seconds = record::PATIENCE.as_secs();
    let waiting = || note(format_args!("another kdump-loader is running; waiting up to {seconds} s"));
    match record::wait_for_arming_lock(root, record::PATIENCE, waiting) {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ record::Error::Busy { .. }) => Err(Error::Lock(error)),
        Err(error) => {
            warn(format_args!("{}", in_full(&error)));
            Ok(None)
        }
    }
}

/// Hides the record while the kernel replaces the image: a kill in between must not leave a wrong
/// record.
pub fn set_aside(root: &Path) {
    warn_on_error(record::set_aside(root));
}

/// After a rejected load: asks the kernel what is armed, and keeps the record only if its image
/// still is.
pub fn aftermath(root: &Path) -> Aftermath {
    match KexecState::crash_loaded(root) {
        Ok(true) => {
            warn_on_error(record::restore(root));
            Aftermath::StillArmed
        }
        Ok(false) => {
            forget(root);
            Aftermath::Disarmed
        }
        Err(_) => Aftermath::Unknown,
    }
}

/// Removes the record of an image that is no longer armed.
pub fn forget(root: &Path) {
    warn_on_error(record::forget(root));
}

fn warn_on_error(result: Result<(), record::Error>) {
    if let Err(error) = result {
        warn(format_args!("{}", in_full(&error)));
    }
}

/// A random seed for the capture kernel. Early at boot the kernel may have none; the capture kernel
/// then gathers its own.
pub fn fresh_seed() -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    match getrandom(&mut seed[..], GetRandomFlags::NONBLOCK) {
        Ok(len) if len == seed.len() => Some(seed),
        result => {
            let because = match result {
                Err(Errno::AGAIN) | Ok(_) => "the kernel's random number generator is not initialized yet".to_owned(),
                Err(error) => format!("getrandom failed: {error}"),
            };
            note(format_args!("the capture kernel gets no random seed: {because}"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
