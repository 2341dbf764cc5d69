//! The capture kernel that is armed or that the config names: its command line, its files and their
//! contents.

use std::path::{Path, PathBuf};

use loader::cmdline::{self, Base};
use loader::kernel::{self, uki};
use loader::request::InputFile;

use super::files::Files;
use crate::arm::record::{Call, Record};
use crate::findings::{Code, Finding};
use crate::initrd::Initrd;
use crate::options::config::Config;

/// Limit of a kernel's file. In a larger one, such as a vmlinux with debug information, the release
/// stays unknown.
const MOST_KERNEL: u64 = 256 << 20;
/// Files whose content is needed: the services' settings, makedumpfile for its version, this
/// project's note, and dracut's list of modules.
fn is_kept(name: &str) -> bool {
    name.starts_with("etc/") && name.ends_with("kdump.conf")
        || name == super::saver::NOTE
        || super::saver::DRACUT_MODULES.contains(&name)
        || Path::new(name).file_name().is_some_and(|name| name == "makedumpfile")
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
        Self::read(
            files,
            path("kernel", &record.kernel),
            initrd,
            command_line.cloned().unwrap_or_default(),
            by_file,
        )
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
        Self::read(files, options.kernel.clone(), options.initrd.clone(), command_line, by_file)
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
            (None, _) if self.parameter("root").is_none() => {
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

/// An error with its causes.
pub(super) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
