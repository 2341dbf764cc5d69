//! QEMU 10 or newer: the machine's own, else one from the archive, with the libraries that the
//! machine lacks.
//!
//! * On exit: a program that has started a q35 machine under TCG, and has quit on request.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use qemu_runner::assets::Qemu;
use xshell::{Cmd, cmd};

use super::Supply;
use super::apt::Release;
use crate::command;

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
/// The TCG of QEMU 7.2, which Debian 12 has, lacks SHA-NI.
const OLDEST: u32 = 10;
/// The tree's directories for LD_LIBRARY_PATH and for `-L`, as Debian's packages use them.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
const DATA: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

pub fn get(supply: &Supply<'_>, tree: &Path) -> Result<Qemu> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&path).map(|dir| dir.join(PROGRAM));
    if let Some(program) = programs.into_iter().find(|file| file.is_file()) {
        let own = tried(supply, program, Vec::new(), Vec::new())?;
        if major(&own.version) >= Some(OLDEST) {
            return Ok(own);
        }
        eprintln!("  too old: {} is {}", own.program.display(), own.version);
    }
    let root = supply.root(Release::Machine)?;
    let mut why = "no other is offered".to_owned();
    for suite in [None, root.backports.as_deref()] {
        let packages = root.closure(&[PACKAGE], suite).unwrap_or_else(|error| {
            why = format!("{error:#}");
            Vec::new()
        });
        let offered = packages.iter().find(|package| package.name == PACKAGE);
        if offered.and_then(|package| major_of_package(&package.version)) < Some(OLDEST) {
            continue;
        }
        root.unpack(&packages, tree)?;
        let below = |dirs: &[&str]| -> Vec<PathBuf> {
            dirs.iter().map(|dir| tree.join(dir)).filter(|dir| dir.is_dir()).collect()
        };
        return tried(supply, tree.join("usr/bin").join(PROGRAM), below(&LIBRARIES), below(&DATA));
    }
    bail!("this release has no {PROGRAM} {OLDEST} or newer; install one yourself; {why}")
}

/// QEMU with these directories, if it can start a machine.
fn tried(
    supply: &Supply<'_>,
    program: PathBuf,
    library_path: Vec<PathBuf>,
    data_dirs: Vec<PathBuf>,
) -> Result<Qemu> {
    let mut qemu = Qemu { program, library_path, data_dirs, version: String::new() };
    let text = command::read(command_of(supply, &qemu)?.arg("--version"))?;
    qemu.version = text.lines().next().unwrap_or_default().to_string();
    // The machine stays stopped before its first instruction. It has the ROMs of every machine.
    let quit = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n";
    let options = [
        "-S", "-accel", "tcg", "-machine", "q35", "-m", "64M", "-nic", "none", "-display", "none",
        "-qmp", "stdio",
    ];
    let answers = command::read(command_of(supply, &qemu)?.args(options).stdin(quit))
        .with_context(|| format!("{} cannot start a machine", qemu.program.display()))?;
    ensure!(
        answers.contains("SHUTDOWN"),
        "QEMU reported no shutdown when asked to quit: {answers}"
    );
    Ok(qemu)
}

/// 10 of `1:10.0.2+ds-2`. A Debian version may start with an epoch.
fn major_of_package(version: &str) -> Option<u32> {
    version.split(':').next_back()?.split('.').next()?.parse().ok()
}

/// 10 of `QEMU emulator version 10.0.2 (Debian …)`.
fn major(version: &str) -> Option<u32> {
    version.split("version ").nth(1)?.split('.').next()?.parse().ok()
}

fn command_of<'a>(supply: &Supply<'a>, qemu: &Qemu) -> Result<Cmd<'a>> {
    let program = &qemu.program;
    let mut command = cmd!(supply.sh, "{program}");
    for dir in &qemu.data_dirs {
        command = command.arg("-L").arg(dir);
    }
    if qemu.library_path.is_empty() {
        return Ok(command);
    }
    let joined = std::env::join_paths(&qemu.library_path);
    Ok(command.env("LD_LIBRARY_PATH", joined.context("the repository's path contains a colon")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12s_own_qemu_is_too_old_and_its_backport_is_not() {
        assert_eq!(major_of_package("1:7.2+dfsg-7+deb12u18"), Some(7));
        assert_eq!(major_of_package("1:10.0.2+ds-2+deb13u1~bpo12+1"), Some(10));
        assert_eq!(major_of_package("10.1.0-1"), Some(10));
        assert_eq!(major("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"), Some(10));
        assert_eq!(major("no such thing"), None);
    }
}
