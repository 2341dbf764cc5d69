//! The files that both packages install.
//!
//! * On entry: the results of `build`, and the files of `dist/`.
//! * On exit: each file with its place below the root and its mode.

use std::path::Path;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::repository::{Repository, read};

pub struct Entry {
    pub place: String,
    pub bytes: Vec<u8>,
    pub mode: u32,
    /// How package managers treat it.
    pub kind: Kind,
}

/// How package managers treat a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Replaced by an upgrade.
    Plain,
    /// Kept by an upgrade, if the administrator has changed it.
    Config,
    /// Left out of small systems.
    Documentation,
    /// A license, which small systems keep.
    License,
}

impl Entry {
    /// A file that all users may read.
    pub fn new(place: impl Into<String>, bytes: impl Into<Vec<u8>>, kind: Kind) -> Self {
        Self { place: place.into(), bytes: bytes.into(), mode: 0o644, kind }
    }
}

/// The directory of documentation.
pub const DOCUMENTATION: &str = "usr/share/doc/kdump-loader";
/// The sample config, which fits Debian.
pub const CONFIG: &str = "kdump-loader.toml";
/// Where the service's files are, below the root of the repository.
pub const SOURCE: &str = "kdump-loader/src/service/dist";
/// Files of `dist/`, and where they go.
const DIST: [(&str, &str); 6] = [
    ("kdump-loader.service", "usr/lib/systemd/system/kdump-loader.service"),
    ("kdump-loader-reload.path", "usr/lib/systemd/system/kdump-loader-reload.path"),
    ("kdump-loader-reload.service", "usr/lib/systemd/system/kdump-loader-reload.service"),
    ("kdump-loader-shutdown.service", "usr/lib/systemd/system/kdump-loader-shutdown.service"),
    ("kdump-loader-disarm.service", "usr/lib/systemd/system/kdump-loader-disarm.service"),
    ("40-kdump-loader.rules", "usr/lib/udev/rules.d/40-kdump-loader.rules"),
];
/// All files. `zsh` is the directory of zsh's completions.
pub fn of(sh: &Shell, repo: &Repository, zsh: &str) -> Result<Vec<Entry>> {
    // Units and rules name this path.
    let program = Entry::new("usr/sbin/kdump-loader", read(&repo.loader())?, Kind::Plain);
    let mut files = vec![Entry { mode: 0o755, ..program }];
    for (name, place) in DIST {
        files.push(Entry::new(place, read(&repo.root.join(SOURCE).join(name))?, Kind::Plain));
    }
    for (name, directory) in [
        ("bash/kdump-loader", "usr/share/bash-completion/completions"),
        ("fish/kdump-loader.fish", "usr/share/fish/vendor_completions.d"),
        ("zsh/_kdump-loader", zsh),
    ] {
        let from = repo.completions().join(name);
        let place = format!("{directory}/{}", name_of(&from)?);
        files.push(Entry::new(place, read(&from)?, Kind::Plain));
    }
    for page in sh.read_dir(repo.man())? {
        let section = page.extension().context("a page names its section")?.to_string_lossy();
        let place = format!("usr/share/man/man{section}/{}.gz", name_of(&page)?);
        files.push(Entry::new(place, compressed(sh, &read(&page)?)?, Kind::Documentation));
    }
    let changes = compressed(sh, &read(&repo.root.join("CHANGELOG.md"))?)?;
    let place = format!("{DOCUMENTATION}/CHANGELOG.md.gz");
    files.push(Entry::new(place, changes, Kind::Documentation));
    Ok(files)
}

fn name_of(path: &Path) -> Result<String> {
    Ok(path.file_name().context("a file has a name")?.to_string_lossy().into_owned())
}

/// Compresses pages and change logs as distributions expect, without a name and a time (gzip(1),
/// -n).
pub fn compressed(sh: &Shell, bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(cmd!(sh, "gzip -9 -n").stdin(bytes).quiet().output()?.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that only `service install` writes. In a package they would change a machine before
    /// that: the preset enables the units, the sysctl turns an oops into a panic without a dump,
    /// and the drop-in holds another service back.
    const WRITTEN_BY_THE_PROGRAM: [&str; 3] =
        ["90-kdump-loader.conf", "80-kdump-loader.preset", "60-kdump-loader-sysctl.conf"];

    #[test]
    fn every_file_of_dist_is_packaged_unless_service_install_writes_it() {
        let dist = Repository::find().unwrap().root.join(SOURCE);
        let mut names: Vec<String> = std::fs::read_dir(dist)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| !WRITTEN_BY_THE_PROGRAM.contains(&name.as_str()));
        names.sort();
        let mut packaged: Vec<&str> = DIST.iter().map(|(name, _)| *name).chain([CONFIG]).collect();
        packaged.sort();
        assert_eq!(names, packaged);
    }
}
