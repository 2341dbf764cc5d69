//! Some of a kernel's modules as they are on an installed machine: their files, and the index that
//! depmod(8) makes of them.
//!
//! The index says the same as depmod's, about these modules only. In `debian-*`, depmod itself
//! makes it.

use std::path::{Path, PathBuf};

use memchr::memmem;

use super::modules::{Modules, dependencies, name};
use super::payload;
use crate::error::Error;
use crate::host;

/// A file of a guest: its path, and its content.
pub(crate) type GuestBytes = (String, Vec<u8>);

impl Modules {
    /// These modules and all that they need, and files of their index, below
    /// `/lib/modules/RELEASE`.
    pub(crate) fn installed(
        &self,
        wanted: &[&str],
        release: &str,
    ) -> Result<Vec<GuestBytes>, Error> {
        let mut files: Vec<PathBuf> = Vec::new();
        for module in wanted.iter().filter(|module| !self.is_built_in(module)) {
            files.extend(self.with_dependencies(module)?);
        }
        files.sort();
        files.dedup();

        let guest = |path: &str| format!("/lib/modules/{release}/{path}");
        let below = |file: &Path| {
            let path = file.strip_prefix(self.directory()).unwrap_or(file);
            path.display().to_string()
        };
        let (mut dep, mut alias, mut softdep) = (String::new(), String::new(), String::new());
        let mut installed = Vec::new();
        for file in &files {
            let (module, this) = (payload::module(file)?, name(file).unwrap_or_default());
            let needs: Vec<String> = dependencies(&module)
                .iter()
                .filter_map(|needed| files.iter().find(|file| name(file).as_ref() == Some(needed)))
                .map(|file| below(file))
                .collect();
            dep += &format!("{}: {}\n", below(file), needs.join(" "));
            for pattern in values(&module, b"\0alias=") {
                alias += &format!("alias {pattern} {this}\n");
            }
            for others in values(&module, b"\0softdep=") {
                softdep += &format!("softdep {this} {others}\n");
            }
            installed.push((guest(&below(file)), host::read(file)?));
        }
        // The kernel's configuration, which says whether it decompresses modules, is here or beside
        // the kernel.
        for name in ["modules.builtin", "config"] {
            let path = self.directory().join(name);
            if path.is_file() {
                installed.push((guest(name), host::read(&path)?));
            }
        }
        installed.extend([
            (guest("modules.dep"), dep.into_bytes()),
            (guest("modules.alias"), alias.into_bytes()),
            (guest("modules.softdep"), softdep.into_bytes()),
        ]);
        Ok(installed)
    }
}

/// The values of a tag in `.modinfo` (scripts/mod/modpost.c).
fn values(module: &[u8], tag: &[u8]) -> Vec<String> {
    memmem::find_iter(module, tag)
        .map(|at| {
            let rest = &module[at + tag.len()..];
            let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
            String::from_utf8_lossy(&rest[..end]).into_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn index_names_each_module_with_what_it_needs_and_is_for() {
        let root = tempfile::tempdir().unwrap();
        let drivers = root.path().join("kernel/drivers");
        fs::create_dir_all(&drivers).unwrap();
        fs::write(root.path().join("modules.builtin"), "kernel/fs/ext4.ko\n").unwrap();
        let sd =
            b"\0alias=scsi:t-0x00*\0alias=block-major-8-*\0softdep=pre: crc\0depends=scsi_mod\0";
        fs::write(drivers.join("sd_mod.ko"), sd).unwrap();
        fs::write(drivers.join("scsi_mod.ko"), b"\0depends=\0").unwrap();
        fs::write(drivers.join("other.ko"), b"\0depends=\0").unwrap();
        let modules = Modules::open(root.path(), "6.12").unwrap();
        let files = modules.installed(&["sd_mod", "ext4"], "6.12").unwrap();
        let text = |name: &str| {
            let path = format!("/lib/modules/6.12/{name}");
            let (_, bytes) = files.iter().find(|(file, _)| *file == path).unwrap();
            str::from_utf8(bytes).unwrap().to_owned()
        };
        let dep = "kernel/drivers/scsi_mod.ko: \n\
                   kernel/drivers/sd_mod.ko: kernel/drivers/scsi_mod.ko\n";
        assert_eq!(text("modules.dep"), dep);
        assert_eq!(
            text("modules.alias"),
            "alias scsi:t-0x00* sd_mod\nalias block-major-8-* sd_mod\n"
        );
        assert_eq!(text("modules.softdep"), "softdep sd_mod pre: crc\n");
        assert_eq!(files.len(), 6, "two modules and four files of the index");
    }
}
