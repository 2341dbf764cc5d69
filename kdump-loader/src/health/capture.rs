//! The capture kernel that is armed or that the config names: its command line, its files and their
//! contents.

use std::path::{Path, PathBuf};

use loader::cmdline::{self, Base};
use loader::image::Summary;
use loader::kernel::{self, uki};
use loader::machine;
use loader::phys::PhysRange;
use loader::request::InputFile;

use super::Target;
use super::files::Files;
use crate::arm::record::origin::Origin;
use crate::arm::record::{Call, Record};
use crate::capture::{Place, id_words, makedumpfile};
use crate::findings::{Code, Finding};
use crate::initrd::Initrd;
use crate::messages::in_full;
use crate::options::config::Config;
use crate::options::words::saving::default_level;

/// Limit of a kernel's file. In a larger one, such as a vmlinux with debug information, the release
/// stays unknown.
const MOST_KERNEL: u64 = 256 << 20;
/// Files whose content is needed: the services' settings, makedumpfile for its version, this
/// project's note, and dracut's list of modules.
fn is_kept(name: &str) -> bool {
    super::dump_target::is_copy(name)
        || name == super::saver::NOTE
        || super::saver::DRACUT_MODULES.contains(&name)
        || Path::new(name).file_name().is_some_and(|name| name == "makedumpfile")
}

/// The initrd of `--capture`, which is not a file.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Where it saves the dump.
    pub target: Target,
    /// The same, as the user named it.
    pub place: Place,
    /// The same, as the armed /init will look for it; `None` before it is armed.
    pub armed: Option<capture_init::Target>,
    /// What it leaves out, with makedumpfile's numbers.
    pub level: u8,
    /// The makedumpfile in it, as a file of the running machine.
    pub makedumpfile: Option<PathBuf>,
    /// Its bytes; 0 before it is made.
    pub len: u64,
    /// Bytes of memory that the capture kernel needs besides the image, if that is known.
    pub room: Option<u64>,
}

/// A capture kernel.
#[derive(Debug)]
pub(super) struct Capture {
    /// The kernel's file.
    pub kernel: PathBuf,
    /// Its initrd's file, if one is named.
    pub initrd_path: Option<PathBuf>,
    /// Its command line.
    pub command_line: String,
    /// Whether the kernel's loader builds the image (kexec_file_load).
    pub by_file: bool,
    /// The kernel's release, if its file has it.
    pub release: Option<String>,
    /// Bytes that the kernel needs to unpack itself.
    pub init_size: Option<u64>,
    /// Bytes of the initrd's file.
    pub initrd_len: u64,
    /// The contents of the initrd, or why they are unknown; `None` without an initrd.
    pub initrd: Option<Result<Initrd, String>>,
    /// The initrd that the loader makes itself.
    pub made: Option<Made>,
}

