//! The capture kernel that is armed, or that the config names: its files, its command line, and what is in them.

use std::path::{Path, PathBuf};

use super::files::Files;
use crate::arm::record::{Call, Record};
use crate::findings::{Code, Finding};
use crate::initrd::Initrd;
use crate::options::config::Config;
use loader::cmdline::{self, Base};
use loader::kernel::{self, uki};
use loader::request::InputFile;

/// How much of a kernel's file is read. A larger one, such as a vmlinux with debug information, has an unknown release.
const MOST_KERNEL: u64 = 256 << 20;
/// Files whose content decides something: the settings of services, the programs whose version matters, our own note, and
/// dracut's list of modules.
fn is_kept(name: &str) -> bool {
    name.starts_with("etc/") && name.ends_with("kdump.conf")
        || name == super::saver::NOTE
        || super::saver::DRACUT_MODULES.contains(&name)
        || Path::new(name).file_name().is_some_and(|name| name == "makedumpfile")
}

/// What starts after a panic.
#[derive(Debug)]
pub(super) struct Capture {
    /// The kernel's file.
    pub kernel: PathBuf,
    /// Its initrd's file, if one was named.
    pub initrd_path: Option<PathBuf>,
    /// What it boots with.
    pub command_line: String,
    /// Whether the kernel's own loader makes the image.
    pub by_file: bool,
    /// The kernel's release, if its file says so.
    pub release: Option<String>,
    /// Bytes that the kernel takes when it has unpacked itself.
    pub init_size: Option<u64>,
    /// Bytes of the initrd's file.
    pub initrd_len: u64,
    /// What is in the initrd, or why that is unknown; nothing if there is none.
    pub initrd: Option<Result<Initrd, String>>,
}

impl Capture {
    /// What the record says is armed.
    pub fn armed(files: Files<'_>, record: &Record) -> Self {
        let command_line = record.image.as_ref().map(|image| &image.command_line).or(record.command_line.as_ref());
        let origin = record.origin.as_ref();
        // The origin has absolute paths.
        let path = |key: &str, text: &String| {
            PathBuf::from(origin.and_then(|origin| origin.files.get(key)).map_or(text, |file| &file.path))
        };
        let initrd = record.initrd.as_ref().map(|initrd| path("initrd", initrd));
        let by_file = record.call == Call::KexecFileLoad;
        Self::read(files, path("kernel", &record.kernel), initrd, command_line.cloned().unwrap_or_default(), by_file)
    }

    /// What the config would arm.
    pub fn wished(files: Files<'_>, config: &Config) -> Self {
        let options = &config.options;
        // An image of a machine has none. The line that it is going to have names the root file system.
        let running = files.text("proc/cmdline").unwrap_or("root=unknown".to_owned());
        let base = Base::chosen(running.trim_end().as_bytes(), options.reuse_cmdline, options.append.as_deref(), None);
        let command_line = cmdline::text(&base.line);
        let by_file = config.file == crate::options::config::FilePolicy::Always;
        Self::read(files, options.kernel.clone(), options.initrd.clone(), command_line, by_file)
    }

    fn read(files: Files<'_>, kernel: PathBuf, initrd_path: Option<PathBuf>, command_line: String, by_file: bool) -> Self {
        let file = InputFile { bytes: files.read(&kernel, MOST_KERNEL).unwrap_or_default(), path: kernel.clone() };
        let in_kernel =
            || uki::defaults(&file.bytes).initrd.map(|initrd| Initrd::read(initrd, is_kept).map_err(|error| in_full(&error)));
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
        let initrd_len =
            initrd_path.as_ref().and_then(|path| files.open(path).ok()?.metadata().ok()).map_or(0, |metadata| metadata.len());
        Self { release: kernel::release(&file), kernel, initrd_path, command_line, by_file, init_size, initrd_len, initrd }
    }

    /// What is in the initrd, as far as that is known.
    pub fn contents(&self) -> Option<&Initrd> {
        self.initrd.as_ref()?.as_ref().ok()
    }

    /// The value of a parameter of its command line.
    pub fn parameter(&self, name: &str) -> Option<String> {
        cmdline::value(&self.command_line, name)
    }

    /// Whether the files are those of one capture kernel.
    pub fn look(&self, findings: &mut Vec<Finding>) {
        let kernel = self.kernel.display();
        match (&self.initrd, &self.initrd_path) {
            (Some(Err(error)), path) => {
                let path = path.as_ref().unwrap_or(&self.kernel).display();
                let message = format!("the initrd {path} cannot be read, so the program that saves the dump is unknown: {error}");
                findings.push(Finding::new(Code::InitrdUnreadable, message));
            }
            (None, _) if self.parameter("root").is_none() => {
                let message =
                    format!("{kernel} comes without an initrd and without root=: it has no user space that could save a dump");
                let remedy = "name an initrd that saves the dump (--initrd, or initrd in the config)";
                findings.push(Finding::new(Code::NoUserSpace, message).remedy(remedy));
            }
            _ => {}
        }
        let (Some(initrd), Some(release)) = (self.contents(), &self.release) else { return };
        let releases = initrd.releases();
        if !releases.is_empty() && !releases.contains(release.as_str()) {
            let others = releases.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!(
                "{kernel} is Linux {release}, but the initrd has modules of {others}: the capture kernel can load none of them"
            );
            let remedy = format!("build an initrd for {release}, or arm the kernel that belongs to it");
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
