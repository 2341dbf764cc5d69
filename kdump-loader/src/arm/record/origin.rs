//! What an armed image was made from: the options, and the identities of the files.
//!
//! Files are compared by their metadata, without reading them. The metadata of the kernel and the
//! initrd comes from the descriptor that they are read from ([`loader::files::read`]), so it
//! belongs to the sealed bytes. The metadata of other files is taken before they are read. If one
//! is replaced in between, that causes one redundant reload.

use std::collections::BTreeMap;
use std::path::Path;

use capture_init::Target;
use loader::files::Files;
use loader::files::identity::FileIdentity;
use loader::kernel;
use serde::{Deserialize, Serialize};

use crate::capture::{self, Made};
use crate::options::Options;

/// The key of the loader itself among the files. A new loader may build another image, with another
/// embedded purgatory.
pub const PROGRAM: &str = "program";

/// Bytes of a section, the unit in which the kernel knows memory as present (`SECTION_SIZE_BITS`,
/// arch/x86/include/asm/sparsemem.h).
pub const SECTION_LEN: u64 = 1 << 27;

/// What an image was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// [`Options::words`].
    pub options: BTreeMap<String, String>,
    /// Every file that was read, by the key of its option, and [`PROGRAM`].
    pub files: BTreeMap<String, FileIdentity>,
    /// The kernel's release, if its file has it. The file may be replaced later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Where the /init of `--capture` saves the dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Whether the target is unknown, because a disk does not answer now.
    #[serde(skip)]
    pub is_silent: bool,
    /// The watchdogs that its /init feeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watchdogs: Vec<String>,
    /// Bytes of the initrd of `--capture`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd_len: Option<u64>,
    /// Whether its /init leaves out whole sections that the running kernel no longer has. Then they
    /// may stay in the elfcorehdr.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skips_removed_memory: bool,
    /// Bytes of memory that the capture kernel needs besides the image, with that initrd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<u64>,
}

impl Origin {
    /// The origin of an image that `program` makes now from these options, on the machine below
    /// `root`. Missing files are left out; reading them reports the error.
    pub fn of(root: &Path, options: &Options, program: &Path) -> Self {
        let Options { kernel, initrd, purgatory, .. } = options;
        let named = [
            ("kernel", Some(kernel)),
            ("initrd", initrd.as_ref()),
            ("purgatory", purgatory.as_ref()),
        ];
        let mut files: BTreeMap<String, FileIdentity> = BTreeMap::new();
        for (key, path) in named {
            files
                .extend(path.and_then(|path| Some((key.to_owned(), FileIdentity::of(path).ok()?))));
        }
        files.extend(FileIdentity::of(program).ok().map(|identity| (PROGRAM.to_owned(), identity)));
        let target = options.capture.as_ref().map(|place| capture::target_now(root, place));
        let watchdogs = options.capture.iter().flat_map(|_| capture::watchdogs_now(root)).collect();
        let options = options.words();
        let origin = Self { options, files, watchdogs, ..Self::default() };
        origin.with_target(target)
    }

    /// The same, with the target as it was found now, if the options name one.
    pub fn with_target(mut self, found: Option<Result<Target, capture::Error>>) -> Self {
        self.is_silent =
            found.as_ref().is_some_and(|it| it.as_ref().is_err_and(capture::Error::is_silence));
        self.target = found.and_then(Result::ok);
        self
    }

    /// The same, with the files in the initrd of an `armed` image as they are now.
    pub fn with_initrd_of(mut self, armed: &Self) -> Self {
        let inside = armed.files.iter().filter(|(key, _)| capture::is_in_initrd(key));
        let now = inside.filter_map(|(key, file)| {
            Some((key.clone(), FileIdentity::of(Path::new(&file.path)).ok()?))
        });
        self.files.extend(now.collect::<Vec<_>>());
        self
    }

    /// Whether kernel, initrd and command line are those of `other`.
    pub fn has_files_of(&self, other: &Self) -> bool {
        ["kernel", "initrd"].iter().all(|key| self.files.get(*key) == other.files.get(*key))
            && ["append", "reuse_cmdline", "capture"]
                .iter()
                .all(|key| self.options.get(*key) == other.options.get(*key))
    }

    /// Adds the initrd that was made.
    pub fn made(&mut self, initrd: &Made) {
        self.files.extend(initrd.files.clone());
        self.target = Some(initrd.target.clone());
        self.watchdogs = initrd.watchdogs.clone();
        self.initrd_len = Some(initrd.initrd.bytes.len() as u64);
        self.room = Some(initrd.room);
    }

    /// Replaces identities by those of the files that were actually read, in case their paths were
    /// replaced meanwhile, and adds the kernel's release.
    pub fn read(&mut self, files: &Files) {
        self.files.insert("kernel".to_owned(), files.kernel.identity.clone());
        self.release = kernel::release(&files.kernel.input);
        self.files.extend(
            files.initrd.as_ref().map(|initrd| ("initrd".to_owned(), initrd.identity.clone())),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_of_the_same_files_and_command_line_needs_no_second_look() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["kernel", "initrd", "other"] {
            std::fs::write(path(name), name).unwrap();
        }
        let options = Options {
            initrd: Some(path("initrd")),
            append: Some("nr_cpus=1".into()),
            ..Options::new(path("kernel"))
        };
        let of = |options: &Options| Origin::of(directory.path(), options, Path::new("/dev/null"));
        let armed = of(&options);
        let same = Options { no_hotplug: true, ..options.clone() };
        assert!(armed.has_files_of(&of(&same)));
        for other in [
            Options { kernel: path("other"), ..options.clone() },
            Options { initrd: Some(path("other")), ..options.clone() },
            Options { initrd: None, ..options.clone() },
            Options { append: None, ..options.clone() },
            Options { reuse_cmdline: true, ..options.clone() },
        ] {
            assert!(!armed.has_files_of(&of(&other)), "{other:?}");
        }
        std::fs::write(path("initrd"), "a new one").unwrap();
        assert!(!armed.has_files_of(&of(&options)));
    }
}
