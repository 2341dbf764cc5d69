//! `[7]` Replaces Debian's kexec by this program, and restores it (dpkg-divert(1)).
//!
//! *On entry* a machine on which a package has installed kexec.
//!
//! *On exit*
//! - of [`divert`]: the package's program is kexec.distrib, kexec is a link to this program, and
//!   dpkg has a diversion, so that an upgrade replaces kexec.distrib
//! - of [`undo`]: everything is as before
//!
//! kexec exists at every step in between. If a run is interrupted, the next one finishes it.
//!
//! Debian 12 ships /sbin/kexec and Debian 13 /usr/sbin/kexec. If /sbin is a link, they are the same
//! file. dpkg compares paths as text, so on Debian 12 both are diverted, in case of an upgrade to
//! 13. The two diversions need different names. Otherwise, dpkg would treat the new package's file
//! as a leftover of the old package and remove it.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tree::absent_is_fine;
use super::{Access, Error, failed};

/// The paths of kexec. They are the same file if /sbin is a link.
const PLACES: [&str; 2] = ["/sbin/kexec", "/usr/sbin/kexec"];
/// Suffixes of a diverted program (dpkg-divert(1), --divert), for its first and second path.
pub const SUFFIXES: [&str; 2] = [".distrib", ".distrib.usr"];
/// Suffix of the new link until it is renamed.
const NEW: &str = ".kdump-loader-new";
/// File name of the link's target.
const PROGRAM: &str = "kdump-loader";

/// A change, or in a dry run a planned change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// dpkg has a new diversion.
    Registered(&'static str, &'static str),
    /// The package's program has a second name.
    Kept(PathBuf),
    /// kexec is a link to this program.
    Linked(PathBuf, PathBuf),
    /// kexec is the package's program again.
    Restored(PathBuf),
    /// The link was removed. The package is no longer installed.
    Removed(PathBuf),
    /// The diversion was removed from dpkg.
    Unregistered(&'static str),
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(path, suffix) => write!(out, "divert    {path} to {path}{suffix}"),
            Self::Kept(path) => write!(out, "keep      {}", path.display()),
            Self::Linked(path, target) => {
                write!(out, "link      {} -> {}", path.display(), target.display())
            }
            Self::Restored(path) => write!(out, "restore   {}", path.display()),
            Self::Removed(path) => write!(out, "remove    {}", path.display()),
            Self::Unregistered(path) => write!(out, "undivert  {path}"),
        }
    }
}

/// Makes kexec a link to `program`, a path on the machine.
pub fn divert(access: &Access<'_>, program: &Path) -> Result<Vec<Step>, Error> {
    let machine = Machine::new(access)?;
    let known = machine.diversions()?;
    let owned = machine.owned()?.ok_or(Error::NoKexec)?;
    let mut wanted = machine.wanted(owned);
    wanted.retain(|wanted| !known.iter().any(|known| known.place == wanted.place));
    let suffix = known
        .iter()
        .chain(&wanted)
        .find(|known| known.place == owned)
        .map_or(SUFFIXES[0], |known| known.suffix);
    let (path, aside) = (machine.at(owned), machine.at(&format!("{owned}{suffix}")));
    // Obstacles are found before dpkg is called.
    let before = found(&path)?;
    let keep = before == Found::Other && !same_file(&path, &aside);
    if keep && known.iter().any(|known| known.place == owned) && found(&aside)? != Found::Nothing {
        return Err(Error::NotOurLink { path });
    }
    for aside in
        wanted.iter().map(|wanted| machine.at(&format!("{}{}", wanted.place, wanted.suffix)))
    {
        if keep && found(&aside)? != Found::Nothing {
            return Err(Error::Aside { path, aside });
        }
    }
    let mut done = Vec::new();
    for wanted in wanted {
        machine.dpkg_divert("--add", wanted)?;
        done.push(Step::Registered(wanted.place, wanted.suffix));
    }
    if matches!(&before, Found::Ours(target) if target == program) {
        return Ok(done);
    }
    if keep {
        // The program has both names until the link takes one of them.
        machine.change(|| fs::hard_link(&path, &aside)).map_err(failed("keep kexec as", &aside))?;
        done.push(Step::Kept(aside));
    }
    let new = machine.at(&format!("{owned}{NEW}"));
    let linked = machine.change(|| {
        absent_is_fine(fs::remove_file(&new))?;
        symlink(program, &new)?;
        fs::rename(&new, &path)
    });
    linked.map_err(failed("link", &path))?;
    done.push(Step::Linked(path, program.to_owned()));
    Ok(done)
}

/// Undoes the diversion, if there is one.
pub fn undo(access: &Access<'_>) -> Result<Vec<Step>, Error> {
    let machine = Machine::new(access)?;
    let diversions = machine.diversions()?;
    let mut done = Vec::new();
    let Some(first) = diversions.first() else { return Ok(done) };
    let path = machine.at(first.place);
    let mut asides =
        diversions.iter().map(|known| machine.at(&format!("{}{}", known.place, known.suffix)));
    let aside = asides.find(|aside| fs::symlink_metadata(aside).is_ok());
    match (found(&path)?, aside) {
        (Found::Other, Some(aside)) if same_file(&path, &aside) => {
            machine.change(|| fs::remove_file(&aside)).map_err(failed("remove", &aside))?;
        }
        (Found::Other | Found::Nothing, None) => {}
        (Found::Other, Some(_)) => return Err(Error::NotOurLink { path }),
        (Found::Ours(_), None) => {
            machine.change(|| fs::remove_file(&path)).map_err(failed("remove", &path))?;
            done.push(Step::Removed(path));
        }
        (Found::Ours(_) | Found::Nothing, Some(aside)) => {
            machine.change(|| fs::rename(&aside, &path)).map_err(failed("restore", &path))?;
            done.push(Step::Restored(path));
        }
    }
    for diversion in diversions {
        machine.dpkg_divert("--remove", diversion)?;
        done.push(Step::Unregistered(diversion.place));
    }
    Ok(done)
}

