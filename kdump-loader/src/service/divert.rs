//! [7] Debian's kexec steps aside for this program, and comes back (dpkg-divert(1)).
//!
//! *On entry* a machine on which a package has installed kexec. *On exit* of [`divert`] that program is kexec.distrib, kexec is a link to
//! this program, and dpkg knows, so that an upgrade replaces kexec.distrib; of [`undo`], everything is as before. At each step in between
//! kexec is there, as the one or the other, and a second run finishes.
//!
//! Debian 12 ships /sbin/kexec and Debian 13 /usr/sbin/kexec, which are one file where /sbin is a link. dpkg compares paths as they are
//! written, so on Debian 12 both are diverted, and an upgrade to 13 is caught. The two get different names: under one, dpkg would take the
//! new file for a leftover of the old package and remove it.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tree::absent_is_fine;
use super::{Error, Turn, failed};

/// The two paths of one file, or of two where /sbin is no link.
const PLACES: [&str; 2] = ["/sbin/kexec", "/usr/sbin/kexec"];
/// What a diversion adds to a program's name (dpkg-divert(1), --divert), and to its second name.
pub const SUFFIXES: [&str; 2] = [".distrib", ".distrib.usr"];
/// What the link's name has until it is renamed.
const NEW: &str = ".kdump-loader-new";
/// The name that the link leads to.
const PROGRAM: &str = "kdump-loader";

/// What was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// dpkg knows of a diversion.
    Registered(&'static str, &'static str),
    /// The package's program has its other name, too.
    Kept(PathBuf),
    /// kexec is this program.
    Linked(PathBuf, PathBuf),
    /// kexec is the package's program again.
    PutBack(PathBuf),
    /// The link is gone; the package is, too.
    Removed(PathBuf),
    /// dpkg has forgotten a diversion.
    Forgotten(&'static str),
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(path, suffix) => write!(out, "divert    {path} to {path}{suffix}"),
            Self::Kept(path) => write!(out, "keep      {}", path.display()),
            Self::Linked(path, target) => write!(out, "link      {} -> {}", path.display(), target.display()),
            Self::PutBack(path) => write!(out, "restore   {}", path.display()),
            Self::Removed(path) => write!(out, "remove    {}", path.display()),
            Self::Forgotten(path) => write!(out, "undivert  {path}"),
        }
    }
}

/// Lets kexec be `program`, a path on the machine.
pub fn divert(turn: &Turn<'_>, program: &Path) -> Result<Vec<Step>, Error> {
    let machine = Machine::new(turn)?;
    let known = machine.diversions()?;
    let owned = machine.owned()?.ok_or(Error::NoKexec)?;
    let mut wanted = machine.wanted(owned);
    wanted.retain(|wanted| !known.iter().any(|known| known.place == wanted.place));
    let suffix = known.iter().chain(&wanted).find(|known| known.place == owned).map_or(SUFFIXES[0], |known| known.suffix);
    let (path, aside) = (machine.at(owned), machine.at(&format!("{owned}{suffix}")));
    // What stands in the way is found before dpkg is told of anything.
    let before = found(&path)?;
    let keep = before == Found::Other && !same_file(&path, &aside);
    if keep && known.iter().any(|known| known.place == owned) && found(&aside)? != Found::Nothing {
        return Err(Error::NotOurLink { path });
    }
    for aside in wanted.iter().map(|wanted| machine.at(&format!("{}{}", wanted.place, wanted.suffix))) {
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
        // Under both names until the link takes one of them.
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

/// Undoes it; does nothing where nothing is diverted.
pub fn undo(turn: &Turn<'_>) -> Result<Vec<Step>, Error> {
    let machine = Machine::new(turn)?;
    let diversions = machine.diversions()?;
    let mut done = Vec::new();
    let Some(first) = diversions.first() else { return Ok(done) };
    let path = machine.at(first.place);
    let mut asides = diversions.iter().map(|known| machine.at(&format!("{}{}", known.place, known.suffix)));
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
            done.push(Step::PutBack(path));
        }
    }
    for diversion in diversions {
        machine.dpkg_divert("--remove", diversion)?;
        done.push(Step::Forgotten(diversion.place));
    }
    Ok(done)
}

