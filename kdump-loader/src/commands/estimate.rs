//! `kdump-loader estimate`: how much crash memory this machine needs, for each way to save a dump.
//!
//! The figures are the image's size, and measurements of what kernels of its series need in
//! addition ([`loader::place::room`]).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use loader::cmdline::{self, Base};
use loader::files;
use loader::files::read::Opened;
use loader::image::mib;
use loader::kernel;
use loader::machine::KexecState;
use loader::place::room::{self, Room};
use loader::request::InputFile;
use serde::Serialize;

use super::{Error, LIVE, print, print_json};
use crate::arm::request_for::LARGEST_FILE;
use crate::capture::{self, Place};
use crate::cli::Estimate;
use crate::health::files::Files;
use crate::health::{estimate, possible_cpus};
use crate::initrd::Initrd;
use crate::messages::{in_full, note};
use crate::options::Options;
use crate::options::config::{self, Config};

/// The directory that is tried if none is named.
const DEFAULT_TARGET: &str = "/var/crash";

/// What `estimate` prints.
#[derive(Debug, Serialize)]
struct Report {
    kernel: String,
    release: Option<String>,
    /// One for each way.
    ways: Vec<Way>,
    /// What is reserved now, in bytes.
    reserved: u64,
    /// What the last dump of --capture has noted.
    last: Option<Last>,
}

/// A way to save a dump.
#[derive(Debug, Serialize)]
struct Way {
    way: String,
    /// Bytes that the image takes.
    image: u64,
    /// Bytes that the capture kernel needs in addition.
    run: u64,
    /// For `crashkernel=`, in MiB.
    crashkernel_mib: u64,
}

/// Memory of the capture kernel during the last dump.
#[derive(Debug, Serialize)]
struct Last {
    /// Seconds since 1970.
    began: u64,
    /// Bytes that were never used.
    left: u64,
}

impl Way {
    /// A way with an initrd of `len` bytes, which needs `run` bytes besides the image.
    fn new(way: String, kernel: u64, len: u64, run: u64) -> Self {
        let image = kernel + len + room::OTHER_SEGMENTS;
        let crashkernel_mib = estimate(image + run);
        Self { way, image, run, crashkernel_mib }
    }
}