impl Capture {
    /// The armed capture kernel, from its record.
    pub fn armed(files: Files<'_>, record: &Record) -> Self {
        let command_line =
            record.image.as_ref().map(|image| &image.command_line).or(record.command_line.as_ref());
        let origin = record.origin.as_ref();
        // Paths in the origin are absolute.
        let path = |key: &str, text: &String| {
            PathBuf::from(
                origin.and_then(|origin| origin.files.get(key)).map_or(text, |file| &file.path),
            )
        };
        let initrd = record.initrd.as_ref().map(|initrd| path("initrd", initrd));
        let by_file = record.call == Call::KexecFileLoad;
        let mut capture = Self::read(
            files,
            path("kernel", &record.kernel),
            initrd,
            command_line.cloned().unwrap_or_default(),
            by_file,
        );
        // A package manager may have removed or replaced a file. Its armed copy is in crash memory.
        let identity = |key: &str| origin.and_then(|origin| origin.files.get(key));
        let image = record.image.as_ref();
        let is_another = |key: &str| identity(key).is_some_and(|armed| !armed.is_current());
        if is_another("kernel") {
            capture.release = origin.and_then(|origin| origin.release.clone());
        }
        if let Some(path) = capture.initrd_path.as_ref()
            && (is_another("initrd") || !files.exists(path))
        {
            let replaced =
                || files.exists(path).then(|| Err("it was replaced after it was armed".to_owned()));
            let armed = image.and_then(|image| in_memory(files.root(), image));
            capture.initrd = armed.or_else(replaced).or(capture.initrd);
            capture.initrd_len = identity("initrd").map_or(0, |armed| armed.len);
        }
        if capture.initrd_path.is_none() && is_another("kernel") {
            // A unified kernel image has its initrd in it.
            let replaced = || Err("its file was replaced after it was armed".to_owned());
            let armed = image.and_then(|image| in_memory(files.root(), image));
            capture.initrd = armed.or_else(|| capture.initrd.map(|_| replaced()));
        }
        if let Some(made) = origin.and_then(Made::armed) {
            // The embedded one of a unified kernel image is not used.
            (capture.initrd, capture.initrd_len) = (None, made.len);
            capture.made = Some(made);
        }
        capture
    }

    /// The capture kernel that the config would arm.
    pub fn wished(files: Files<'_>, config: &Config) -> Self {
        let options = &config.options;
        // A disk image has no running kernel. Its command line will name the root file system.
        let running = files.text("proc/cmdline").unwrap_or("root=unknown".to_owned());
        let base = Base::chosen(
            running.trim_end().as_bytes(),
            options.reuse_cmdline,
            options.append.as_deref(),
            None,
        );
        let command_line = cmdline::text(&base.line);
        let by_file = config.file == crate::options::config::FilePolicy::Always;
        let (kernel, initrd) = (options.kernel.clone(), options.initrd.clone());
        let capture = Self::read(files, kernel, initrd, command_line, by_file);
        match options.capture.clone() {
            Some(place) => {
                let made = Made {
                    target: target(&place, None),
                    place,
                    armed: None,
                    level: options.level(),
                    makedumpfile: options.makedumpfile.clone(),
                    len: 0,
                    room: None,
                };
                Self { initrd: None, made: Some(made), ..capture }
            }
            None => capture,
        }
    }

    /// The capture kernel that is about to be armed. What `status` needs besides stays empty.
    pub fn requested(kernel: &InputFile, initrd: Option<&InputFile>, command_line: &[u8]) -> Self {
        let read = |initrd: &InputFile| {
            Initrd::read(&initrd.bytes[..], is_kept).map_err(|error| in_full(&error))
        };
        Self {
            release: kernel::release(kernel),
            kernel: kernel.path.clone(),
            initrd_path: initrd.map(|initrd| initrd.path.clone()),
            command_line: cmdline::text(command_line),
            by_file: false,
            init_size: None,
            initrd_len: 0,
            initrd: initrd.map(read),
            made: None,
        }
    }

    fn read(
        files: Files<'_>,
        kernel: PathBuf,
        initrd_path: Option<PathBuf>,
        command_line: String,
        by_file: bool,
    ) -> Self {
        let file = InputFile {
            bytes: files.read(&kernel, MOST_KERNEL).unwrap_or_default(),
            path: kernel.clone(),
        };
        let in_kernel = || {
            uki::defaults(&file.bytes)
                .initrd
                .map(|initrd| Initrd::read(initrd, is_kept).map_err(|error| in_full(&error)))
        };
        let initrd = match &initrd_path {
            Some(path) => Some(
                files
                    .open(path)
                    .map_err(|error| error.to_string())
                    .and_then(|file| Initrd::read(file, is_kept).map_err(|error| in_full(&error))),
            ),
            None => in_kernel(),
        };
        let init_size = kernel::parse(&file).ok().map(|kernel| kernel.init_size);
        let initrd_len = initrd_path
            .as_ref()
            .and_then(|path| files.open(path).ok()?.metadata().ok())
            .map_or(0, |metadata| metadata.len());
        Self {
            release: kernel::release(&file),
            kernel,
            initrd_path,
            command_line,
            by_file,
            init_size,
            initrd_len,
            initrd,
            made: None,
        }
    }

