//! The Debian package, built by dpkg-deb from a tree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::contents::{self, CONFIG, DOCUMENTATION, Entry, Kind, SOURCE};
use super::{MAINTAINER, source_date_epoch};
use crate::command;
use crate::repository::{Repository, read};

/// The tree, relative to the repository's root.
const STAGE: &str = "target/package";
const CONTROL: &str = include_str!("debian/control");
const COPYRIGHT: &str = include_str!("debian/copyright");
const CHANGELOG: &str = include_str!("debian/changelog");
const OVERRIDES: &str = include_str!("debian/lintian-overrides");
/// Maintainer scripts, as dpkg calls them (deb-postinst(5) and its neighbors).
pub const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("debian/postinst")),
    ("prerm", include_str!("debian/prerm")),
    ("postrm", include_str!("debian/postrm")),
];
/// The directory of completions of Debian's zsh.
const ZSH: &str = "usr/share/zsh/vendor-completions";

pub fn build(sh: &Shell, repo: &Repository, version: &str, package: &Path) -> Result<()> {
    let root = repo.root.join(STAGE);
    sh.remove_path(&root)?;
    let stage = Stage { sh, root };
    let epoch = source_date_epoch()?.to_string();
    stage.fill(repo, version, &epoch)?;
    let root = &stage.root;
    // One thread, because xz's output depends on how it divides its work.
    let pack = cmd!(sh, "dpkg-deb --root-owner-group --build {root} {package}");
    command::read(pack.env("SOURCE_DATE_EPOCH", epoch).env("DPKG_DEB_THREADS_MAX", "1")).map(drop)
}

struct Stage<'a> {
    sh: &'a Shell,
    root: PathBuf,
}

impl Stage<'_> {
    fn fill(&self, repo: &Repository, version: &str, epoch: &str) -> Result<()> {
        let sh = self.sh;
        let date =
            command::read(cmd!(sh, "date --utc --rfc-email --date=@{epoch}").env("LC_ALL", "C"))?;
        let changelog = CHANGELOG
            .replace("@VERSION@", version)
            .replace("@MAINTAINER@", MAINTAINER)
            .replace("@DATE@", date.trim());
        let mut files = contents::of(sh, repo, ZSH)?;
        files.push(Entry::new(
            format!("etc/{CONFIG}"),
            read(&repo.root.join(SOURCE).join(CONFIG))?,
            Kind::Config,
        ));
        files.push(Entry::new(format!("{DOCUMENTATION}/copyright"), COPYRIGHT, Kind::License));
        let changelog = contents::compressed(sh, changelog.as_bytes())?;
        files.push(Entry::new(
            format!("{DOCUMENTATION}/changelog.gz"),
            changelog,
            Kind::Documentation,
        ));
        files.push(Entry::new("usr/share/lintian/overrides/kdump-loader", OVERRIDES, Kind::Plain));

        let size: usize = files.iter().map(|file| file.bytes.len().div_ceil(1024)).sum();
        let control = CONTROL
            .replace("@VERSION@", version)
            .replace("@MAINTAINER@", MAINTAINER)
            .replace("@SIZE@", &size.to_string());
        let configs: String = files
            .iter()
            .filter(|file| file.kind == Kind::Config)
            .map(|file| format!("/{}\n", file.place))
            .collect();
        let scripts = SCRIPTS.iter().map(|(name, text)| Entry {
            mode: 0o755,
            ..Entry::new(format!("DEBIAN/{name}"), *text, Kind::Plain)
        });
        files.extend(scripts);
        files.push(Entry::new("DEBIAN/control", control, Kind::Plain));
        files.push(Entry::new("DEBIAN/conffiles", configs, Kind::Plain));
        files.push(Entry::new("DEBIAN/md5sums", self.sums(&files)?, Kind::Plain));
        files.iter().try_for_each(|file| self.write(file))?;
        self.open_directories(&self.root)
    }

    /// Digests of every installed file except configs, for `dpkg --verify` (deb-md5sums(5)).
    fn sums(&self, files: &[Entry]) -> Result<String> {
        let sh = self.sh;
        let mut lines = String::new();
        for file in files
            .iter()
            .filter(|file| file.kind != Kind::Config && !file.place.starts_with("DEBIAN/"))
        {
            let sum = command::read(cmd!(sh, "md5sum").stdin(&file.bytes))?;
            lines += &format!("{}  {}\n", sum.split(' ').next().unwrap_or_default(), file.place);
        }
        Ok(lines)
    }

    fn write(&self, file: &Entry) -> Result<()> {
        let to = self.root.join(&file.place);
        self.sh.create_dir(to.parent().context("every file is in a directory")?)?;
        self.sh.write_file(&to, &file.bytes)?;
        permit(&to, file.mode)
    }

    /// Sets the mode of every directory, whatever this machine's umask is.
    fn open_directories(&self, below: &Path) -> Result<()> {
        permit(below, 0o755)?;
        self.sh
            .read_dir(below)?
            .iter()
            .filter(|path| path.is_dir())
            .try_for_each(|path| self.open_directories(path))
    }
}

fn permit(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot change {}", path.display()))
}
