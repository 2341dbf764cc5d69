//! `kdump-loader service …`: installs, takes away or checks the service around this program, and lets a running systemd and udev know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use loader::config;
use loader::service::{self, Done, Program};

use super::{Error, LIVE, print, say};
use crate::cli::{Check, Install, Service, Uninstall};

/// This program, as the kernel has it open: it may have been replaced since it was started.
const MYSELF: &str = "/proc/self/exe";
/// There when systemd runs (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
/// There when udev runs.
const UDEV: &str = "/run/udev/control";
/// What waits for the udev rule's notes.
const PATH_UNIT: &str = "kdump-loader-reload.path";

/// Does it.
pub fn run(what: &Service) -> Result<(), Error> {
    match what {
        Service::Install(arguments) => install(arguments),
        Service::Uninstall(arguments) => uninstall(arguments),
        Service::Check(arguments) => check(arguments),
    }
}

fn myself() -> Result<Vec<u8>, Error> {
    fs::read(MYSELF).map_err(|source| Error::Input { what: "program itself", path: MYSELF.into(), source })
}

fn install(Install { mask_conflicts, place, dry_run }: &Install) -> Result<(), Error> {
    let root = &place.root;
    let done = service::install(root, Program(&myself()?), *mask_conflicts, *dry_run)?;
    tell(&done)?;
    if *dry_run {
        say(format_args!("nothing was changed"));
        return Ok(());
    }
    if done.is_empty() {
        say(format_args!("everything was there already"));
    } else if root == Path::new(LIVE) {
        announce()?;
    }
    let others = service::conflicts(root)?;
    if !others.is_empty() {
        say(format_args!(
            "{} arm images of their own over ours: `kdump-loader service check` names them, `service install --mask-conflicts` holds them back",
            if others.len() == 1 { "somebody else may".into() } else { format!("{} others may", others.len()) }
        ));
    }
    say(format_args!(
        "look at {}; `systemctl start kdump-loader` arms, and every boot from now on",
        configuration(root).display()
    ));
    Ok(())
}

fn configuration(root: &Path) -> PathBuf {
    root.join(config::DEFAULT)
}

fn uninstall(Uninstall { place, dry_run }: &Uninstall) -> Result<(), Error> {
    let root = &place.root;
    let live = root == Path::new(LIVE) && !dry_run;
    if live && Path::new(SYSTEMD).exists() {
        // While it is still known, if it is. The image that is armed stays armed until somebody else's service takes over.
        let _ = tell_system("systemctl", &["--quiet", "stop", PATH_UNIT]);
    }
    let Some(done) = service::uninstall(root, *dry_run)? else {
        say(format_args!("nothing is installed that `service install` has put here"));
        return Ok(());
    };
    tell(&done)?;
    if live {
        announce()?;
        say(format_args!("what is armed stays armed; start the service that shall take over, or `kdump-loader unload`"));
    }
    Ok(())
}

fn check(Check { place }: &Check) -> Result<(), Error> {
    let findings = service::check(&place.root, Program(&myself()?))?;
    let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    print(&lines)?;
    let wrong = findings.iter().filter(|finding| !finding.is_right()).count();
    if wrong == 0 { Ok(()) } else { Err(Error::NotInstalled { wrong, of: findings.len() }) }
}

fn tell(done: &[Done]) -> Result<(), Error> {
    let lines: String = done.iter().map(|done| format!("{done}\n")).collect();
    print(&lines)
}

/// Lets the systemd and the udev that run read their files anew.
fn announce() -> Result<(), Error> {
    if Path::new(SYSTEMD).exists() {
        tell_system("systemctl", &["daemon-reload"])?;
    }
    if Path::new(UDEV).exists() {
        tell_system("udevadm", &["control", "--reload"])?;
    }
    Ok(())
}

fn tell_system(program: &'static str, arguments: &[&str]) -> Result<(), Error> {
    let command = format!("{program} {}", arguments.join(" "));
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::System { command, ended: status.to_string(), source: None }),
        Err(source) => Err(Error::System { command, ended: "could not be run".into(), source: Some(source) }),
    }
}
