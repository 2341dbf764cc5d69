//! `kdump-loader load --file` and `kexec -s`: the kernel builds the image, with its built-in
//! purgatory. This is the only way under lockdown.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use loader::admit::preflight;
use loader::cmdline::{self, Base};
use loader::describe::listing::Listing;
use loader::files::Files;
use loader::files::read::Content;
use loader::image::SpanSummary;
use loader::kernel::{self, uki};
use loader::machine::{KexecState, Present, Reservation};
use loader::request::InputFile;
use loader::submit::file_load;
use loader::submit::{self, file, keys};
use serde::Serialize;

use super::load::kernel_updates_image;
use super::record::origin::Origin;
use super::record::{self, Call, Known, Record};
use super::request_for::{
    are_new_files, base_command_line, capture_initrd, expect_format, origin, print_advice,
    warn_of_files,
};
use super::{Aftermath, Error, aftermath, begin, forget, hold_arming_lock, set_aside};
use crate::black_box::armed::ArmedBox;
use crate::capture::parameters;
use crate::findings::advice::{self, Advice, Builder};
use crate::messages::{in_full, say, warn};
use crate::options::Options;

/// What was armed, and what `load --file --json` prints.
#[derive(Serialize)]
pub struct Output {
    /// Always `kexec_file_load`.
    pub call: &'static str,
    /// Whether the kernel keeps the elfcorehdr up to date.
    pub hotplug: bool,
    /// The capture kernel's file.
    pub kernel: String,
    /// The initrd's file.
    pub initrd: Option<String>,
    /// What the kernel was passed; it puts `elfcorehdr=` before it.
    pub command_line: String,
    /// The parameters that were dropped from the reused command line.
    pub dropped: Vec<String>,
    /// Where the image is.
    pub crash_region: SpanSummary,
}

/// Arms the files that the options name. `format` is the required format of the kernel's file, if
/// any. Options of this project's purgatory do not apply.
pub fn arm(root: &Path, options: &Options, format: Option<&'static str>) -> Result<Output, Error> {
    let mut origin = origin(root, options);
    let Options { kernel: kernel_path, initrd: initrd_path, append, reuse_cmdline, .. } = options;
    begin(root)?;
    let machine = Reservation::read(root)?;
    preflight::file_permitted(root, &machine.kexec)?;
    let crash_region = machine.crash_region()?;
    let read = Files::read(kernel_path, initrd_path.as_deref(), crash_region)?;
    origin.read(&read);
    let Files { kernel, initrd } = read;
    let defaults = uki::defaults(&kernel.input.bytes);
    let mut command_line = base_command_line(
        &machine.command_line,
        *reuse_cmdline,
        append.as_deref(),
        defaults.command_line,
    );
    if options.capture.is_some() {
        let bounces = parameters::bounces(&machine.cpu, &machine.crash_regions);
        parameters::complete(&mut command_line, &machine.command_line, bounces);
    }
    let made = capture_initrd(root, options, &kernel.input, &command_line, &mut origin)?;
    if let Some(format) = format {
        expect_format(&kernel.input, format)?;
    }
    let initrd = match (made, initrd, defaults.initrd) {
        (Some(made), ..) => Some((in_memory("initrd", &made.bytes)?, made)),
        (None, Some(initrd), _) => {
            Some((descriptor("initrd", &initrd, &initrd.input.bytes)?, initrd.input))
        }
        (None, None, Some(inside)) => {
            let input = InputFile { path: kernel_path.clone(), bytes: inside.to_vec() };
            Some((in_memory("initrd", inside)?, input))
        }
        (None, None, None) => None,
    };
    let initrd_content = initrd.as_ref().map(|(_, content)| content);
    let (parsed, line) =
        file_load::check(&kernel.input, initrd_content, &command_line.line, &machine)?;
    let are_new = are_new_files(root, &origin);
    let advice = print_advice(&advise(&kernel.input, &command_line, &machine));
    let kernel_fd = descriptor("capture kernel", &kernel, parsed.file)?;

    let initrd_fd = initrd.as_ref().map(|(file, _)| file.as_fd());
    let files = file::Files { kernel: kernel_fd.as_fd(), initrd: initrd_fd, command_line: &line };

    let _lock = hold_arming_lock(root)?;
    keys::check(root)?;
    rehearse(root, files, &origin)?;
    // The kernel reads its memory map after this. A change in between causes one redundant reload,
    // and none is missed.
    let listing = Present::read(root).ok().map(|present| Listing::of_present(&present));
    set_aside(root);
    file::load(files).map_err(|refusal| Error::file_refused(root, refusal, aftermath(root)))?;
    forget(root);
    // The kernel's purgatory leaves no record.
    if let Err(error) = ArmedBox::note_unload(root) {
        warn(format_args!("{}", in_full(&error)));
    }

    let hotplug = kernel_updates_image(root, true, true);
    let passed = cmdline::text(line.as_bytes());
    let written =
        Record::by_kernel(root, passed.clone(), kernel_path, initrd_path.as_deref(), hotplug);
    let made = |record: Record| record.made(origin, listing, advice).write(root);
    if let Err(error) = written.and_then(made) {
        warn(format_args!(
            "the image is armed, but `status` cannot identify it: {}",
            in_full(&error)
        ));
        forget(root);
    }
    let kernel_name = kernel_path.display().to_string();
    say(format_args!(
        "armed {kernel_name} with kexec_file_load: the kernel's built-in purgatory verifies it, \
         and hangs without a message if it is corrupt"
    ));
    // Now that an image is armed, there is time.
    if are_new {
        warn_of_files(Some(root), &kernel.input, initrd_content, &command_line);
    }
    let initrd = initrd_path.as_ref().map(|path| path.display().to_string());
    let dropped = command_line.dropped_text();
    Ok(Output {
        call: "kexec_file_load",
        hotplug,
        kernel: kernel_name,
        initrd,
        command_line: passed,
        dropped,
        crash_region: crash_region.into(),
    })
}

