//! Step 3: an apt of our own, which reads the archive's index but never touches the machine's.
//!
//! On entry: the sources of one purpose.
//! On exit: a directory under `target/apt` with its own lists, cache and (for guests) an empty record of what is installed, to
//! which packages and their dependencies can be put as questions. apt has checked the archive's signature and every index against it.

use std::cell::Cell;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use crate::command;
use crate::repository::Repository;
use crate::setup::archive::Archive;
use crate::setup::suites::Purpose;

/// What dpkg knows to be installed on this machine.
pub const DPKG_STATUS: &str = "/var/lib/dpkg/status";

/// One private apt root.
pub struct AptRoot<'a> {
    sh: &'a Shell,
    purpose: Purpose,
    dir: PathBuf,
    backports: Option<String>,
    /// Whether the lists were fetched by this run.
    fresh: Cell<bool>,
}

/// One version of a package, as its index describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// `libs`, `kernel`, …
    pub section: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// Of the .deb, in hexadecimal.
    pub sha256: String,
}

impl Package {
    /// `name=version`, as apt takes it.
    pub fn spec(&self) -> String {
        format!("{}={}", self.name, self.version)
    }

    /// What `apt-get download` calls the file.
    pub fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }
}

impl<'a> AptRoot<'a> {
    /// Opens the root, and fetches its lists if it has none for these sources yet.
    pub fn open(sh: &'a Shell, repo: &Repository, archive: &Archive, purpose: Purpose) -> Result<Self> {
        let dir = repo.apt().join(purpose.name());
        let root = Self { sh, purpose, backports: purpose.backports(archive), dir, fresh: Cell::new(false) };
        for sub in DIRECTORIES.into_iter().chain(["sources.list.d", "preferences.d"]) {
            sh.create_dir(root.dir.join(sub))?;
        }
        let nothing = root.dir.join("status");
        sh.write_file(&nothing, "")?;
        let installed = if purpose.counts_installed() { Path::new(DPKG_STATUS) } else { &nothing };
        sh.write_file(root.config(), private_state(&root.dir, installed) + &private_sources(&root.dir))?;
        let sources = purpose.sources(archive);
        let file = root.dir.join("sources.list.d/debian.sources");
        let known = std::fs::read_to_string(&file).is_ok_and(|old| old == sources);
        if !(known && root.fetched_stamp().exists()) {
            sh.write_file(file, sources)?;
            root.refresh()?;
        }
        Ok(root)
    }

    /// Fetches the archive's current index.
    pub fn refresh(&self) -> Result<()> {
        eprintln!("  reading the archive's index ({})", self.purpose.name());
        let _ = std::fs::remove_file(self.fetched_stamp());
        // Without the option a suite that could not be fetched is only a warning, and the exit status 0.
        command::read(self.tool("apt-get").args(["-o", "APT::Update::Error-Mode=any", "update"])).context(
            "the archive's index could not be fetched; is this machine online, and is debian-archive-keyring current?",
        )?;
        self.sh.write_file(self.fetched_stamp(), "")?;
        self.fresh.set(true);
        Ok(())
    }

    /// Whether this run has fetched the index already: doing it again would tell nothing new.
    pub fn is_fresh(&self) -> bool {
        self.fresh.get()
    }

    /// The backports suite of this root.
    pub fn backports(&self) -> Option<&str> {
        self.backports.as_deref()
    }

    /// Names in the index that start with `prefix`.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(command::read(self.tool("apt-cache").args(["pkgnames", prefix]))?.lines().map(str::to_string).collect())
    }

    /// Every version of the named packages (`name` or `name=version`) that can be downloaded.
    pub fn show(&self, specs: &[String]) -> Result<Vec<Package>> {
        if specs.is_empty() {
            return Ok(Vec::new());
        }
        // `apt-cache show` fails as a whole if it knows one of the names only by hearsay: then it still prints the rest.
        let output = self.tool("apt-cache").arg("show").args(specs).quiet().ignore_status().output()?;
        Ok(String::from_utf8_lossy(&output.stdout).split("\n\n").filter_map(package).collect())
    }

    /// The newest version of one package for which `wanted` holds.
    pub fn newest(&self, name: &str, wanted: impl Fn(&Package) -> bool) -> Result<Option<Package>> {
        let mut newest: Option<Package> = None;
        for package in self.show(&[name.to_string()])?.into_iter().filter(wanted) {
            match &newest {
                Some(best) if self.compare(&best.version, &package.version)? != Ordering::Less => {}
                _ => newest = Some(package),
            }
        }
        Ok(newest)
    }

    /// Debian's order of versions (deb-version(7)); dpkg knows it.
    pub fn compare(&self, a: &str, b: &str) -> Result<Ordering> {
        let holds = |relation: &str| -> Result<bool> {
            let output = cmd!(self.sh, "dpkg --compare-versions {a} {relation} {b}").quiet().ignore_status().output()?;
            Ok(output.status.success())
        };
        Ok(match (holds("lt")?, holds("gt")?) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => Ordering::Equal,
        })
    }

    /// The package and whatever it depends on that is not there yet, in `release` if one is named.
    pub fn closure(&self, name: &str, release: Option<&str>) -> Result<Vec<Package>> {
        self.closure_of(&[name], release)
    }

    /// The same of several packages, or of patterns of packages (apt-patterns(7)).
    pub fn closure_of(&self, names: &[&str], release: Option<&str>) -> Result<Vec<Package>> {
        let mut install = self.tool("apt-get").args(["--simulate", "--yes", "--no-install-recommends"]);
        if let Some(release) = release {
            install = install.arg("--target-release").arg(release);
        }
        let plan = command::read(install.arg("install").args(names))?;
        let specs: Vec<String> = plan.lines().filter_map(planned).collect();
        let packages = self.show(&specs)?;
        if packages.len() != specs.len() {
            bail!("apt plans {} packages for {names:?}, but the index describes {} of them", specs.len(), packages.len());
        }
        Ok(packages)
    }

    /// `apt-get download`, to be run where the files shall lie.
    pub fn download_command(&self, packages: &[&Package]) -> std::process::Command {
        let mut command = std::process::Command::new("apt-get");
        command.env("LC_ALL", "C").arg("-c").arg(self.config()).args(["-o", "Acquire::Retries=3", "download"]);
        command.args(packages.iter().map(|p| p.spec()));
        command
    }

    fn tool(&self, program: &str) -> Cmd<'a> {
        let config = self.config();
        cmd!(self.sh, "{program} -c {config}").env("LC_ALL", "C")
    }

    fn config(&self) -> PathBuf {
        self.dir.join("apt.conf")
    }

    /// Present once the lists have been fetched completely.
    fn fetched_stamp(&self) -> PathBuf {
        self.dir.join("fetched")
    }
}

