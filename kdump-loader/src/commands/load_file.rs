//! `kdump-loader load --file`, and `kexec -s`: the kernel makes the image, with its own purgatory. The way where it is locked down.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use crate::arm::record::{Record, origin::Origin};
use crate::findings::advice;
use crate::options::Options;
use loader::admit::preflight;
use loader::cmdline;
use loader::describe::listing::Listing;
use loader::files::Files;
use loader::files::read::Content;
use loader::image::SpanSummary;
use loader::kernel::uki;
use loader::machine::{KexecState, Present, Reservation};
use loader::request::InputFile;
use loader::submit::file_load;
use loader::submit::{self, file, keys};
use serde::Serialize;

use super::load::follows;
use super::{Aftermath, Error, LIVE, aftermath, base, forget, in_full, origin, print_json, said, say, set_aside, turn};
use crate::cli::Load;

/// What to arm.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The capture kernel.
    pub kernel: &'a Path,
    /// Its initial RAM disk.
    pub initrd: Option<&'a Path>,
    /// Its command line; with `reuse`, what is added to the running kernel's.
    pub append: Option<&'a str>,
    /// Whether to begin with the running kernel's.
    pub reuse: bool,
    /// What the kernel's file must be, if that was asked for.
    pub format: Option<&'static str>,
}

impl<'a> Wanted<'a> {
    /// What of these options the kernel can be told.
    pub fn of(options: &'a Options) -> Self {
        Self {
            kernel: &options.kernel,
            initrd: options.initrd.as_deref(),
            append: options.append.as_deref(),
            reuse: options.reuse_cmdline,
            format: None,
        }
    }
}

/// What was armed, and what `load --file --json` prints.
#[derive(Serialize)]
pub(super) struct Output {
    /// Always `kexec_file_load`.
    pub call: &'static str,
    /// Whether the kernel keeps the elfcorehdr current.
    pub hotplug: bool,
    /// The capture kernel's file.
    pub kernel: String,
    /// The initial RAM disk's.
    pub initrd: Option<String>,
    /// What the kernel was given; it puts `elfcorehdr=` before it.
    pub command_line: String,
    /// The parameters that were dropped from the reused command line.
    pub dropped: Vec<String>,
    /// Where the image is.
    pub crash_region: SpanSummary,
}

/// Checks, arms, records, in this order.
pub fn run(arguments: &Load) -> Result<(), Error> {
    let options = arguments.image.options();
    let output = arm(Path::new(LIVE), Wanted::of(&options), origin(&options))?;
    if !arguments.json {
        return Ok(());
    }
    print_json(&output).map_err(|source| Error::ArmedUntold { identity: output.kernel.clone(), source: Box::new(source) })
}

