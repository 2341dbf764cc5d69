//! `kdump-loader service …`: installs, uninstalls or checks the service around this program, and
//! notifies systemd and udev.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::{Error, LIVE, print, print_json};
use crate::arm::request_for::OURSELVES;
use crate::arm::write;
use crate::cli::{Check, Divert, Install, Service, Uninstall};
use crate::findings::Level;
use crate::health;
use crate::messages::{in_full, note, say, warn};
use crate::options::config;
use crate::service::{self, Access, Choice, Done, Program, divert};

/// Exists while systemd runs (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
/// Exists while udev runs.
const UDEV: &str = "/run/udev/control";
/// Applies files of sysctl.d (systemd-sysctl.service(8)); the second path is for a /lib that is not
/// a link.
const SYSCTLS: [&str; 2] = ["/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl"];
/// The unit that arms at boot.
const SERVICE: &str = "kdump-loader.service";
/// A temporary drop-in of the unit that disarms when [`SERVICE`] is stopped.
const STAYS_ARMED: &str = "/run/systemd/system/kdump-loader-disarm.service.d/stays-armed.conf";
/// Its text. A unit without any command would be invalid.
const STOP_NOTHING: &str = "[Service]\nExecStop=\nExecStop=/bin/true\n";
/// The unit that waits for queued events.
const PATH_UNIT: &str = "kdump-loader-reload.path";

/// Runs one of the subcommands.
pub fn run(what: &Service) -> Result<(), Error> {
    match what {
        Service::Install(arguments) => install(arguments),
        Service::Uninstall(arguments) => uninstall(arguments),
        Service::Divert(arguments) => divert(arguments),
        Service::Check(arguments) => check(arguments),
    }
}

fn own_program() -> Result<Vec<u8>, Error> {
    fs::read(OURSELVES).map_err(|source| Error::Program { path: OURSELVES.into(), source })
}

fn install(
    Install { mask_conflicts, distribution, place, dry_run }: &Install,
) -> Result<(), Error> {
    let root = &place.root;
    let access = access(root, *dry_run)?;
    let settings = service::taken_over(root, *distribution)?;
    let choice = Choice { mask_conflicts: *mask_conflicts, distribution: *distribution };
    let done = service::install(&access, Program(&own_program()?), choice)?;
    print_changes(&done)?;
    settings.fates.iter().for_each(|fate| note(format_args!("{fate}")));
    if *dry_run {
        say(format_args!("dry run: nothing was changed"));
        return Ok(());
    }
    if done.is_empty() {
        say(format_args!("already installed"));
    }
    if access.is_live() {
        // Even if nothing was changed: an earlier run may have been killed before this.
        let _ = fs::remove_file(STAYS_ARMED);
        reload_systemd_and_udev()?;
        apply_settings();
    }
    let others = service::conflicts(root)?;
    if !others.is_empty() {
        let also = if others.len() == 1 {
            "another service or udev rule also arms".to_owned()
        } else {
            format!("{} other services or udev rules also arm", others.len())
        };
        warn(format_args!(
            "{also} capture kernels: `kdump-loader service check` lists them, `kdump-loader \
             service install --mask-conflicts` keeps them from arming"
        ));
    }
    say(format_args!(
        "check {}, then run `systemctl start kdump-loader`; from the next boot on, it starts by \
         itself",
        configuration(root).display()
    ));
    Ok(())
}

/// Waits for another installation or removal, which may be waiting for systemd.
fn access(root: &Path, dry_run: bool) -> Result<Access<'_>, Error> {
    if dry_run {
        return Ok(Access::DryRun { root });
    }
    let waiting = |seconds| {
        note(format_args!("another `kdump-loader service` is running; waiting up to {seconds} s"))
    };
    Ok(Access::lock(root, waiting)?)
}

fn configuration(root: &Path) -> PathBuf {
    root.join(config::DEFAULT)
}

fn uninstall(Uninstall { place, dry_run }: &Uninstall) -> Result<(), Error> {
    let root = &place.root;
    let access = access(root, *dry_run)?;
    let live = access.is_live();
    // If systemd fails, the files are restored all the same, or a package's removal would leave
    // them. The failure is reported at the end.
    let stopped =
        if live && Path::new(SYSTEMD).exists() { stop_without_disarming() } else { Ok(()) };
    // The same if dpkg-divert fails. This is reported first, because a second run may not find the
    // diversion.
    let undiverted = if divert::is_diverted(root) { undivert(&access) } else { Ok(()) };
    let Some(done) = service::uninstall(&access)? else {
        say(format_args!("nothing is installed"));
        let notified = if live { reload_systemd_and_udev().and(stopped) } else { Ok(()) };
        return undiverted.and(notified);
    };
    print_changes(&done)?;
    let notified = if live { reload_systemd_and_udev().and(stopped) } else { Ok(()) };
    undiverted.and(notified)?;
    if live {
        note(format_args!(
            "the armed image stays armed, and kernel.panic_on_oops keeps its value until the next \
             boot; now start the service that takes over, or run `kdump-loader unload`"
        ));
    }
    Ok(())
}

fn undivert(access: &Access<'_>) -> Result<(), Error> {
    print_steps(&divert::undo(access)?)
}

fn print_steps(steps: &[divert::Step]) -> Result<(), Error> {
    print(&steps.iter().map(|step| format!("{step}\n")).collect::<String>())
}

