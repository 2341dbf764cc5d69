//! `cargo xtask package`: what Debian installs, `target/dist/kdump-loader_VERSION_amd64.deb`.
//!
//! On entry: what `build` makes. On exit: the package, listed in the MANIFEST. Installing it puts files in place and nothing else: whose image is
//! armed is for `kdump-loader service install` to change, and to change back. The same source makes the same package: every time stamp in
//! it is SOURCE_DATE_EPOCH, every owner root, every permission set here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::build::{self, manifest};
use crate::command;
use crate::repository::Repository;

/// Build everything, then a Debian package of the loader in target/dist
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    /// Builds, and prints what came out.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        build(sh, repo)?;
        print!("{}", manifest::read(repo)?);
        Ok(())
    }
}

/// Where it is put together, relative to the repository's root.
const STAGE: &str = "target/package";
/// The time of every file in it, in seconds since 1970, unless the environment has another: a copy of the source without its history must make
/// the same. It is the first second of 2026.
const SOURCE_DATE_EPOCH: &str = "1767225600";

const CONTROL: &str = include_str!("package/control");
const COPYRIGHT: &str = include_str!("package/copyright");
/// Maintainer scripts, as dpkg calls them (deb-postinst(5) and its neighbours).
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("package/postinst")),
    ("prerm", include_str!("package/prerm")),
    ("postrm", include_str!("package/postrm")),
];
/// What the administrator may change and dpkg shall not overwrite.
const CONFFILE: &str = "etc/kdump-loader.toml";
/// Files of `dist/`, and where they go.
const DIST: [(&str, &str); 5] = [
    ("kdump-loader.service", "usr/lib/systemd/system/kdump-loader.service"),
    ("kdump-loader-reload.path", "usr/lib/systemd/system/kdump-loader-reload.path"),
    ("kdump-loader-reload.service", "usr/lib/systemd/system/kdump-loader-reload.service"),
    ("40-kdump-loader.rules", "usr/lib/udev/rules.d/40-kdump-loader.rules"),
    ("kdump-loader.toml", CONFFILE),
];
/// Completions, and where Debian's shells look for them.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash/kdump-loader", "usr/share/bash-completion/completions/kdump-loader"),
    ("zsh/_kdump-loader", "usr/share/zsh/vendor-completions/_kdump-loader"),
    ("fish/kdump-loader.fish", "usr/share/fish/vendor_completions.d/kdump-loader.fish"),
];
const DOCUMENTATION: &str = "usr/share/doc/kdump-loader";

/// Builds everything, the package included.
pub fn build(sh: &Shell, repo: &Repository) -> Result<()> {
    build::build(sh, repo)?;
    let stage = repo.root.join(STAGE);
    sh.remove_path(&stage)?;
    let stage = Stage { sh, root: stage };
    stage.fill(repo)?;
    let (root, package) = (&stage.root, repo.debian_package());
    let epoch = std::env::var_os("SOURCE_DATE_EPOCH").unwrap_or_else(|| SOURCE_DATE_EPOCH.into());
    // One thread, because how xz divides its work changes what comes out.
    let pack = cmd!(sh, "dpkg-deb --root-owner-group --build {root} {package}");
    command::read(pack.env("SOURCE_DATE_EPOCH", epoch).env("DPKG_DEB_THREADS_MAX", "1"))?;
    manifest::write(repo)
}

/// The package's tree in the making.
struct Stage<'a> {
    sh: &'a Shell,
    root: PathBuf,
}

impl Stage<'_> {
    fn fill(&self, repo: &Repository) -> Result<()> {
        self.copy(&repo.loader(), "usr/sbin/kdump-loader", 0o755)?;
        for (name, place) in DIST {
            self.copy(&repo.root.join("dist").join(name), place, 0o644)?;
        }
        for (name, place) in COMPLETIONS {
            self.copy(&repo.completions().join(name), place, 0o644)?;
        }
        for page in self.sh.read_dir(repo.man())? {
            let name = page.file_name().context("a page has a name")?.to_string_lossy().into_owned();
            let section = page.extension().context("a page names its section")?.to_string_lossy().into_owned();
            self.compressed(&page, &format!("usr/share/man/man{section}/{name}"))?;
        }
        self.write(&format!("{DOCUMENTATION}/copyright"), COPYRIGHT, 0o644)?;
        self.compressed(&repo.root.join("CHANGELOG.md"), &format!("{DOCUMENTATION}/changelog"))?;

        let size = self.size(&self.root)?.div_ceil(1024);
        let control = CONTROL.replace("@VERSION@", env!("CARGO_PKG_VERSION")).replace("@SIZE@", &size.to_string());
        self.write("DEBIAN/control", &control, 0o644)?;
        self.write("DEBIAN/conffiles", &format!("/{CONFFILE}\n"), 0o644)?;
        SCRIPTS.iter().try_for_each(|(name, text)| self.write(&format!("DEBIAN/{name}"), text, 0o755))?;
        self.open_directories(&self.root)
    }

    fn copy(&self, from: &Path, place: &str, mode: u32) -> Result<()> {
        let to = self.place(place)?;
        fs::copy(from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        permit(&to, mode)
    }

    fn write(&self, place: &str, text: &str, mode: u32) -> Result<()> {
        let to = self.place(place)?;
        self.sh.write_file(&to, text)?;
        permit(&to, mode)
    }

    /// As Debian wants pages and change logs; without a name and a time in the result (gzip(1), -n).
    fn compressed(&self, from: &Path, place: &str) -> Result<()> {
        self.copy(from, place, 0o644)?;
        let file = self.root.join(place);
        let sh = self.sh;
        command::read(cmd!(sh, "gzip -9 -n {file}")).map(drop)
    }

    fn place(&self, place: &str) -> Result<PathBuf> {
        let to = self.root.join(place);
        self.sh.create_dir(to.parent().context("every file lies in a directory")?)?;
        Ok(to)
    }

    /// Bytes of all files.
    fn size(&self, below: &Path) -> Result<u64> {
        let mut size = 0;
        for path in self.sh.read_dir(below)? {
            size += if path.is_dir() { self.size(&path)? } else { path.metadata()?.len() };
        }
        Ok(size)
    }

    /// Whatever this machine's umask is.
    fn open_directories(&self, below: &Path) -> Result<()> {
        permit(below, 0o755)?;
        self.sh.read_dir(below)?.iter().filter(|path| path.is_dir()).try_for_each(|path| self.open_directories(path))
    }
}

fn permit(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(|| format!("cannot change {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_shell_scripts_that_stop_at_a_failure() {
        for (name, text) in SCRIPTS {
            assert!(text.starts_with("#!/bin/sh\nset -e\n"), "{name}");
            let sh = Shell::new().unwrap();
            cmd!(sh, "sh -n").stdin(text).quiet().run().unwrap();
        }
    }

    #[test]
    fn everything_in_dist_is_packaged_but_what_switches_a_machine_over() {
        // `kdump-loader service install` writes these.
        const SWITCHES_OVER: [&str; 3] = ["60-kdump-loader-sysctl.conf", "80-kdump-loader.preset", "90-kdump-loader.conf"];
        let dist = Repository::find().unwrap().root.join("dist");
        let mut names: Vec<String> =
            fs::read_dir(dist).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !SWITCHES_OVER.contains(&name.as_str()));
        names.sort();
        let mut packaged: Vec<&str> = DIST.iter().map(|(name, _)| *name).collect();
        packaged.sort();
        assert_eq!(names, packaged);
    }
}