/// Whether kexec is this program on the machine with this root, by diversion. An administrator may have diverted it to something else.
pub fn is_diverted(root: &Path) -> bool {
    let Ok(machine) = Machine::new(&Turn::DryRun { root }) else { return false };
    let diversions = machine.diversions().unwrap_or_default();
    diversions.first().is_some_and(|known| matches!(found(&machine.at(known.place)), Ok(Found::Ours(_))))
}

/// A diversion of one of [`PLACES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Diversion {
    place: &'static str,
    /// What it adds to the name.
    suffix: &'static str,
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A link to this program, and what it says.
    Ours(PathBuf),
    Other,
}

fn found(path: &Path) -> Result<Found, Error> {
    match fs::read_link(path) {
        Ok(target) if target.file_name().is_some_and(|name| name == PROGRAM) => Ok(Found::Ours(target)),
        Ok(_) => Ok(Found::Other),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
        // It is no link.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(Found::Other),
        Err(error) => Err(failed("look at", path)(error)),
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
    fn new(turn: &Turn<'_>) -> Result<Self, Error> {
        let root = turn.root();
        Ok(Self { root: root.canonicalize().map_err(failed("look at", root))?, dry_run: turn.is_dry_run() })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn change(&self, change: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
        if self.dry_run { Ok(()) } else { change() }
    }

    /// The diversions for a package that has kexec at `owned`.
    fn wanted(&self, owned: &'static str) -> Vec<Diversion> {
        let directory = |place: &str| self.at(place).parent().and_then(|directory| directory.canonicalize().ok());
        let merged = directory(PLACES[0]).is_some() && directory(PLACES[0]) == directory(PLACES[1]);
        let later = (owned == PLACES[0] && merged).then_some(Diversion { place: PLACES[1], suffix: SUFFIXES[1] });
        [Diversion { place: owned, suffix: SUFFIXES[0] }].into_iter().chain(later).collect()
    }

    /// The path of kexec as its package has it.
    fn owned(&self) -> Result<Option<&'static str>, Error> {
        let (ok, text) = self.run("dpkg-query", &["--search", "*/sbin/kexec"])?;
        // Lines on diversions are "local diversion from: PATH" or "diversion by PACKAGE from: PATH".
        let files = text.lines().filter_map(|line| line.split_once(": ")).filter(|(package, _)| !package.contains("diversion "));
        let owned: Vec<&str> = files.map(|(_, path)| path).collect();
        Ok(PLACES.into_iter().find(|place| ok && owned.contains(place)))
    }

    /// Which of the places are diverted, by no package, to the names that [`divert`] gives. Another diversion of kexec is refused.
    fn diversions(&self) -> Result<Vec<Diversion>, Error> {
        let (_, text) = self.run("dpkg-divert", &["--list", "*/sbin/kexec"])?;
        let ours = || PLACES.into_iter().flat_map(|place| SUFFIXES.map(|suffix| Diversion { place, suffix }));
        let parse = |line: &str| {
            let is = |known: &Diversion| line == format!("local diversion of {0} to {0}{1}", known.place, known.suffix);
            ours().find(is).ok_or_else(|| Error::Diverted { told: line.to_owned() })
        };
        text.lines().filter(|line| !line.is_empty()).map(parse).collect()
    }

    fn dpkg_divert(&self, what: &'static str, Diversion { place, suffix }: Diversion) -> Result<(), Error> {
        if self.dry_run {
            return Ok(());
        }
        let aside = format!("{place}{suffix}");
        // The renaming is ours to do, so that kexec is never missing.
        let arguments = ["--local", "--no-rename", "--divert", &aside, what, place];
        let (ok, told) = self.run("dpkg-divert", &arguments)?;
        if ok { Ok(()) } else { Err(Error::Dpkg { command: format!("dpkg-divert {}", arguments.join(" ")), told }) }
    }

    /// Whether it succeeded, and what it said.
    fn run(&self, program: &'static str, arguments: &[&str]) -> Result<(bool, String), Error> {
        let mut command = Command::new(program);
        // Both programs take it in every release; --root they learned in different ones.
        command.arg(format!("--admindir={}", self.at("var/lib/dpkg").display()));
        let output = command.args(arguments).env("LC_ALL", "C").output();
        let output = output.map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::NoDpkg { program },
            _ => Error::Io { action: "run", path: program.into(), source },
        })?;
        let told = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&told).trim().to_owned()))
    }
}

#[cfg(test)]
mod tests;
