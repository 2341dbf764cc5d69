//! The Debian package, built by dpkg-deb from a tree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
    let epoch = source_date_epoch()?.to_string();
    for Entry { place, bytes, mode, .. } in files(sh, repo, version, &epoch)? {
        let to = root.join(place);
        sh.write_file(&to, bytes)?;
        permit(&to, mode)?;
    }
    open_directories(sh, &root)?;
    // One thread, because xz's output depends on how it divides its work.
    let pack = cmd!(sh, "dpkg-deb --root-owner-group --build {root} {package}");
    command::read(pack.env("SOURCE_DATE_EPOCH", epoch).env("DPKG_DEB_THREADS_MAX", "1")).map(drop)
}

/// Every file of the package's tree.
fn files(sh: &Shell, repo: &Repository, version: &str, epoch: &str) -> Result<Vec<Entry>> {
    let date = cmd!(sh, "date --utc --rfc-email --date=@{epoch}").env("LC_ALL", "C");
    let date = command::read(date)?;
    let filled = |text: &str| {
        let text = text.replace("@VERSION@", version).replace("@MAINTAINER@", MAINTAINER);
        text.replace("@DATE@", date.trim())
    };
    let mut files = contents::of(sh, repo, ZSH)?;
    let config = read(&repo.root.join(SOURCE).join(CONFIG))?;
    files.push(Entry::new(format!("etc/{CONFIG}"), config, Kind::Config));
    files.push(Entry::new(format!("{DOCUMENTATION}/copyright"), COPYRIGHT, Kind::License));
    let changelog = contents::compressed(sh, filled(CHANGELOG).as_bytes())?;
    let place = format!("{DOCUMENTATION}/changelog.gz");
    files.push(Entry::new(place, changelog, Kind::Documentation));
    files.push(Entry::new("usr/share/lintian/overrides/kdump-loader", OVERRIDES, Kind::Plain));

    let size: usize = files.iter().map(|file| file.bytes.len().div_ceil(1024)).sum();
    let control = filled(CONTROL).replace("@SIZE@", &size.to_string());
    let (configs, others): (Vec<_>, Vec<_>) =
        files.iter().partition(|file| file.kind == Kind::Config);
    let configs: String = configs.iter().map(|file| format!("/{}\n", file.place)).collect();
    // For `dpkg --verify` (deb-md5sums(5)).
    let mut sums = String::new();
    for Entry { place, bytes, .. } in others {
        let sum = command::read(cmd!(sh, "md5sum").stdin(bytes))?;
        sums += &format!("{}  {place}\n", sum.split(' ').next().unwrap_or_default());
    }
    files.extend(SCRIPTS.iter().map(|(name, text)| Entry {
        mode: 0o755,
        ..Entry::new(format!("DEBIAN/{name}"), *text, Kind::Plain)
    }));
    for (name, text) in [("control", control), ("conffiles", configs), ("md5sums", sums)] {
        files.push(Entry::new(format!("DEBIAN/{name}"), text, Kind::Plain));
    }
    Ok(files)
}

/// Sets the mode of every directory, whatever this machine's umask is.
fn open_directories(sh: &Shell, below: &Path) -> Result<()> {
    permit(below, 0o755)?;
    let paths = sh.read_dir(below)?;
    paths.iter().filter(|path| path.is_dir()).try_for_each(|path| open_directories(sh, path))
}

fn permit(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot change {}", path.display()))
}