    /// The contents of the initrd, if they are known.
    pub fn contents(&self) -> Option<&Initrd> {
        self.initrd.as_ref()?.as_ref().ok()
    }

    /// The value of a parameter of its command line.
    pub fn parameter(&self, name: &str) -> Option<String> {
        cmdline::value(&self.command_line, name)
    }

    /// Whether it boots a root file system after the initrd. `root=kdump` stands for none
    /// (dracut/kdump-root.sh of openSUSE's kdump).
    pub fn boots_root(&self) -> bool {
        self.parameter("root").is_some_and(|root| root != "kdump")
    }

    /// Checks that the files belong together.
    pub fn look(&self, findings: &mut Vec<Finding>) {
        let kernel = self.kernel.display();
        match (&self.initrd, &self.initrd_path) {
            (Some(Err(error)), path) => {
                let path = path.as_ref().unwrap_or(&self.kernel).display();
                let message = format!(
                    "the initrd {path} cannot be read, so the program that saves the dump is \
                     unknown: {error}"
                );
                findings.push(Finding::new(Code::InitrdUnreadable, message));
            }
            (None, _) if self.made.is_none() && !self.boots_root() => {
                let message = format!(
                    "{kernel} has neither an initrd nor root=: it has no user space to save a dump"
                );
                let remedy =
                    "set an initrd that saves the dump (--initrd, or initrd in the config)";
                findings.push(Finding::new(Code::NoUserSpace, message).remedy(remedy));
            }
            _ => {}
        }
        let (Some(initrd), Some(release)) = (self.contents(), &self.release) else { return };
        let releases = initrd.releases();
        if !releases.is_empty() && !releases.contains(release.as_str()) {
            let others = releases.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!(
                "{kernel} is Linux {release}, but the initrd has modules of {others}: the capture \
                 kernel can load none of them"
            );
            let remedy =
                format!("build an initrd for {release}, or arm the kernel that matches the initrd");
            findings.push(Finding::new(Code::ReleaseMismatch, message).remedy(remedy));
        }
    }
}

impl Made {
    /// The initrd of an armed image, if the loader made it.
    fn armed(origin: &Origin) -> Option<Self> {
        let place = Place::parse(origin.options.get("capture")?).ok()?;
        let level = origin.options.get("dump_level").and_then(|level| level.parse().ok());
        let makedumpfile = origin.files.get(makedumpfile::KEY).map(|file| (&file.path).into());
        Some(Self {
            target: target(&place, origin.target.as_ref()),
            place,
            armed: origin.target.clone(),
            level: level.unwrap_or_else(|| default_level(makedumpfile.is_some())),
            makedumpfile,
            len: origin.initrd_len?,
            room: origin.room,
        })
    }
}

/// The initrd of the armed image, read back from crash memory.
fn in_memory(root: &Path, image: &Summary) -> Option<Result<Initrd, String>> {
    let segment = image.segments.iter().find(|segment| segment.name == "initrd")?;
    let bytes = machine::read_memory(root, PhysRange::with_len(segment.start, segment.file_len)?);
    Some(Initrd::read(bytes.ok()?.as_slice(), is_kept).map_err(|error| in_full(&error)))
}

/// The target as it is on the running machine: a directory has its path there.
fn target(place: &Place, armed: Option<&capture_init::Target>) -> Target {
    let device = match (place, armed) {
        (Place::Directory(path), _) => return Target::Directory(path.display().to_string()),
        (_, Some(capture_init::Target::Raw { disk })) => id_words(disk),
        (place, _) => place.to_string(),
    };
    Target::Device { device, directory: None }
}
