//! `[0]` The config of the service: the options of `load` in a file.
//!
//! *On entry*
//! - a TOML file, /etc/kdump-loader.toml by default
//! - the running kernel's release
//!
//! *On exit* the same [`Options`] as from the command line, or an error that names the file, the
//! line and the key.

pub mod keys; // every key, for errors and the manual page
mod error; // why a config cannot be used

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use loader::files::read::{self, Opened};
use serde::de::DeserializeOwned;
use toml::{Spanned, Table, Value};

use crate::options::Options;
use crate::options::words::saving::built_in;
pub use error::{Defect, Error};

/// The default path, below the root.
pub const DEFAULT: &str = "etc/kdump-loader.toml";
/// Stands for the running kernel's release in `kernel` and `initrd`.
pub const RELEASE: &str = "{release}";
/// Limit in bytes, larger than any real config.
const LARGEST: u64 = 1 << 20;
/// Its name in messages.
const WHAT: &str = "config";
/// The file with the running kernel's release, below the root.
const OSRELEASE: &str = "proc/sys/kernel/osrelease";

/// The name of every key.
pub const KEYS: [&str; keys::NAMES.len()] = keys::NAMES;

/// Keys that do not apply to images that the kernel builds, as with `load --file`.
pub const NOT_FOR_FILE: [&str; 11] = [
    "noefi",
    "on_corrupt",
    "reset_delay",
    "console",
    "confidential",
    "no_hotplug",
    "engine",
    "leaf_size",
    "black_box",
    "signal",
    "purgatory",
];

/// Keys that only apply with `capture`.
const WITH_CAPTURE: [&str; 5] =
    ["makedumpfile", "dump_level", "capture_timeout", "keep_dumps", "keep_bytes"];

/// Which system call arms the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilePolicy {
    /// kexec_load(2), or kexec_file_load(2) if the kernel forbids it.
    #[default]
    Auto,
    /// kexec_load(2).
    Never,
    /// kexec_file_load(2).
    Always,
}

/// A parsed config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What to arm.
    pub options: Options,
    /// The system call.
    pub file: FilePolicy,
}

impl Config {
    /// Reads the config at `path`, or at [`DEFAULT`] below `root`.
    pub fn read(root: &Path, path: Option<&Path>) -> Result<Self, Error> {
        let path = path.map_or_else(|| root.join(DEFAULT), Path::to_owned);
        let text = text_of(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let release = root.join(OSRELEASE);
        let release = fs::read_to_string(&release)
            .map_err(|source| Error::Release { path: release, source })?;
        let exists = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path)).exists();
        Self::on_machine(&text, release.trim_end(), exists)
            .map_err(|defect| Error::Defect { path, defect })
    }

    /// Parses `text` for a kernel of this release, on a machine without files.
    pub fn parse(text: &str, release: &str) -> Result<Self, Defect> {
        Self::on_machine(text, release, |_| false)
    }

    /// Parses `text` for a kernel of this release, on a machine where these paths exist.
    pub fn on_machine(
        text: &str,
        release: &str,
        exists: impl Fn(&Path) -> bool,
    ) -> Result<Self, Defect> {
        let line_of = |at: usize| {
            1 + text.as_bytes()[..at.min(text.len())].iter().filter(|&&byte| byte == b'\n').count()
        };
        let table: BTreeMap<Spanned<String>, Spanned<Value>> =
            toml::from_str(text).map_err(|error| Defect::Syntax {
                line: line_of(error.span().map_or(0, |span| span.start)),
                message: error.message().to_owned(),
            })?;
        let mut entries: Vec<Entry> = Vec::with_capacity(table.len());
        for (key, value) in table {
            entries.push(Entry {
                line: line_of(key.span().start),
                key: key.into_inner(),
                value: value.into_inner(),
            });
        }
        // In the order of the file, so that the first error in it is reported.
        entries.sort_by_key(|entry| entry.line);

        let mut options = Table::new();
        let mut file = FilePolicy::default();
        for entry in &entries {
            let value = match entry.key.as_str() {
                "kernel" | "initrd" => Value::String(entry.first_path(release, &exists)?),
                "purgatory" | "makedumpfile" => Value::String(entry.absolute_path()?),
                "file" => {
                    file = file_policy(&entry.string()?).map_err(|message| entry.wrong(message))?;
                    continue;
                }
                key if KEYS.contains(&key) => entry.value.clone(),
                key => return Err(Defect::UnknownKey { line: entry.line, key: key.to_owned() }),
            };
            // Alone, so that an error is this key's.
            typed::<Options>(Table::from_iter([(entry.key.clone(), value.clone())]).into())
                .map_err(|message| entry.wrong(message))?;
            options.insert(entry.key.clone(), value);
        }
        if !entries.iter().any(|entry| entry.key == "kernel") {
            return Err(Defect::NoKernel);
        }
        check_capture(&entries)?;
        if file == FilePolicy::Always
            && let Some(entry) =
                entries.iter().find(|entry| NOT_FOR_FILE.contains(&entry.key.as_str()))
        {
            return Err(Defect::NotForFile { line: entry.line, key: entry.key.clone() });
        }
        let options: Options = typed(options.into()).expect("each key was accepted alone");
        if options.makedumpfile.is_none()
            && built_in(options.level()).is_none()
            && let Some(entry) = entries.iter().find(|entry| entry.key == "dump_level")
        {
            return Err(Defect::OnlyMakedumpfile { line: entry.line, level: options.level() });
        }
        Ok(Self { options, file })
    }
}