/// Stops the units without disarming. A unit that stayed active would not arm when it is started
/// again, although another service may have armed meanwhile. A drop-in replaces ExecStop= until
/// systemd reloads its files.
fn stop_without_disarming() -> Result<(), Error> {
    let drop_in = Path::new(STAYS_ARMED);
    let directory = drop_in.parent().expect("a drop-in is in a directory");
    let failed = |source| Error::Output { path: drop_in.to_owned(), source };
    write::create_directory(directory, 0o755)
        .and_then(|()| write::replace(drop_in, STOP_NOTHING.as_bytes(), 0o644))
        .map_err(failed)?;
    let notified = run_program("systemctl", &["daemon-reload"]);
    if notified.is_ok() {
        // Fails if a unit is unknown; then it is not running either.
        let _ = run_program("systemctl", &["--quiet", "stop", SERVICE, PATH_UNIT]);
    }
    fs::remove_file(drop_in).map_err(failed)?;
    // Fails if the administrator has another drop-in there.
    let _ = fs::remove_dir(directory);
    notified
}

fn divert(Divert { undo, place, dry_run }: &Divert) -> Result<(), Error> {
    let access = access(&place.root, *dry_run)?;
    let steps = if *undo {
        divert::undo(&access)?
    } else {
        divert::divert(&access, &program(&place.root)?)?
    };
    print_steps(&steps)?;
    match (steps.is_empty(), dry_run) {
        (true, _) => say(format_args!("nothing to do")),
        (false, true) => say(format_args!("dry run: nothing was changed")),
        (false, false) => {}
    }
    Ok(())
}

/// Where this program is installed below a root. If it is not installed, its running file, if that
/// is below the root.
fn program(root: &Path) -> Result<PathBuf, Error> {
    if root.join(service::PROGRAM).is_file() {
        return Ok(Path::new(LIVE).join(service::PROGRAM));
    }
    let ourselves = fs::read_link(OURSELVES)
        .ok()
        .filter(|path| root.join(path.strip_prefix(LIVE).unwrap_or(path)).is_file());
    Ok(ourselves.ok_or_else(|| service::Error::NoProgram { path: root.join(service::PROGRAM) })?)
}

/// What `service check --json` prints.
#[derive(Serialize)]
struct Checked<'a> {
    /// Whether there is no problem.
    right: bool,
    /// Everything that was checked.
    findings: Vec<Looked<'a>>,
}

/// One finding.
#[derive(Serialize)]
struct Looked<'a> {
    code: &'static str,
    path: &'a Path,
    /// The line that is printed without --json.
    words: String,
}

fn check(Check { distribution, place, json }: &Check) -> Result<(), Error> {
    let installed = service::check(&place.root, Program(&own_program()?), *distribution)?;
    // What `status` would say about the config's files once they are armed. Warnings are no reason
    // to fail.
    let of_config = health::files_of_config(&place.root);
    let problems = installed.iter().filter(|finding| !finding.is_right()).count();
    let severe = of_config.iter().filter(|finding| finding.level > Level::Warning).count();
    let right = problems == 0 && severe == 0;
    let config = configuration(&place.root);
    let looked = installed.iter().map(|finding| Looked {
        code: finding.code(),
        path: finding.path(),
        words: finding.to_string(),
    });
    let looked = looked.chain(of_config.iter().map(|finding| Looked {
        code: finding.code.word(),
        path: &config,
        words: finding.to_string(),
    }));
    let looked: Vec<Looked<'_>> = looked.collect();
    if *json {
        print_json(&Checked { right, findings: looked })?;
    } else {
        let lines: String = looked.iter().map(|looked| format!("{}\n", looked.words)).collect();
        print(&lines)?;
    }
    if right { Ok(()) } else { Err(Error::NotInstalled { problems, of_config: severe }) }
}

fn print_changes(done: &[Done]) -> Result<(), Error> {
    let lines: String = done.iter().map(|done| format!("{done}\n")).collect();
    print(&lines)
}

/// Makes a running systemd and udev reload their files.
fn reload_systemd_and_udev() -> Result<(), Error> {
    if Path::new(SYSTEMD).exists() {
        run_program("systemctl", &["daemon-reload"])?;
    }
    if Path::new(UDEV).exists() {
        run_program("udevadm", &["control", "--reload"])?;
    }
    Ok(())
}

/// Applies the service's kernel settings at once. Later files of the administrator override them.
fn apply_settings() {
    let Some(program) = SYSCTLS
        .into_iter()
        .find(|program| Path::new(SYSTEMD).exists() && Path::new(program).exists())
    else {
        return;
    };
    let keys = service::sysctl_keys(Path::new(LIVE))
        .into_iter()
        .map(|key| format!("--prefix={}", key.replace('.', "/")));
    let keys: Vec<String> = keys.collect();
    if let Err(error) = run_program(program, &keys.iter().map(String::as_str).collect::<Vec<_>>()) {
        warn(format_args!("{}", in_full(&error)));
    }
}

fn run_program(program: &str, arguments: &[&str]) -> Result<(), Error> {
    let command = format!("{program} {}", arguments.join(" "));
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::System { command, ended: status.to_string(), source: None }),
        Err(source) => Err(Error::System {
            command,
            ended: "it could not be run".into(),
            source: Some(source),
        }),
    }
}
