//! [0] The config of the service: the options of `load` in a file.
//!
//! *On entry*
//! - a TOML file, /etc/kdump-loader.toml by default
//! - the running kernel's release
//!
//! *On exit* the same [`Options`] as from the command line, or an error that names the file, the
//! line and the key.

pub mod keys; // every key, for errors and the manual page

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use loader::files::read::{self, Opened};
use serde::de::{Deserialize, IntoDeserializer};
use toml::{Spanned, Value};

use crate::options::Options;
use crate::options::words;

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
const NOT_FOR_FILE: [&str; 9] =
    ["noefi", "on_corrupt", "reset_delay", "console", "confidential", "no_hotplug", "engine", "leaf_size", "purgatory"];

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

/// Why the config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(
        "cannot read the config {}; create it with at least the line kernel = \"/boot/vmlinuz-{RELEASE}\", or name another with --config",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It has an error.
    #[error("{}: {defect}", path.display())]
    Defect {
        /// The file.
        path: PathBuf,
        /// The error.
        defect: Defect,
    },
    /// The running kernel's release cannot be read.
    #[error("cannot read {}, for {RELEASE} in the config", path.display())]
    Release {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// An error in a config. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// It is not valid TOML.
    #[error("line {line}: {message}")]
    Syntax {
        /// The line.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// There is no such key.
    #[error("line {line}: unknown key `{key}`; the keys are {}", KEYS.join(", "))]
    UnknownKey {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
    /// The value is invalid.
    #[error("line {line}: the value of `{key}` is {message}")]
    Value {
        /// The line.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong with the value.
        message: String,
    },
    /// It names no kernel.
    #[error("the required key `kernel` is missing; for example kernel = \"/boot/vmlinuz-{RELEASE}\"")]
    NoKernel,
    /// The key does not apply to an image that the kernel builds.
    #[error("line {line}: `{key}` does not apply with file = \"always\", where the kernel builds the image; remove one of them")]
    NotForFile {
        /// The line.
        line: usize,
        /// The key.
        key: String,
    },
}

impl Config {
    /// Reads the config at `path`, or at [`DEFAULT`] below `root`.
    pub fn read(root: &Path, path: Option<&Path>) -> Result<Self, Error> {
        let path = path.map_or_else(|| root.join(DEFAULT), Path::to_owned);
        let text = text_of(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let release = root.join(OSRELEASE);
        let release = fs::read_to_string(&release).map_err(|source| Error::Release { path: release, source })?;
        let exists = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path)).exists();
        Self::on_machine(&text, release.trim_end(), exists).map_err(|defect| Error::Defect { path, defect })
    }

    /// Parses `text` for a kernel of this release, on a machine without files.
    pub fn parse(text: &str, release: &str) -> Result<Self, Defect> {
        Self::on_machine(text, release, |_| false)
    }

    fn on_machine(text: &str, release: &str, exists: impl Fn(&Path) -> bool) -> Result<Self, Defect> {
        let line_of = |at: usize| 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|&&byte| byte == b'\n').count();
        let table: BTreeMap<Spanned<String>, Spanned<Value>> = toml::from_str(text).map_err(|error| Defect::Syntax {
            line: line_of(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        let mut entries: Vec<Entry> = Vec::with_capacity(table.len());
        for (key, value) in table {
            entries.push(Entry { line: line_of(key.span().start), key: key.into_inner(), value: value.into_inner() });
        }
        // In the order of the file, so that the first error in it is reported.
        entries.sort_by_key(|entry| entry.line);

        let mut options = Options::new(PathBuf::new());
        let mut file = FilePolicy::default();
        for entry in &entries {
            match entry.key.as_str() {
                "kernel" => options.kernel = entry.path(release)?,
                "initrd" => options.initrd = Some(entry.first_path(release, &exists)?),
                "append" => options.append = Some(entry.string()?),
                "reuse_cmdline" => options.reuse_cmdline = entry.typed()?,
                "noefi" => options.noefi = entry.typed()?,
                "on_corrupt" => options.on_corrupt = Some(entry.word(words::on_corrupt)?),
                "reset_delay" => {
                    let seconds: i64 = entry.typed()?;
                    let delay = words::reset_delay(&seconds.to_string());
                    options.reset_delay_ms = Some(delay.map_err(|message| entry.wrong(message))?);
                }
                "console" => options.console = entry.word(words::console)?,
                "confidential" => options.confidential = entry.word(words::confidential)?,
                "no_hotplug" => options.no_hotplug = entry.typed()?,
                "engine" => options.engine = entry.word(words::engine)?,
                "leaf_size" => options.leaf_size = Some(entry.word(words::leaf_size)?),
                "purgatory" => options.purgatory = Some(entry.absolute_path()?),
                "file" => file = entry.word(file_policy)?,
                _ => return Err(Defect::UnknownKey { line: entry.line, key: entry.key.clone() }),
            }
        }
        if !entries.iter().any(|entry| entry.key == "kernel") {
            return Err(Defect::NoKernel);
        }
        if file == FilePolicy::Always
            && let Some(entry) = entries.iter().find(|entry| NOT_FOR_FILE.contains(&entry.key.as_str()))
        {
            return Err(Defect::NotForFile { line: entry.line, key: entry.key.clone() });
        }
        Ok(Self { options, file })
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
        return Err(as_io(read::Error::Kind { what: WHAT, path: path.to_owned(), kind: "a block device" }));
    }
    if opened.len() > LARGEST {
        return Err(as_io(read::Error::TooLarge { what: WHAT, path: path.to_owned(), len: opened.len(), limit: LARGEST }));
    }
    String::from_utf8(opened.head(LARGEST).map_err(as_io)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
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

    /// The value, if it has the TOML type of a `T`.
    fn typed<'de, T: Deserialize<'de>>(&self) -> Result<T, Defect> {
        let value = T::deserialize(self.value.clone().into_deserializer());
        value.map_err(|error: toml::de::Error| self.wrong(format!("of an {}", error.message())))
    }

    fn string(&self) -> Result<String, Defect> {
        self.typed()
    }

    /// A string with a fixed set of values or a syntax.
    fn word<T>(&self, parse: fn(&str) -> Result<T, String>) -> Result<T, Defect> {
        parse(&self.string()?).map_err(|message| self.wrong(message))
    }

    /// An absolute path. A relative one would depend on the service's working directory.
    fn absolute_path(&self) -> Result<PathBuf, Defect> {
        let path = PathBuf::from(self.string()?);
        if path.is_absolute() { Ok(path) } else { Err(self.wrong("not an absolute path")) }
    }

    /// A path, or from a list the first path that exists, otherwise the first.
    fn first_path(&self, release: &str, exists: impl Fn(&Path) -> bool) -> Result<PathBuf, Defect> {
        let Value::Array(values) = &self.value else { return self.path(release) };
        let entry = |value: &Value| Self { line: self.line, key: self.key.clone(), value: value.clone() };
        let paths = values.iter().map(|value| entry(value).path(release)).collect::<Result<Vec<_>, _>>()?;
        let chosen = paths.iter().find(|path| exists(path)).or(paths.first());
        chosen.cloned().ok_or_else(|| self.wrong("an empty list; for no initrd, leave the key out"))
    }

    fn path(&self, release: &str) -> Result<PathBuf, Defect> {
        let path = self.absolute_path()?;
        // The path comes from text, so nothing is lost.
        Ok(path.to_string_lossy().replace(RELEASE, release).into())
    }
}

#[cfg(test)]
mod tests;
