//! A machine's file system in a directory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

pub(super) const DEBIAN: Option<Distribution> = Some(Distribution::Debian);
pub(super) const PROGRAM: Program<'static> = Program(b"the program");
/// Paths of the rule and the unit of Debian's kdump-tools.
pub(super) const DEBIAN_RULE: &str = "usr/lib/udev/rules.d/50-kdump-tools.rules";
pub(super) const DEBIAN_UNIT: &str = "usr/lib/systemd/system/kdump-tools.service";
pub(super) const DEBIAN_ENABLED: &str = "etc/systemd/system/basic.target.wants/kdump-tools.service";
pub(super) const DROP_IN: &str = "etc/systemd/system/kdump-tools.service.d/90-kdump-loader.conf";
pub(super) const MASK: &str = "etc/udev/rules.d/50-kdump-tools.rules";
pub(super) const RULE: &str =
    "SUBSYSTEM==\"cpu\", ACTION==\"add\", PROGRAM=\"/usr/sbin/kdump-config try-reload\"\n";

/// A machine's file system in a directory.
pub(super) struct Root(TempDir);

/// All paths with their mode, and the content of a file or the target of a link.
pub(super) type Contents = BTreeMap<PathBuf, (u32, Vec<u8>)>;

impl Root {
    pub(super) fn new() -> Self {
        // In memory if possible, because every file is synced.
        let memory = Path::new("/dev/shm");
        Self(
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
                .unwrap(),
        )
    }

    /// The relevant files of a Debian with kdump-tools.
    pub(super) fn debian() -> Self {
        let root = Self::new();
        root.file(DEBIAN_RULE, RULE);
        root.file(DEBIAN_UNIT, "[Service]\nExecStart=/etc/init.d/kdump-tools start\n");
        root.link(DEBIAN_ENABLED, "/usr/lib/systemd/system/kdump-tools.service");
        root
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        let whole = self.0.path().join(path);
        fs::create_dir_all(whole.parent().unwrap()).unwrap();
        whole
    }

    pub(super) fn file(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        symlink(target, self.at(path)).unwrap();
    }

    pub(super) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.0.path().join(path)).unwrap()
    }

    pub(super) fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        collect(self.0.path(), Path::new(""), &mut contents);
        contents
    }

    pub(super) fn access(&self) -> Access<'_> {
        Access::lock(self.path(), |_| ()).unwrap()
    }

    pub(super) fn install(&self, mask_conflicts: bool) -> Result<Vec<Done>, Error> {
        install(&self.access(), PROGRAM, choice(mask_conflicts))
    }

    pub(super) fn uninstall(&self) -> Option<Vec<Done>> {
        uninstall(&self.access()).unwrap()
    }
}

pub(super) fn choice(mask_conflicts: bool) -> Choice {
    Choice { mask_conflicts, distribution: DEBIAN }
}

fn collect(root: &Path, below: &Path, contents: &mut Contents) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        let whole = root.join(&path);
        let metadata = fs::symlink_metadata(&whole).unwrap();
        let bytes = if metadata.is_symlink() {
            fs::read_link(&whole).unwrap().into_os_string().into_encoded_bytes()
        } else if metadata.is_file() {
            fs::read(&whole).unwrap()
        } else {
            Vec::new()
        };
        contents.insert(path.clone(), (metadata.permissions().mode(), bytes));
        if metadata.is_dir() {
            collect(root, &path, contents);
        }
    }
}
