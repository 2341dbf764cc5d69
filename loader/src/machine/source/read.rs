//! Reads a file of the table, of the live machine or of a snapshot.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{Error, Part, Source, boot_log, kcore, open, signals};

/// A file that was read.
#[derive(Debug)]
pub(in crate::machine) struct Found {
    /// Its path.
    pub path: PathBuf,
    /// Its content, as far as [`Part`] says.
    pub bytes: Vec<u8>,
    /// What it must hold.
    pub expected: &'static str,
}

impl Found {
    /// The error that it holds `found` instead.
    pub fn garbled(&self, found: impl Into<String>) -> Error {
        Error::Garbled { path: self.path.clone(), expected: self.expected, found: found.into() }
    }

    /// Its text without the last line feed.
    pub fn text(&self) -> Result<&str, Error> {
        let text = str::from_utf8(&self.bytes)
            .map_err(|cause| self.garbled(format!("bytes that are not text ({cause})")))?;
        Ok(text.strip_suffix('\n').unwrap_or(text))
    }

    /// Its text as a hexadecimal number, with or without `0x`.
    pub fn hexadecimal(&self) -> Result<u64, Error> {
        let text = self.text()?;
        parse_hexadecimal(text).ok_or_else(|| self.garbled(quoted(text)))
    }

    /// Its text as a decimal number.
    pub fn decimal<N: std::str::FromStr>(&self) -> Result<N, Error> {
        let text = self.text()?;
        // `parse` accepts a sign, which no file of the kernel has.
        let unsigned = Some(text).filter(|text| !text.starts_with('+'));
        unsigned.and_then(|text| text.parse().ok()).ok_or_else(|| self.garbled(quoted(text)))
    }

    /// Its text as 0 or 1.
    pub fn flag(&self) -> Result<bool, Error> {
        match self.text()? {
            "0" => Ok(false),
            "1" => Ok(true),
            other => Err(self.garbled(quoted(other))),
        }
    }
}

/// Text from a file in quotes, cut to a length that fits a message.
pub(in crate::machine) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None if text.is_empty() => "nothing".into(),
        None => format!("{text:?}"),
    }
}

/// A hexadecimal number, with or without `0x`.
pub(in crate::machine) fn parse_hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // `from_str_radix` accepts a sign as well.
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, 16).ok() }
}

/// A decimal number.
pub(in crate::machine) fn parse_decimal(text: &str) -> Option<u64> {
    // `parse` accepts a sign as well.
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// A directory that holds `proc` and `sys`: the live machine's root, or a snapshot.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) struct Tree<'a> {
    root: &'a Path,
}

impl<'a> Tree<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// Reads a file that must exist.
    pub fn required(&self, source: &Source) -> Result<Found, Error> {
        self.optional(source)?.ok_or_else(|| Error::Missing {
            path: self.root.join(source.paths[0]),
            absent: source.absent,
        })
    }

    /// Reads a file if it exists.
    pub fn optional(&self, source: &Source) -> Result<Option<Found>, Error> {
        self.first_of(source, source.paths.iter().map(|&path| path.to_owned()))
    }

    /// Reads the file with this number, which must exist.
    pub fn required_at(&self, source: &Source, number: u32) -> Result<Found, Error> {
        let missing =
            || Error::Missing { path: self.path_at(source, number), absent: source.absent };
        self.optional_at(source, number)?.ok_or_else(missing)
    }

    /// Reads the file with this number if it exists.
    pub fn optional_at(&self, source: &Source, number: u32) -> Result<Option<Found>, Error> {
        self.first_of(source, [numbered(source, number)].into_iter())
    }

    /// Opens a file.
    pub fn open(&self, source: &Source) -> io::Result<File> {
        open::below(self.root, source.paths[0])
    }

    /// Whether the directory with this number exists.
    pub fn has_number(&self, source: &Source, number: u32) -> bool {
        self.path_at(source, number).parent().is_some_and(Path::is_dir)
    }

    fn path_at(&self, source: &Source, number: u32) -> PathBuf {
        self.root.join(numbered(source, number))
    }

    /// The numbers of the directories that exist, ascending; none if their parent does not exist.
    pub fn numbers(&self, source: &Source) -> Result<Vec<u32>, Error> {
        let (before, _) = source.paths[0].split_once("{}").expect("a numbered source");
        let (around, prefix) = before.rsplit_once('/').expect("a number inside a directory");
        let around = self.root.join(around);
        let failed = |source| Error::Read { path: around.clone(), source };
        let entries = match fs::read_dir(&around) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix(prefix));
            // `cpufreq` and `cpuidle` are beside `cpu0`.
            numbers.extend(
                digits
                    .filter(|digits| !digits.starts_with('+'))
                    .and_then(|digits| digits.parse::<u32>().ok()),
            );
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn first_of(
        &self,
        source: &Source,
        mut paths: impl Iterator<Item = String>,
    ) -> Result<Option<Found>, Error> {
        paths.find_map(|path| read(self.root, &path, source).transpose()).transpose()
    }
}

fn numbered(source: &Source, number: u32) -> String {
    source.paths[0].replace("{}", &number.to_string())
}

/// How often a busy file is read, and the pause: two seconds in all. Reading some files takes the
/// kexec lock, which a reload or a hotplug event may hold (`kexec_crash_size_show`,
/// kernel/ksysfs.c).
const BUSY_TRIES: u32 = 200;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

fn read(root: &Path, name: &str, source: &Source) -> Result<Option<Found>, Error> {
    let path = root.join(name);
    let mut tries = 1;
    loop {
        let bytes = match source.part {
            Part::Presence => open::presence(root, name).map(|()| Vec::new()),
            Part::Whole => open::below(root, name).and_then(|file| open::whole(&file)),
            Part::ElfHeaders => open::below(root, name)
                .and_then(|mut file| kcore::read_headers(&mut file as &mut dyn Read)),
            Part::IpmiStructures => open::below(root, name)
                .and_then(|file| open::whole(&file))
                .map(|table| signals::ipmi_structures(&table)),
            Part::CrashkernelLines => open::below(root, name)
                .and_then(|file| boot_log::read(&file).map_err(|_| io::ErrorKind::NotFound.into())),
        };
        return match bytes {
            Ok(bytes) => Ok(Some(Found { path, bytes, expected: source.expected })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            // The device was removed after the file was opened (`kernfs_fop_read_iter`,
            // fs/kernfs/file.c).
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            // Without CAP_SYSLOG the kernel's log may be unreadable.
            Err(_) if source.part == Part::CrashkernelLines => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < BUSY_TRIES => {
                tries += 1;
                thread::sleep(BUSY_PAUSE);
                continue;
            }
            Err(error) => Err(match error.downcast::<open::Refusal>() {
                Ok(refusal) => Error::Snapshot { path, refusal },
                Err(source) => Error::Read { path, source },
            }),
        };
    }
}