/// Checks the keys of the initrd that the loader makes.
fn check_capture(entries: &[Entry]) -> Result<(), Defect> {
    let find = |keys: &[&str]| entries.iter().find(|entry| keys.contains(&entry.key.as_str()));
    match (find(&["capture"]), find(&["initrd"]), find(&WITH_CAPTURE)) {
        (Some(capture), Some(initrd), _) => {
            Err(Defect::TwoInitrds { line: capture.line.max(initrd.line) })
        }
        (None, _, Some(entry)) => {
            Err(Defect::OnlyCapture { line: entry.line, key: entry.key.clone() })
        }
        _ => Ok(()),
    }
}

/// The text of a regular file. A FIFO would wait for a writer, and /dev/zero never ends.
fn text_of(path: &Path) -> io::Result<String> {
    // The caller checks for `NotFound`.
    let as_io = |error| match error {
        read::Error::Io { source, .. } => source,
        other => io::Error::new(io::ErrorKind::InvalidInput, other.to_string()),
    };
    let opened = Opened::new(WHAT, path).map_err(as_io)?;
    if !opened.is_regular() {
        return Err(as_io(read::Error::Kind {
            what: WHAT,
            path: path.to_owned(),
            kind: "a block device",
        }));
    }
    if opened.len() > LARGEST {
        return Err(as_io(read::Error::TooLarge {
            what: WHAT,
            path: path.to_owned(),
            len: opened.len(),
            limit: LARGEST,
        }));
    }
    String::from_utf8(opened.head(LARGEST).map_err(as_io)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn file_policy(text: &str) -> Result<FilePolicy, String> {
    match text {
        "auto" => Ok(FilePolicy::Auto),
        "never" => Ok(FilePolicy::Never),
        "always" => Ok(FilePolicy::Always),
        _ => Err("not auto, never or always".into()),
    }
}

/// One key with its value.
struct Entry {
    line: usize,
    key: String,
    value: Value,
}

impl Entry {
    fn wrong(&self, message: impl Into<String>) -> Defect {
        Defect::Value { line: self.line, key: self.key.clone(), message: message.into() }
    }

    fn string(&self) -> Result<String, Defect> {
        typed(self.value.clone()).map_err(|message| self.wrong(message))
    }

    /// An absolute path. A relative one would depend on the service's working directory.
    fn absolute_path(&self) -> Result<String, Defect> {
        let path = self.string()?;
        if path.starts_with('/') { Ok(path) } else { Err(self.wrong("not an absolute path")) }
    }

    /// A path, or from a list the first path that exists, otherwise the first.
    fn first_path(&self, release: &str, exists: impl Fn(&Path) -> bool) -> Result<String, Defect> {
        let Value::Array(values) = &self.value else { return self.path(release) };
        let entry =
            |value: &Value| Self { line: self.line, key: self.key.clone(), value: value.clone() };
        let paths =
            values.iter().map(|value| entry(value).path(release)).collect::<Result<Vec<_>, _>>()?;
        let chosen = paths.iter().find(|path| exists(Path::new(path))).or(paths.first());
        chosen.cloned().ok_or_else(|| {
            let hint = if self.key == "initrd" { "; for no initrd, leave the key out" } else { "" };
            self.wrong(format!("an empty list{hint}"))
        })
    }

    /// An absolute path with the running kernel's release in place of its placeholder.
    fn path(&self, release: &str) -> Result<String, Defect> {
        Ok(self.absolute_path()?.replace(RELEASE, release))
    }
}

/// Names of Rust's types in messages of the parser, and the words for users.
const TYPES: [(&str, &str); 2] =
    [("expected i64", "expected an integer"), ("expected path string", "expected a string")];

/// The value as a `T`, or what is wrong with it, to follow "the value is".
fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    value.try_into().map_err(|error: toml::de::Error| match error.message() {
        message if message.starts_with("invalid type") => {
            let message = TYPES
                .iter()
                .fold(message.to_owned(), |message, (ours, users)| message.replace(ours, users));
            format!("of an {message}")
        }
        message => message.to_owned(),
    })
}

#[cfg(test)]
mod any_text;
#[cfg(test)]
mod tests;
