//! `kdump-loader service …`: installs, takes away or checks the service around this program, and lets a running systemd and udev know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::arm::write;
use crate::findings::Level;
use crate::health;
use crate::options::config;
use crate::service::{self, Choice, Done, Program, Turn, divert};
use serde::Serialize;

use super::{Error, LIVE, OURSELVES, in_full, print, print_json, say};
use crate::cli::{Check, Divert, Install, Service, Uninstall};

/// There when systemd runs (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
/// There when udev runs.
const UDEV: &str = "/run/udev/control";
/// Applies files of sysctl.d (systemd-sysctl.service(8)); the second where /lib is not a link.
const SYSCTLS: [&str; 2] = ["/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl"];
/// What arms at boot.
const SERVICE: &str = "kdump-loader.service";
/// Keeps systemd from disarming when it stops that; gone before anything else can.
const FORGETS_TO_UNLOAD: &str = "/run/systemd/system/kdump-loader.service.d/stays-armed.conf";
/// What waits for the udev rule's notes.
const PATH_UNIT: &str = "kdump-loader-reload.path";

/// Does it.
pub fn run(what: &Service) -> Result<(), Error> {
    match what {
        Service::Install(arguments) => install(arguments),
        Service::Uninstall(arguments) => uninstall(arguments),
        Service::Divert(arguments) => divert(arguments),
        Service::Check(arguments) => check(arguments),
    }
}

fn myself() -> Result<Vec<u8>, Error> {
    fs::read(OURSELVES).map_err(|source| Error::Program { path: OURSELVES.into(), source })
}

fn install(Install { mask_conflicts, distribution, place, dry_run }: &Install) -> Result<(), Error> {
    let root = &place.root;
    let turn = turn(root, *dry_run)?;
    let settings = service::taken_over(root, *distribution)?;
    let choice = Choice { mask_conflicts: *mask_conflicts, distribution: *distribution };
    let done = service::install(&turn, Program(&myself()?), choice)?;
    tell(&done)?;
    settings.fates.iter().for_each(|fate| say(format_args!("{fate}")));
    if *dry_run {
        say(format_args!("nothing was changed"));
        return Ok(());
    }
    if done.is_empty() {
        say(format_args!("everything was there already"));
    }
    if turn.is_live() {
        // Even then: an earlier run may have been killed before it did.
        let _ = fs::remove_file(FORGETS_TO_UNLOAD);
        announce()?;
        apply_settings();
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

/// Waits for another installation or removal, which may be talking to systemd.
fn turn(root: &Path, dry_run: bool) -> Result<Turn<'_>, Error> {
    if dry_run {
        return Ok(Turn::DryRun { root });
    }
    let waiting = |seconds| say(format_args!("waiting for another `kdump-loader service`, {seconds} s at most"));
    Ok(Turn::wait(root, waiting)?)
}

fn configuration(root: &Path) -> PathBuf {
    root.join(config::DEFAULT)
}

fn uninstall(Uninstall { place, dry_run }: &Uninstall) -> Result<(), Error> {
    let root = &place.root;
    let turn = turn(root, *dry_run)?;
    let live = turn.is_live();
    // A systemd that refuses must not keep files from being put back: a package's removal would leave them. It is reported afterwards.
    let stood_down = if live && Path::new(SYSTEMD).exists() { stand_down() } else { Ok(()) };
    // Nor must a dpkg-divert that fails. It is reported first: a second run may not find the diversion.
    let undiverted = if divert::is_diverted(root) { undivert(&turn) } else { Ok(()) };
    let Some(done) = service::uninstall(&turn)? else {
        say(format_args!("nothing is installed that `service install` has put here"));
        let told = if live { announce().and(stood_down) } else { Ok(()) };
        return undiverted.and(told);
    };
    tell(&done)?;
    let told = if live { announce().and(stood_down) } else { Ok(()) };
    undiverted.and(told)?;
    if live {
        say(format_args!(
            "what is armed stays armed, and kernel.panic_on_oops stays as it is until the next boot; start the service that takes over, or \
             `kdump-loader unload`"
        ));
    }
    Ok(())
}

fn undivert(turn: &Turn<'_>) -> Result<(), Error> {
    tell_steps(&divert::undo(turn)?)
}

fn tell_steps(steps: &[divert::Step]) -> Result<(), Error> {
    print(&steps.iter().map(|step| format!("{step}\n")).collect::<String>())
}

/// Ends the units without disarming: a unit that systemd still holds for active would arm nothing when it is started again, after somebody else
/// has armed in between. They forget how to disarm until systemd reads their files anew.
fn stand_down() -> Result<(), Error> {
    let drop_in = Path::new(FORGETS_TO_UNLOAD);
    let directory = drop_in.parent().expect("a drop-in lies in a directory");
    let failed = |source| Error::Output { path: drop_in.to_owned(), source };
    write::create_directory(directory, 0o755)
        .and_then(|()| write::replace(drop_in, b"[Service]\nExecStop=\n", 0o644))
        .map_err(failed)?;
    let told = tell_system("systemctl", &["daemon-reload"]);
    if told.is_ok() {
        // Not known, not stopped.
        let _ = tell_system("systemctl", &["--quiet", "stop", SERVICE, PATH_UNIT]);
    }
    fs::remove_file(drop_in).map_err(failed)?;
    // The administrator may have something there, too.
    let _ = fs::remove_dir(directory);
    told
}

fn divert(Divert { undo, place, dry_run }: &Divert) -> Result<(), Error> {
    let turn = turn(&place.root, *dry_run)?;
    let steps = if *undo { divert::undo(&turn)? } else { divert::divert(&turn, &program(&place.root)?)? };
    tell_steps(&steps)?;
    match (steps.is_empty(), dry_run) {
        (true, _) => say(format_args!("nothing to do")),
        (false, true) => say(format_args!("nothing was changed")),
        (false, false) => {}
    }
    Ok(())
}

/// Where this program is installed on a machine; on the live one, if it is not, where it runs from.
fn program(root: &Path) -> Result<PathBuf, Error> {
    if root.join(service::PROGRAM).is_file() {
        return Ok(Path::new(LIVE).join(service::PROGRAM));
    }
    let ourselves = fs::read_link(OURSELVES).ok().filter(|path| root.join(path.strip_prefix(LIVE).unwrap_or(path)).is_file());
    Ok(ourselves.ok_or_else(|| service::Error::NoProgram { path: root.join(service::PROGRAM) })?)
}

/// What `service check --json` prints.
#[derive(Serialize)]
struct Checked<'a> {
    /// Whether there is nothing to be done.
    right: bool,
    /// Everything that was looked at.
    findings: Vec<Looked<'a>>,
}