/// Arms what was asked for.
pub(super) fn arm(root: &Path, wanted: Wanted<'_>, mut origin: Origin) -> Result<Output, Error> {
    preflight::privileged(root)?;
    let machine = Reservation::read(root)?;
    preflight::file_permitted(root, &machine.kexec)?;
    let crash_region = machine.crash_region()?;
    let read = Files::read(wanted.kernel, wanted.initrd, crash_region)?;
    origin.read(&read);
    let Files { kernel, initrd } = read;
    let defaults = uki::defaults(&kernel.input.bytes);
    let command_line = base(&machine.command_line, wanted.reuse, wanted.append, defaults.command_line);
    if let Some(format) = wanted.format {
        super::expect_format(&kernel.input, format)?;
    }
    let initrd = match (initrd, defaults.initrd) {
        (Some(initrd), _) => Some((descriptor("initrd", &initrd, &initrd.input.bytes)?, initrd.input)),
        (None, Some(inside)) => {
            let input = InputFile { path: wanted.kernel.to_owned(), bytes: inside.to_vec() };
            Some((in_memory("initrd", inside)?, input))
        }
        (None, None) => None,
    };
    let initrd_content = initrd.as_ref().map(|(_, content)| content);
    let (parsed, line) = file_load::check(&kernel.input, initrd_content, &command_line.line, &machine)?;
    let advice = said(&advice::of_line(&command_line, machine.possible_cpus, &machine.crash_regions));
    let kernel_fd = descriptor("capture kernel", &kernel, parsed.file)?;

    let initrd_fd = initrd.as_ref().map(|(file, _)| file.as_fd());
    let files = file::Files { kernel: kernel_fd.as_fd(), initrd: initrd_fd, command_line: &line };

    let _turn = turn(root)?;
    keys::check(root)?;
    rehearse(root, files)?;
    // What the kernel lists is not older than this; a difference means one load too many, and never one too few.
    let listing = Present::read(root).ok().map(|present| Listing::of_present(&present));
    set_aside(root);
    file::load(files).map_err(|refusal| Error::file_refused(root, refusal, aftermath(root)))?;
    forget(root);

    let hotplug = follows(root, true, true);
    let told = cmdline::text(line.as_bytes());
    let written = Record::by_kernel(root, told.clone(), wanted.kernel, wanted.initrd, hotplug);
    let made = |record: Record| record.made(origin, listing, advice).write(root);
    if let Err(error) = written.and_then(made) {
        say(format_args!("the image is armed, but `status` will not know it: {}", in_full(&error)));
        forget(root);
    }
    let kernel = wanted.kernel.display().to_string();
    say(format_args!(
        "armed {kernel} with kexec_file_load: the kernel's own purgatory verifies it, and says nothing if it is corrupt"
    ));
    let initrd = wanted.initrd.map(|path| path.display().to_string());
    let dropped = command_line.dropped_text();
    Ok(Output {
        call: "kexec_file_load",
        hotplug,
        kernel,
        initrd,
        command_line: told,
        dropped,
        crash_region: crash_region.into(),
    })
}

/// Whether kexec_load(2) is forbidden or not there, which this call need not be. A closed
/// /proc/kcore means lockdown, too, where securityfs is not mounted and cannot say so.
pub(super) fn might_do_instead(error: &Error) -> bool {
    if let Error::Machine(error) = error {
        return error.is_denied();
    }
    matches!(
        error,
        Error::Preflight(preflight::Error::LockedDown { .. })
            | Error::Refused {
                refusal: submit::Error::NotPermitted | submit::Error::Forbidden | submit::Error::NotImplemented,
                ..
            }
    )
}

/// Where there is something to lose: whether the kernel trusts the signature is found out before the armed image is freed.
fn rehearse(root: &Path, files: file::Files<'_>) -> Result<(), Error> {
    if !KexecState::crash_loaded(root).is_ok_and(|loaded| loaded) || !preflight::may_rehearse(root) {
        return Ok(());
    }
    match file::rehearse(files) {
        // Memory for a second image outside of the crash region is nothing that the image needs.
        Ok(()) | Err(file::Error::NoMemory { .. }) => Ok(()),
        Err(refusal) => Err(Error::file_refused(root, refusal, Aftermath::StillArmed)),
    }
}

/// A descriptor of the part of a file that is wanted: the file itself if that is all of it, or else
/// a file in memory. The kernel reads regular files only. The kernel gets the bytes that were
/// checked, whatever the path leads to by then.
fn descriptor(what: &'static str, read: &Content, part: &[u8]) -> Result<OwnedFd, Error> {
    let regular = read.file.metadata().is_ok_and(|metadata| metadata.is_file());
    if regular && part.len() as u64 == read.identity.len {
        return Ok(read.file.try_clone().map_err(|source| Error::InMemory { what, source })?.into());
    }
    in_memory(what, part)
}

fn in_memory(what: &'static str, bytes: &[u8]) -> Result<OwnedFd, Error> {
    file::in_memory(bytes).map_err(|source| Error::InMemory { what, source })
}
