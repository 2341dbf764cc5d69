//! `[0]` From options to a request: every file is read, and the rest is converted.
//!
//! *On entry* options, from the command line or the config. *On exit* a request, and the origin of
//! its image: exactly the files that were read.

use std::num::NonZeroU64;
use std::path::Path;

use loader::cmdline::Base;
use loader::files::Files;
use loader::files::read::{Content, Opened, all};
use loader::image::Image;
use loader::kernel;
use loader::machine::{KexecState, Machine, Reservation};
use loader::request::{Confidential, InputFile, Request};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use vmcore_filter::{Vmcoreinfo, can_filter};

use super::Error;
use super::record::origin::{Origin, SECTION_LEN};
use super::record::{self, Known};
use crate::capture::{self, parameters};
use crate::findings::advice::{self, Advice};
use crate::findings::recorded::RecordedAdvice;
use crate::findings::{Finding, Level};
use crate::health;
use crate::messages::{note, warn};
use crate::options::embedded::embedded;
use crate::options::{BlackBoxChoice, Options};

/// The file that this program was started from, even if its name leads to another file now.
pub const OURSELVES: &str = "/proc/self/exe";

/// Largest accepted file: a purgatory, or any file of `inspect`.
pub const LARGEST_FILE: u64 = 2 << 30;

/// Rejects a kernel file of another format.
pub fn expect_format(file: &InputFile, expected: &'static str) -> Result<(), Error> {
    let found = kernel::format_of(&file.bytes);
    if found == Some(expected) {
        Ok(())
    } else {
        Err(Error::Format { path: file.path.clone(), expected, found })
    }
}

/// The named purgatory, or the embedded one.
pub fn read_purgatory(path: Option<&Path>) -> Result<InputFile, Error> {
    match path {
        Some(path) => Ok(Opened::new("purgatory", path)?.read(all, LARGEST_FILE)?.input),
        None => Ok(embedded()?),
    }
}

/// Reads every file that the options name, and makes the request. The origin describes exactly the
/// files that were read. `generation` is asked for the number of the black box, if there is one.
/// `root` has the target and the modules of `--capture`.
pub fn request_for(
    root: &Path,
    options: &Options,
    machine: &Machine,
    rng_seed: Option<[u8; 32]>,
    generation: impl FnOnce() -> Option<NonZeroU64>,
) -> Result<(Request, Origin), Error> {
    let mut origin = origin(root, options);
    let files = Files::read(&options.kernel, options.initrd.as_deref(), machine.crash_region()?)?;
    origin.read(&files);
    let Files { kernel: Content { input: kernel, .. }, initrd } = files;
    let defaults = kernel::uki::defaults(&kernel.bytes);
    let append = options.append.as_deref();
    let mut command_line = base_command_line(
        &machine.command_line,
        options.reuse_cmdline,
        append,
        defaults.command_line,
    );
    if options.capture.is_some() {
        let bounces = options.confidential == Confidential::Yes
            || parameters::bounces(&machine.cpu, &machine.crash_regions);
        parameters::complete(&mut command_line, &machine.command_line, bounces);
    }
    let made = capture_initrd(root, options, &kernel, &command_line, &mut origin)?;
    origin.skips_removed_memory =
        made.is_some() && skips_removed_memory(options, &machine.vmcoreinfo_text);
    let inside = || Some(InputFile { path: kernel.path.clone(), bytes: defaults.initrd?.to_vec() });
    let initrd = made.or(initrd.map(|initrd| initrd.input)).or_else(inside);
    let request = Request {
        kernel,
        initrd,
        command_line,
        noefi: options.noefi,
        on_corrupt: options.on_corrupt,
        reset_delay_ms: options.reset_delay,
        console: options.console,
        confidential: options.confidential,
        hotplug: !options.no_hotplug,
        engine: options.engine,
        leaf_size: options.leaf_size,
        purgatory: read_purgatory(options.purgatory.as_deref())?,
        rng_seed,
        window: None,
        signals: options.signal,
        black_box: match options.black_box {
            BlackBoxChoice::Auto => generation(),
            BlackBoxChoice::No => None,
        },
    };
    Ok((request, origin))
}

/// The requested command line. Says which parameters of a reused line were dropped.
pub fn base_command_line(
    running: &[u8],
    reuse: bool,
    given: Option<&str>,
    embedded_line: Option<&[u8]>,
) -> Base {
    let base = Base::chosen(running, reuse, given, embedded_line);
    if !base.dropped.is_empty() {
        note(format_args!(
            "dropped from the reused command line: {}",
            base.dropped_text().join(" ")
        ));
    }
    base
}

/// Makes the initrd of `--capture` for a kernel that gets this command line, if the options ask for
/// it. Says what it is.
pub fn capture_initrd(
    root: &Path,
    options: &Options,
    kernel: &InputFile,
    command_line: &Base,
    origin: &mut Origin,
) -> Result<Option<InputFile>, Error> {
    let made = capture::make(root, options, kernel, &command_line.line)?;
    let Some(made) = made else { return Ok(None) };
    origin.made(&made);
    let notes = made.notes.iter().chain(&made.module_notes).chain(&made.watchdog_notes);
    notes.for_each(|words| note(format_args!("{words}")));
    made.warning.iter().for_each(|words| warn(format_args!("{words}")));
    Ok(Some(made.initrd))
}

/// What an image with these options is made from, before the files are read.
pub fn origin(root: &Path, options: &Options) -> Origin {
    Origin::of(root, options, Path::new(OURSELVES))
}

