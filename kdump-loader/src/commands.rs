//! The subcommands, one file each, and what they have in common: where words and data go, and how a request is read.

mod error; // why a command could not do what it should
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
pub mod generate_man;
pub mod generate_completions;

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::arm::record;
use crate::arm::record::origin::Origin;
use crate::arm::write;
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
/// The file that this program was started from, even if another has taken its name since.
pub const OURSELVES: &str = "/proc/self/exe";

/// Permissions of a new file that the user asked for: pictures, pages and completions have no secrets.
const READABLE: u32 = 0o644;
/// The permission bits of a mode, without set-user-ID and its neighbors (inode(7)).
const PERMISSIONS: u32 = 0o777;

/// Words for a person, on standard error. If nobody listens, that is no reason to stop.
pub fn say(words: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "kdump-loader: {words}");
}

/// An error and everything that caused it, in one line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Data, on standard output. A reader who has seen enough (`| head`) is no error.
pub fn print(data: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Output { path: "standard output".into(), source: error })
        }
        _ => Ok(()),
    }
}

/// The shape of what `--json` prints. New keys do not change it.
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

/// Most bytes of a file that is looked at, or that is a purgatory.
pub const LARGEST_FILE: u64 = 2 << 30;

/// Writes a file that the user named: as a whole or not at all, and through no link. An existing file keeps its group and its permissions.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mode = fs::symlink_metadata(path).map_or(READABLE, |found| found.permissions().mode() & PERMISSIONS);
    write::replace(path, bytes, mode).map_err(|source| Error::Output { path: path.to_owned(), source })
}

/// Refuses a kernel's file that is of another format.
pub fn expect_format(file: &InputFile, expected: &'static str) -> Result<(), Error> {
    let found = kernel::format_of(&file.bytes);
    if found == Some(expected) { Ok(()) } else { Err(Error::Format { path: file.path.clone(), expected, found }) }
}

/// The purgatory that was named, or the one in this program.
pub fn read_purgatory(path: Option<&Path>) -> Result<InputFile, Error> {
    match path {
        Some(path) => Ok(Opened::new("purgatory", path)?.read(all, LARGEST_FILE)?.input),
        None => Ok(embedded()?),
    }
}

/// Reads every file that the flags name and says the rest in the loader's words.
pub fn request(arguments: &ImageArgs, machine: &Machine, rng_seed: Option<[u8; 32]>) -> Result<(Request, Origin), Error> {
    request_for(&arguments.options(), machine, rng_seed)
}

/// The same for a caller without flags, with what the image is made from: exactly the files that were read.
pub fn request_for(options: &Options, machine: &Machine, rng_seed: Option<[u8; 32]>) -> Result<(Request, Origin), Error> {
    let mut origin = origin(options);
    let files = Files::read(&options.kernel, options.initrd.as_deref(), machine.crash_region()?)?;
    origin.read(&files);
    let Files { kernel: Content { input: kernel, .. }, initrd } = files;
    let defaults = kernel::uki::defaults(&kernel.bytes);
    let append = options.append.as_deref();
    let command_line = base(&machine.command_line, options.reuse_cmdline, append, defaults.command_line);
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

/// The words that were asked for. Says which parameters of a reused line were dropped.
pub fn base(running: &[u8], reuse: bool, given: Option<&str>, brought: Option<&[u8]>) -> Base {
    let base = Base::chosen(running, reuse, given, brought);
    if !base.dropped.is_empty() {
        say(format_args!("dropped from the reused command line: {}", base.dropped_text().join(" ")));
    }
    base
}

/// What an image of these options is made from; asked before the files are read.
pub fn origin(options: &Options) -> Origin {
    Origin::of(options, Path::new(OURSELVES))
}

/// Says what is allowed but probably not intended, and returns it for the record.
pub fn advise(image: &Image<'_>, request: &Request, machine: &Machine) -> Vec<RecordedAdvice> {
    said(&advice::advise(image, request, machine))
}

/// Says every piece of advice, and returns it for the record.
pub fn said(advice: &[Advice]) -> Vec<RecordedAdvice> {
    advice.iter().for_each(|advice| say(format_args!("{advice}")));
    advice.iter().map(RecordedAdvice::from).collect()
}

/// Our turn at arming and recording. A machine whose /run cannot be written is armed all the same, if two loads do not meet.
pub fn turn(root: &Path) -> Result<Option<record::Turn>, Error> {
    let waiting = || say(format_args!("waiting for another kdump-loader, {} s at most", record::PATIENCE.as_secs()));
    match record::wait_for_turn(root, record::PATIENCE, waiting) {
        Ok(turn) => Ok(Some(turn)),
        Err(error @ record::Error::Busy { .. }) => Err(Error::Turn(error)),
        Err(error) => {
            say(format_args!("{}", in_full(&error)));
            Ok(None)
        }
    }
}

/// Hides the record while the kernel changes images, so that a kill in between leaves none that is wrong.
pub fn set_aside(root: &Path) {
    told(record::set_aside(root));
}

/// After a refusal: asks the kernel what is armed, and keeps the record only if that is still the image it tells of.
pub fn aftermath(root: &Path) -> Aftermath {
    match KexecState::crash_loaded(root) {
        Ok(true) => {
            told(record::restore(root));
            Aftermath::StillArmed
        }
        Ok(false) => {
            forget(root);
            Aftermath::Disarmed
        }
        Err(_) => Aftermath::Unknown,
    }
}

/// Forgets the record of an image that is not armed any more.
pub fn forget(root: &Path) {
    told(record::forget(root));
}

fn told(result: Result<(), record::Error>) {
    if let Err(error) = result {
        say(format_args!("{}", in_full(&error)));
    }
}

/// Fresh randomness for the capture kernel. Early at boot the kernel may have none yet: the capture
/// kernel then gets none, and gathers its own.
pub fn fresh_seed() -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    match getrandom(&mut seed[..], GetRandomFlags::NONBLOCK) {
        Ok(len) if len == seed.len() => Some(seed),
        result => {
            let because = match result {
                Err(Errno::AGAIN) | Ok(_) => "the kernel's random number generator is not initialized yet".to_owned(),
                Err(error) => format!("getrandom failed: {error}"),
            };
            say(format_args!("note: {because}, so the capture kernel gets no seed for its own"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