/// Configuration that keeps all of apt's state in `dir`; `status` is the record of what is installed. Read with `-c`, thus after
/// the machine's own configuration: proxies and the like stay, places change. (What APT_CONFIG names is read before, and would be
/// overruled.)
pub fn private_state(dir: &Path, status: &Path) -> String {
    // Hooks of the machine's configuration clean up the machine's caches; they have no business here.
    let hooks = ["APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success", "DPkg::Post-Invoke"];
    let cleared: String = hooks.iter().map(|hook| format!("#clear {hook};\n")).collect();
    let at = |sub: &str| dir.join(sub).display().to_string();
    let settings = [
        ("Dir::State", at("state")),
        ("Dir::State::lists", at("lists")),
        ("Dir::State::status", status.display().to_string()),
        ("Dir::Cache", at("cache")),
        ("Dir::Cache::pkgcache", "pkgcache.bin".to_string()),
        ("Dir::Cache::srcpkgcache", "srcpkgcache.bin".to_string()),
        ("Dir::Log", at("log")),
        ("APT::Architecture", "amd64".to_string()),
        // As root, apt would fetch as the user _apt, who cannot enter everybody's home directory.
        ("APT::Sandbox::User", "root".to_string()),
    ];
    cleared + &lines(&settings)
}

/// Directories that apt expects.
pub const DIRECTORIES: [&str; 3] = ["lists/partial", "cache/archives/partial", "state"];

/// Configuration that takes sources and preferences from `dir` instead of the machine's.
fn private_sources(dir: &Path) -> String {
    let at = |sub: &str| dir.join(sub).display().to_string();
    lines(&[
        ("Dir::Etc::sourcelist", "/dev/null".to_string()),
        ("Dir::Etc::sourceparts", at("sources.list.d")),
        ("Dir::Etc::preferences", "/dev/null".to_string()),
        ("Dir::Etc::preferencesparts", at("preferences.d")),
    ])
}

fn lines(settings: &[(&str, String)]) -> String {
    settings.iter().map(|(key, value)| format!("{key} \"{value}\";\n")).collect()
}

/// `name=version` of a line `Inst NAME [OLD] (VERSION RELEASE [ARCH])` of a simulated installation.
fn planned(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Inst ")?;
    let name = rest.split(' ').next()?;
    let version = rest.split_once('(')?.1.split(' ').next()?;
    Some(format!("{}={version}", name.trim_end_matches(":amd64")))
}

/// A stanza of `apt-cache show`; none for a package that is installed but in no index, which has no file.
fn package(stanza: &str) -> Option<Package> {
    let field = |name: &str| {
        stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(|value| value.trim().to_string())
    };
    Some(Package {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        section: field("Section").unwrap_or_default(),
        size: field("Size")?.parse().ok()?,
        sha256: field("SHA256")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planned_packages_are_read_with_and_without_an_old_version() {
        let new = "Inst seabios (1.16.3-2~bpo12+1 Debian Backports:oldstable-backports [all])";
        let upgrade = "Inst libfoo:amd64 [1.0-1] (1:2.0-1 Debian:12.15/oldstable [amd64]) []";
        assert_eq!(planned(new).unwrap(), "seabios=1.16.3-2~bpo12+1");
        assert_eq!(planned(upgrade).unwrap(), "libfoo=1:2.0-1");
        assert_eq!(planned("Conf seabios (1.16.3-2~bpo12+1 x [all])"), None);
    }

    #[test]
    fn a_stanza_without_a_file_is_not_a_package_to_download() {
        let installed = "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n";
        assert_eq!(package(installed), None);
        let indexed = format!("{installed}Section: libs\nFilename: a.deb\nSize: 12\nSHA256: ab\n");
        assert_eq!(package(&indexed).unwrap().size, 12);
    }

    #[test]
    fn epochs_are_escaped_in_file_names_as_apt_does() {
        let stanza = "Package: q\nVersion: 1:10.0.2+ds\nArchitecture: amd64\nSize: 1\nSHA256: ab\n";
        assert_eq!(package(stanza).unwrap().file_name(), "q_1%3a10.0.2+ds_amd64.deb");
    }
}