/// Whether the /init of `--capture` leaves out memory that a kernel with this VMCOREINFO no longer
/// has.
fn skips_removed_memory(options: &Options, vmcoreinfo: &str) -> bool {
    let section = can_filter(&Vmcoreinfo::new(vmcoreinfo.as_bytes()));
    options.filters() && section.is_ok_and(|len| len == SECTION_LEN)
}

/// Warns of what is allowed but probably not intended, and returns it for the record.
pub fn advise(
    image: &Image<'_>,
    request: &Request,
    origin: &Origin,
    machine: &Machine,
) -> Vec<RecordedAdvice> {
    print_advice(&advice::advise(image, request, machine, origin.room))
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

/// Whether nothing has looked at these files yet: the armed image, if there is one, was made from
/// others. The initrd of `--capture` is made for its kernel.
pub fn are_new_files(root: &Path, origin: &Origin) -> bool {
    let armed = match record::read(root) {
        Ok(Known::Image(record)) => record.origin,
        _ => None,
    };
    origin.initrd_len.is_none() && !armed.is_some_and(|armed| armed.has_files_of(origin))
}

/// Refuses new files of which one is from another release, if an image is armed: an upgrade
/// replaces the kernel and its initrd one after the other.
pub fn expect_files_of_one_release(root: &Path, options: &Options) -> Result<(), Error> {
    let armed = KexecState::crash_loaded(root).map_err(Error::Armed)?;
    if !armed || options.capture.is_some() || !are_new_files(root, &origin(root, options)) {
        return Ok(());
    }
    let region = Reservation::read(root)?.crash_region()?;
    let files = Files::read(&options.kernel, options.initrd.as_deref(), region)?;
    let initrd = files.initrd.as_ref().map(|initrd| &initrd.input);
    match health::mismatch(&files.kernel.input, initrd) {
        Some(Finding { message: mismatch, .. }) => Err(Error::Mismatch { mismatch }),
        None => Ok(()),
    }
}

/// Warns if the files of an image do not belong together, or would save no dump. It unpacks the
/// initrd, which takes longer than to arm it. `root` is `None` for another machine.
pub fn warn_of_files(
    root: Option<&Path>,
    kernel: &InputFile,
    initrd: Option<&InputFile>,
    command_line: &Base,
) {
    for Finding { message, remedy, .. } in
        health::files_to_arm(root, kernel, initrd, &command_line.line)
    {
        match remedy {
            Some(remedy) => warn(format_args!("{message}; {remedy}")),
            None => warn(format_args!("{message}")),
        }
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
                Err(Errno::AGAIN) | Ok(_) => {
                    "the kernel's random number generator is not initialized yet".to_owned()
                }
                Err(error) => format!("getrandom failed: {error}"),
            };
            note(format_args!("the capture kernel gets no random seed: {because}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use loader::machine::example;

    use super::*;

    /// The VMCOREINFO of real kernels.
    #[test]
    fn only_the_filter_at_level_17_is_known_to_leave_out_removed_memory() {
        for kernel in ["elfcorehdr-6.12", "elfcorehdr-7"] {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
            let root = fixtures.join(kernel).join("snapshot");
            let machine = Machine::read(&root, Some(example::measured(1_000_000))).unwrap();
            let options = Options::new("/boot/vmlinuz".into());
            let skips = |options: &Options, vmcoreinfo: &str| {
                skips_removed_memory(options, vmcoreinfo).then_some(kernel)
            };
            assert_eq!(skips(&options, &machine.vmcoreinfo_text), Some(kernel));
            for others in [
                Options { dump_level: Some(1), ..options.clone() },
                Options { dump_level: Some(0), ..options.clone() },
                Options { makedumpfile: Some("/usr/bin/makedumpfile".into()), ..options.clone() },
                Options {
                    makedumpfile: Some("/usr/bin/makedumpfile".into()),
                    dump_level: Some(17),
                    ..options.clone()
                },
            ] {
                assert_eq!(skips(&others, &machine.vmcoreinfo_text), None, "{others:?}");
            }
            assert_eq!(skips(&options, ""), None);
            let larger = machine.vmcoreinfo_text.replace("BITS)=27", "BITS)=28");
            assert_eq!(skips(&options, &larger), None);
        }
    }

    #[test]
    fn seed_is_new_each_time() {
        // A machine that runs tests has an initialized random number generator.
        assert_ne!(fresh_seed().unwrap(), fresh_seed().unwrap());
    }

    #[test]
    fn new_files_of_two_releases_are_refused_while_an_image_is_armed() {
        let tree = example::tree();
        let plant = |path: &str, bytes: &[u8]| {
            example::plant(tree.path(), &BTreeMap::from([(path.to_owned(), bytes.to_vec())]));
        };
        let mut kernel = loader::example::bzimage(&[0; 4096]);
        kernel[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes()); // kernel_version
        kernel[0x300..0x307].copy_from_slice(b"6.12.9 ");
        plant("vmlinuz", &kernel);
        plant("sys/kernel/kexec_crash_loaded", b"1\n");
        let options = Options {
            initrd: Some(tree.path().join("initrd")),
            ..Options::new(tree.path().join("vmlinuz"))
        };
        let of_release = |release: &str| {
            let module = format!("usr/lib/modules/{release}/kernel/fs/ext4.ko");
            plant("initrd", &crate::initrd::example::archive(&[(&module, b"")]));
            expect_files_of_one_release(tree.path(), &options)
        };
        of_release("6.12.9").unwrap();
        let refused = of_release("6.11.2").unwrap_err().to_string();
        assert!(
            refused.contains("modules of 6.11.2") && refused.contains("still armed"),
            "{refused}"
        );
        plant("sys/kernel/kexec_crash_loaded", b"0\n");
        of_release("6.11.2").unwrap();
    }
}
