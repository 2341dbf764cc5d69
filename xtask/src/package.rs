//! `cargo xtask package`: the packages for Debian, Fedora and openSUSE,
//! `target/dist/kdump-loader_VERSION_amd64.deb` and `kdump-loader-VERSION-1.x86_64.rpm`.
//!
//! * On exit: both packages, listed in the MANIFEST.
//!
//! Installing a package only puts files in place. The armed image changes only with `kdump-loader
//! service install`. The same source makes the same packages: every timestamp is SOURCE_DATE_EPOCH,
//! every owner is root, and every mode is set here.

mod contents; // the files that both install
mod debian; // the .deb
mod rpm; // the .rpm
mod lint; // lintian and rpmlint
mod prove; // installed, upgraded, removed and purged in private trees

use anyhow::{Context, Result};
use xshell::Shell;

use crate::build::{self, manifest};
use crate::repository::Repository;

/// Build everything, then a Debian package and an RPM of the loader, into target/dist
#[derive(clap::Args)]
pub struct Args {
    /// Also check the packages with lintian and rpmlint; and install, upgrade, remove and purge
    /// them in private trees of Debian 12, Debian 13 and rpm
    #[arg(long)]
    prove: bool,
}

impl Args {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        build(sh, repo)?;
        manifest::print(repo)?;
        if self.prove {
            lint::check(sh, repo)?;
            prove::prove(sh, repo)?;
        }
        Ok(())
    }
}

/// The time of every file in a package, unless the environment has another: the first second of
/// 2026, in seconds since 1970. It is not the time of a commit, because a copy of the source has no
/// history.
const SOURCE_DATE_EPOCH: u32 = 1_767_225_600;
/// The maintainer. The host is one for examples (RFC 2606), because the project has no address yet.
const MAINTAINER: &str = "kdump-purgatory maintainers <maintainers@kdump-purgatory.example>";
/// The workspace's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds everything, including the packages.
pub fn build(sh: &Shell, repo: &Repository) -> Result<()> {
    build::build(sh, repo)?;
    debian::build(sh, repo, VERSION, &repo.debian_package())?;
    rpm::build(sh, repo, VERSION, &repo.rpm_package())?;
    manifest::write(repo)
}

/// The time of every file, in seconds since 1970.
fn source_date_epoch() -> Result<u32> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={seconds} is not a number of seconds")),
        Err(_) => Ok(SOURCE_DATE_EPOCH),
    }
}

#[cfg(test)]
mod tests {
    use xshell::cmd;

    use super::*;

    #[test]
    fn package_scripts_are_valid_shell_and_end_with_success() {
        let sh = Shell::new().unwrap();
        for (name, text) in debian::SCRIPTS.into_iter().chain(rpm::SCRIPTS) {
            assert!(text.ends_with("\nexit 0\n"), "{name}");
            cmd!(sh, "sh -n").stdin(text).quiet().run().unwrap();
        }
        for (name, text) in debian::SCRIPTS {
            assert!(text.starts_with("#!/bin/sh\nset -e\n"), "{name}");
        }
    }
}