/// Whether kexec is diverted to this program on the machine at this root. An administrator may have
/// diverted it to another program.
pub fn is_diverted(root: &Path) -> bool {
    let Ok(machine) = Machine::new(&Access::DryRun { root }) else { return false };
    let diversions = machine.diversions().unwrap_or_default();
    diversions
        .first()
        .is_some_and(|known| matches!(found(&machine.at(known.place)), Ok(Found::Ours(_))))
}

/// A diversion of one of [`PLACES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Diversion {
    place: &'static str,
    /// The suffix of the diverted program.
    suffix: &'static str,
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A link to this program, and its target.
    Ours(PathBuf),
    Other,
}

fn found(path: &Path) -> Result<Found, Error> {
    match fs::read_link(path) {
        Ok(target) if target.file_name().is_some_and(|name| name == PROGRAM) => {
            Ok(Found::Ours(target))
        }
        Ok(_) => Ok(Found::Other),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
        // It is not a link.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(Found::Other),
        Err(error) => Err(failed("access", path)(error)),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// A machine with dpkg.
struct Machine {
    root: PathBuf,
    dry_run: bool,
}

impl Machine {
    fn new(access: &Access<'_>) -> Result<Self, Error> {
        let root = access.root();
        Ok(Self {
            root: root.canonicalize().map_err(failed("access", root))?,
            dry_run: access.is_dry_run(),
        })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn change(&self, change: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
        if self.dry_run { Ok(()) } else { change() }
    }

    /// The diversions for a package that has kexec at `owned`.
    fn wanted(&self, owned: &'static str) -> Vec<Diversion> {
        let directory = |place: &str| {
            self.at(place).parent().and_then(|directory| directory.canonicalize().ok())
        };
        let merged = directory(PLACES[0]).is_some() && directory(PLACES[0]) == directory(PLACES[1]);
        let later = (owned == PLACES[0] && merged)
            .then_some(Diversion { place: PLACES[1], suffix: SUFFIXES[1] });
        [Diversion { place: owned, suffix: SUFFIXES[0] }].into_iter().chain(later).collect()
    }

    /// The path of kexec in its package.
    fn owned(&self) -> Result<Option<&'static str>, Error> {
        let (ok, text) = self.run("dpkg-query", &["--search", "*/sbin/kexec"])?;
        // Lines on diversions are "local diversion from: PATH" or "diversion by PACKAGE from:
        // PATH".
        let files = text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(package, _)| !package.contains("diversion "));
        let owned: Vec<&str> = files.map(|(_, path)| path).collect();
        Ok(PLACES.into_iter().find(|place| ok && owned.contains(place)))
    }

    /// The diversions of kexec that [`divert`] has made. Any other diversion is an error.
    fn diversions(&self) -> Result<Vec<Diversion>, Error> {
        let (_, text) = self.run("dpkg-divert", &["--list", "*/sbin/kexec"])?;
        let ours = || {
            PLACES.into_iter().flat_map(|place| SUFFIXES.map(|suffix| Diversion { place, suffix }))
        };
        let parse = |line: &str| {
            let is = |known: &Diversion| {
                line == format!("local diversion of {0} to {0}{1}", known.place, known.suffix)
            };
            ours().find(is).ok_or_else(|| Error::Diverted { line: line.to_owned() })
        };
        text.lines().filter(|line| !line.is_empty()).map(parse).collect()
    }

    fn dpkg_divert(
        &self,
        what: &'static str,
        Diversion { place, suffix }: Diversion,
    ) -> Result<(), Error> {
        if self.dry_run {
            return Ok(());
        }
        let aside = format!("{place}{suffix}");
        // dpkg's own renaming would leave a moment without kexec.
        let arguments = ["--local", "--no-rename", "--divert", &aside, what, place];
        let (ok, output) = self.run("dpkg-divert", &arguments)?;
        if ok {
            Ok(())
        } else {
            Err(Error::Dpkg { command: format!("dpkg-divert {}", arguments.join(" ")), output })
        }
    }

    /// Runs a program of dpkg. Returns whether it succeeded, and its output.
    fn run(&self, program: &'static str, arguments: &[&str]) -> Result<(bool, String), Error> {
        let mut command = Command::new(program);
        // Every release of both programs supports --admindir, but not --root.
        command.arg(format!("--admindir={}", self.at("var/lib/dpkg").display()));
        let output = command.args(arguments).env("LC_ALL", "C").output();
        let output = output.map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::NoDpkg { program },
            _ => Error::Io { action: "run", path: program.into(), source },
        })?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).trim().to_owned()))
    }
}

#[cfg(test)]
mod tests;
