//! QEMU 10 or newer: the machine's own, else one from the archive, with the libraries that the
//! machine lacks.
//!
//! * On exit: a program that has started a q35 machine under TCG, and has quit on request.

use std::path::Path;

use anyhow::{Context, Result, bail};
use qemu_runner::assets::Qemu;
use xshell::{Cmd, cmd};

use crate::command;
use crate::setup::apt::root::Package;
use crate::setup::apt::suites::Purpose;
use crate::setup::supply::{Found, Supply};

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
/// The TCG of QEMU 7.2, which Debian 12 has, lacks SHA-NI.
const OLDEST: u32 = 10;
/// Part of every version in Debian's backports.
const BACKPORT: &str = "~bpo";
/// The tree's directories for LD_LIBRARY_PATH and for `-L`, as Debian's packages use them.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
const DATA: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];
/// ROMs without which QEMU does not start, or does not boot with `-kernel`.
const ROMS: [&str; 3] = ["bios-256k.bin", "linuxboot_dma.bin", "kvmvapic.bin"];

/// Finds or fetches QEMU.
pub fn get(supply: &Supply<'_>, tree: &Path) -> Result<Found<Qemu>> {
    if let Some(qemu) = on_path(supply)? {
        let version = qemu.version.clone();
        return Ok(Found::present(qemu, vec![version]));
    }
    let root = supply.root(Purpose::Machine)?;
    let own = root.newest(PACKAGE, |p| !p.version.contains(BACKPORT))?;
    let release = match own.as_ref() {
        Some(own) if major_of_package(own) >= Some(OLDEST) => None,
        _ => root.backports(),
    };
    let packages = root.closure(&[PACKAGE], release)?;
    let taken = packages.iter().find(|p| p.name == PACKAGE);
    if taken.and_then(major_of_package) < Some(OLDEST) {
        let offered = taken.map_or("none", |p| &p.version);
        bail!(
            "{PROGRAM} {OLDEST} or newer is needed, the archive offers {offered} for this release; install a newer one by hand"
        );
    }
    supply.unpack(&root, &packages, tree)?;
    let below =
        |dirs: &[&str]| dirs.iter().map(|dir| tree.join(dir)).filter(|dir| dir.is_dir()).collect();
    let mut qemu = Qemu {
        program: tree.join("usr/bin").join(PROGRAM),
        library_path: below(&LIBRARIES),
        data_dirs: below(&DATA),
        version: String::new(),
    };
    qemu.version =
        version(supply, &qemu).context("the unpacked QEMU does not run on this machine")?;
    for rom in ROMS {
        if !qemu.data_dirs.iter().any(|dir| dir.join(rom).is_file()) {
            bail!(
                "{rom} is in none of the packages that {PACKAGE} depends on; looked in {:?}",
                qemu.data_dirs
            );
        }
    }
    start_and_quit(supply, &qemu)?;
    Ok(Found::present(qemu, packages.iter().map(Package::spec).collect()))
}

/// The machine's own QEMU, if it is new enough.
fn on_path(supply: &Supply<'_>) -> Result<Option<Qemu>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(program) =
        std::env::split_paths(&path).map(|dir| dir.join(PROGRAM)).find(|file| file.is_file())
    else {
        eprintln!("  {PROGRAM} is not on PATH");
        return Ok(None);
    };
    let mut qemu =
        Qemu { program, library_path: Vec::new(), data_dirs: Vec::new(), version: String::new() };
    qemu.version = version(supply, &qemu)?;
    if major(&qemu.version).is_none_or(|major| major < OLDEST) {
        eprintln!("  too old: {} is {}", qemu.program.display(), qemu.version);
        return Ok(None);
    }
    start_and_quit(supply, &qemu)?;
    Ok(Some(qemu))
}

/// 10 of `1:10.0.2+ds-2`. A Debian version may start with an epoch.
fn major_of_package(package: &Package) -> Option<u32> {
    package.version.split(':').next_back()?.split('.').next()?.parse().ok()
}

/// The first number of `QEMU emulator version 10.0.2 (Debian …)`.
fn major(version: &str) -> Option<u32> {
    version.split("version ").nth(1)?.split('.').next()?.parse().ok()
}

fn version(supply: &Supply<'_>, qemu: &Qemu) -> Result<String> {
    let text = command::read(command_of(supply, qemu)?.arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_string())
}

/// Starts a machine, stopped before its first instruction, and asks QEMU over QMP to quit.
fn start_and_quit(supply: &Supply<'_>, qemu: &Qemu) -> Result<()> {
    let quit = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n";
    let options = [
        "-S", "-accel", "tcg", "-machine", "q35", "-m", "64M", "-nic", "none", "-display", "none",
        "-qmp", "stdio",
    ];
    let answers = command::read(command_of(supply, qemu)?.args(options).stdin(quit))
        .context("QEMU cannot start a machine")?;
    if !answers.contains("SHUTDOWN") {
        bail!("QEMU started, but reported no shutdown when asked to quit; it printed:\n{answers}");
    }
    Ok(())
}

fn command_of<'a>(supply: &Supply<'a>, qemu: &Qemu) -> Result<Cmd<'a>> {
    let program = &qemu.program;
    let mut command = cmd!(supply.sh, "{program}");
    for dir in &qemu.data_dirs {
        command = command.arg("-L").arg(dir);
    }
    if !qemu.library_path.is_empty() {
        let joined: std::ffi::OsString = std::env::join_paths(&qemu.library_path)
            .context("the repository's path contains a colon")?;
        command = command.env("LD_LIBRARY_PATH", joined);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12s_own_qemu_is_too_old_and_its_backport_is_not() {
        let major = |version: &str| {
            let (name, architecture) = (PACKAGE.to_string(), "amd64".to_string());
            let package = Package {
                name,
                version: version.into(),
                architecture,
                section: String::new(),
                sha256: String::new(),
            };
            major_of_package(&package)
        };
        assert_eq!(major("1:7.2+dfsg-7+deb12u18"), Some(7));
        assert_eq!(major("1:10.0.2+ds-2+deb13u1~bpo12+1"), Some(10));
        assert_eq!(major("10.1.0-1"), Some(10));
    }

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"), Some(10));
        assert_eq!(major("no such thing"), None);
    }
}