/// One of them.
#[derive(Serialize)]
struct Looked<'a> {
    code: &'static str,
    path: &'a Path,
    /// As people are told.
    words: String,
}

fn check(Check { distribution, place, json }: &Check) -> Result<(), Error> {
    let installed = service::check(&place.root, Program(&myself()?), *distribution)?;
    // What `status` would say of the files that the config names, before they are armed. A dump with limits is no reason to fail.
    let of_config = health::files_of_config(&place.root);
    let wrong = installed.iter().filter(|finding| !finding.is_right()).count()
        + of_config.iter().filter(|finding| finding.level > Level::Warning).count();
    let config = configuration(&place.root);
    let looked =
        installed.iter().map(|finding| Looked { code: finding.code(), path: finding.path(), words: finding.to_string() });
    let looked = looked.chain(of_config.iter().map(|finding| Looked {
        code: finding.code.word(),
        path: &config,
        words: finding.to_string(),
    }));
    let looked: Vec<Looked<'_>> = looked.collect();
    let of = looked.len();
    if *json {
        print_json(&Checked { right: wrong == 0, findings: looked })?;
    } else {
        let lines: String = looked.iter().map(|looked| format!("{}\n", looked.words)).collect();
        print(&lines)?;
    }
    if wrong == 0 { Ok(()) } else { Err(Error::NotInstalled { wrong, of }) }
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

/// Applies the kernel's settings of the service at once; what the administrator has set elsewhere for the same keys goes before.
fn apply_settings() {
    let Some(program) = SYSCTLS.into_iter().find(|program| Path::new(SYSTEMD).exists() && Path::new(program).exists()) else {
        return;
    };
    let keys = service::sysctl_keys(Path::new(LIVE)).into_iter().map(|key| format!("--prefix={}", key.replace('.', "/")));
    let keys: Vec<String> = keys.collect();
    if let Err(error) = tell_system(program, &keys.iter().map(String::as_str).collect::<Vec<_>>()) {
        say(format_args!("{}", in_full(&error)));
    }
}

fn tell_system(program: &str, arguments: &[&str]) -> Result<(), Error> {
    let command = format!("{program} {}", arguments.join(" "));
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::System { command, ended: status.to_string(), source: None }),
        Err(source) => Err(Error::System { command, ended: "could not be run".into(), source: Some(source) }),
    }
}