/// Estimates for every way that is known.
pub fn run(arguments: &Estimate) -> Result<(), Error> {
    let root = Path::new(LIVE);
    let files = Files::new(root);
    let config = match Config::read(root, arguments.config.as_deref()) {
        Ok(config) => Some(config),
        Err(config::Error::Read { .. }) if arguments.config.is_none() => None,
        Err(error) => return Err(error.into()),
    };
    let options = config.map(|config| config.options);
    let kernel = read_kernel(arguments, options.as_ref())?;
    let parsed = kernel::parse(&kernel)?;
    let release = kernel::release(&kernel);
    let init_size = parsed.init_size;

    let target = arguments.capture.clone().or(options.as_ref().and_then(|it| it.capture.clone()));
    let named = target.is_some();
    let target = target.unwrap_or_else(|| Place::Directory(DEFAULT_TARGET.into()));
    let configured_program = || options.as_ref().and_then(|it| it.makedumpfile.clone());
    let makedumpfile = arguments.makedumpfile.clone().or_else(configured_program);
    let program = makedumpfile
        .as_ref()
        .map_or(String::new(), |program| format!(" --makedumpfile {}", program.display()));
    let capture = Some(target.clone());
    let ours = Options { capture, makedumpfile, ..Options::new(kernel.path.clone()) };
    let mut ways = Vec::new();
    match capture::make(root, &ours, &kernel, &[]) {
        Ok(made) => ways.extend(made.map(|made| {
            let len = made.initrd.bytes.len() as u64;
            Way::new(format!("--capture {target}{program}"), init_size, len, made.room)
        })),
        Err(error) if named || arguments.makedumpfile.is_some() => {
            return Err(crate::arm::Error::from(error).into());
        }
        Err(error) => note(format_args!("no estimate for --capture: {}", in_full(&error))),
    }
    if let Some(options) = &options
        && let Some(path) = &options.initrd
    {
        match configured(files, options, path, init_size, release.as_deref()) {
            Ok(way) => ways.push(way),
            // As the package's config names it where kdump-tools is not installed.
            Err(error) if !ways.is_empty() => {
                note(format_args!("no estimate for the initrd of the config: {}", in_full(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    let last = capture::last(files, &target)
        .map(|record| Last { began: record.began, left: record.memory.lowest_available_kib << 10 });
    let reserved = KexecState::read(root).map_or(0, |state| state.crash_size);
    let kernel = kernel.path.display().to_string();
    let report = Report { kernel, release, ways, reserved, last };
    if arguments.json { print_json(&report) } else { print(&report.to_string()) }
}

/// The kernel that is named, the config's, or the running kernel's.
fn read_kernel(arguments: &Estimate, options: Option<&Options>) -> Result<InputFile, Error> {
    let running = || {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        PathBuf::from(format!("/boot/vmlinuz-{}", release.trim_end()))
    };
    let path = arguments
        .kernel
        .clone()
        .or_else(|| options.map(|options| options.kernel.clone()))
        .unwrap_or_else(running);
    Ok(Opened::new("capture kernel", &path)?.read(files::wanted, LARGEST_FILE)?.input)
}

/// The initrd of the config.
fn configured(
    files: Files<'_>,
    options: &Options,
    path: &Path,
    init_size: u64,
    release: Option<&str>,
) -> Result<Way, Error> {
    let opened = Opened::new("initrd", path)?;
    let len = opened.len();
    let head = opened.head(1 << 20)?;
    let unpacked = fs::File::open(path).ok().and_then(|file| Initrd::read(file, |_| false).ok());
    let unpacked = unpacked.map_or(room::about_unpacked(&head), |initrd| initrd.unpacked);
    let running = files.text("proc/cmdline").unwrap_or_default();
    let append = options.append.as_deref();
    let base = Base::chosen(running.trim_end().as_bytes(), options.reuse_cmdline, append, None);
    let cpus = cmdline::cpu_limit(&base.line).unwrap_or(u32::MAX).min(possible_cpus(files));
    let room = Room::needed(release, unpacked, cpus);
    Ok(Way::new(format!("initrd {}", path.display()), init_size, len, room.safe))
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let release = self.release.as_deref().unwrap_or("of an unknown release");
        writeln!(out, "capture kernel {} (Linux {release})", self.kernel)?;
        for Way { way, image, run, crashkernel_mib } in &self.ways {
            writeln!(
                out,
                "{way}: crashkernel={crashkernel_mib}M ({} MiB for the image, {} MiB to run)",
                mib(*image),
                mib(*run)
            )?;
        }
        match self.reserved >> 20 {
            0 => writeln!(out, "no memory is reserved now")?,
            reserved => writeln!(out, "reserved now: {reserved} MiB")?,
        }
        if let Some(last) = &self.last {
            let when = capture_init::utc::for_people(last.began);
            writeln!(
                out,
                "the last dump of --capture ({when}) left {} MiB of its memory unused",
                mib(last.left)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `init_size` of Debian's kernels for cloud machines and of that for every machine, and the
    /// length of an initrd with the module virtio_blk.
    const KERNELS: [(&str, u64); 3] =
        [("6.12.118", 58_580_992), ("6.12.118", 58_646_528), ("7.3.4", 63_148_032)];
    const INITRD: u64 = 2_263_000;
    /// Debian's makedumpfile 1.7.8, and its libraries.
    const MAKEDUMPFILE: u64 = 5_043_168;

    #[test]
    fn sizes_that_were_enough_in_tests_are_what_is_estimated() {
        let of = |(release, kernel): (&str, u64)| {
            let safe = Room::safe_of_capture(Some(release), 0, None);
            Way::new("--capture".into(), kernel, INITRD, safe).crashkernel_mib
        };
        assert_eq!(KERNELS.map(of), [80, 80, 96]);
        let (release, kernel) = KERNELS[0];
        let safe = Room::safe_of_capture(Some(release), 0, Some(MAKEDUMPFILE));
        let way = Way::new("--makedumpfile".into(), kernel, INITRD + MAKEDUMPFILE, safe);
        assert_eq!(way.crashkernel_mib, 88);
    }

    #[test]
    fn report_has_a_line_for_each_way_and_says_what_is_reserved() {
        let way = Way::new("initrd /boot/i".into(), 50 << 20, 10 << 20, 60 << 20);
        let last = Some(Last { began: 1_796_000_000, left: 7 << 20 });
        let (kernel, release) = ("/boot/k".into(), Some("6.12".into()));
        let report = Report { kernel, release, ways: vec![way], reserved: 192 << 20, last };
        assert_eq!(
            report.to_string(),
            "capture kernel /boot/k (Linux 6.12)\n\
             initrd /boot/i: crashkernel=128M (62.0 MiB for the image, 60.0 MiB to run)\n\
             reserved now: 192 MiB\n\
             the last dump of --capture (2026-11-30 00:53:20 UTC) left 7.0 MiB of its memory \
             unused\n"
        );
    }
}
