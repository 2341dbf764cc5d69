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
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use loader::image::Image;
use loader::machine::{KexecState, Machine};
use loader::options::Options;
use loader::record::origin::Origin;
use loader::request::{InputFile, Request};
use loader::{advice, cmdline, kernel, purgatory, record};
use serde::Serialize;

use crate::cli::ImageArgs;
pub use error::{Aftermath, Error};

/// The root of the live machine.
pub const LIVE: &str = "/";
/// The file that this program was started from, even if another has taken its name since.
pub const OURSELVES: &str = "/proc/self/exe";

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

/// Reads a file whole, once.
pub fn read_file(what: &'static str, path: &Path) -> Result<InputFile, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Input { what, path: path.to_owned(), source })?;
    Ok(InputFile { path: path.to_owned(), bytes })
}

/// Writes a file for a person.
pub fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::Output { path: path.to_owned(), source })
}

/// Refuses a kernel's file that is of another format.
pub fn expect_format(file: &InputFile, expected: &'static str) -> Result<(), Error> {
    let found = kernel::format_of(&file.bytes);
    if found == Some(expected) { Ok(()) } else { Err(Error::Format { path: file.path.clone(), expected, found }) }
}

/// The purgatory that was named, or the one in this program.
pub fn read_purgatory(path: Option<&Path>) -> Result<InputFile, Error> {
    match path {
        Some(path) => read_file("purgatory", path),
        None => Ok(purgatory::embedded()?),
    }
}

/// Reads every file that the flags name and says the rest in the loader's words.
pub fn request(arguments: &ImageArgs, machine: &Machine, rng_seed: [u8; 32]) -> Result<Request, Error> {
    request_for(&arguments.options(), machine, rng_seed)
}

/// The same for whoever has no flags.
pub fn request_for(options: &Options, machine: &Machine, rng_seed: [u8; 32]) -> Result<Request, Error> {
    let kernel = read_file("capture kernel", &options.kernel)?;
    let defaults = kernel::uki::defaults(&kernel.bytes);
    let append = options.append.as_deref();
    let command_line = cmdline::chosen(&machine.command_line, options.reuse_cmdline, append, defaults.command_line);
    let inside = || Some(InputFile { path: kernel.path.clone(), bytes: defaults.initrd?.to_vec() });
    let initrd = options.initrd.as_deref().map(|path| read_file("initrd", path)).transpose()?.or_else(inside);
    Ok(Request {
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
        rng_seed: Some(rng_seed),
        window: None,
    })
}

/// What an image of these options is made from; asked before the files are read.
pub fn origin(options: &Options) -> Origin {
    Origin::of(options, Path::new(OURSELVES))
}

/// Says what is allowed but hardly meant; the same sentences.
pub fn advise(image: &Image<'_>, request: &Request, machine: &Machine) -> Vec<String> {
    let sentences: Vec<String> = advice::advise(image, request, machine).iter().map(ToString::to_string).collect();
    sentences.iter().for_each(|sentence| say(format_args!("{sentence}")));
    sentences
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

/// Fresh randomness for the capture kernel.
pub fn fresh_seed() -> Result<[u8; 32], Error> {
    let path = Path::new("/dev/urandom");
    let mut seed = [0; 32];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut seed));
    read.map_err(|source| Error::Input { what: "random seed", path: path.to_owned(), source })?;
    Ok(seed)
}

#[cfg(test)]
mod tests;