/// The warnings about an image that the kernel makes from these.
fn advise(kernel: &InputFile, command_line: &Base, machine: &Reservation) -> Vec<Advice> {
    let release = kernel::release(kernel);
    let mut advice = advice::of_line(
        command_line,
        release.as_deref(),
        machine.possible_cpus,
        &machine.crash_regions,
    );
    advice.extend(advice::of_cma(
        &machine.command_line,
        machine.crash_cma.as_deref(),
        &machine.crash_regions,
        Builder::Kernel,
    ));
    advice
}

/// Whether kexec_load(2) is forbidden or missing, so that kexec_file_load(2) may work instead.
/// A closed /proc/kcore also means lockdown where securityfs is not mounted.
pub fn file_load_may_work(error: &Error) -> bool {
    if let Error::Machine(error) = error {
        return error.is_denied();
    }
    matches!(
        error,
        Error::Preflight(preflight::Error::LockedDown { .. })
            | Error::Refused {
                refusal: submit::Error::NotPermitted
                    | submit::Error::Forbidden
                    | submit::Error::NotImplemented,
                ..
            }
    )
}

/// If an image is armed, finds out whether the kernel trusts the signature before that image is
/// freed. If it cannot find out, it goes on only with a kernel that was accepted before.
fn rehearse(root: &Path, files: file::Files<'_>, origin: &Origin) -> Result<(), Error> {
    if !KexecState::crash_loaded(root).is_ok_and(|loaded| loaded) {
        return Ok(());
    }
    if !preflight::may_rehearse(root) {
        return if were_accepted(root, origin) { Ok(()) } else { Err(Error::NotRehearsed) };
    }
    match file::rehearse(files) {
        // The rehearsal loads into ordinary memory, which the real load does not need.
        Ok(()) | Err(file::Error::NoMemory { .. }) => Ok(()),
        Err(refusal) => Err(Error::file_refused(root, refusal, Aftermath::StillArmed)),
    }
}

/// Whether the kernel has made the armed image from this kernel file, whose signature it trusts.
fn were_accepted(root: &Path, origin: &Origin) -> bool {
    let Ok(Known::Image(armed)) = record::read(root) else { return false };
    armed.call == Call::KexecFileLoad
        && armed.origin.is_some_and(|armed| armed.files.get("kernel") == origin.files.get("kernel"))
}

/// A descriptor for a part of a file: the file itself if the part is all of it, otherwise an
/// in-memory file. The kernel reads regular files only. It gets the bytes that were checked, even
/// if the path was replaced.
fn descriptor(what: &'static str, read: &Content, part: &[u8]) -> Result<OwnedFd, Error> {
    let regular = read.file.metadata().is_ok_and(|metadata| metadata.is_file());
    if regular && part.len() as u64 == read.identity.len {
        return Ok(read
            .file
            .try_clone()
            .map_err(|source| Error::InMemory { what, source })?
            .into());
    }
    in_memory(what, part)
}

fn in_memory(what: &'static str, bytes: &[u8]) -> Result<OwnedFd, Error> {
    file::in_memory(bytes).map_err(|source| Error::InMemory { what, source })
}

#[cfg(test)]
mod tests {
    use loader::machine::example;
    use loader::request;

    use super::*;

    #[test]
    fn image_that_the_kernel_makes_gets_the_warning_about_shared_memory_too() {
        let line = "nr_cpus=1 reset_devices acpi_no_memhotplug";
        let root = example::tree();
        let advised = || {
            let machine = Reservation::read(root.path()).unwrap();
            advise(&request::example().kernel, &line.into(), &machine)
        };
        assert_eq!(advised(), [Advice::Cma { len: 16 << 20 }]);
        let asked = "crashkernel=192M crashkernel=16M,cma\n";
        std::fs::write(root.path().join("proc/cmdline"), asked).unwrap();
        std::fs::remove_file(root.path().join("sys/kernel/kexec/crash_cma_ranges")).unwrap();
        assert_eq!(advised(), [], "the kernel knows what it does not show");
    }
}
