//! Step 3: a private apt root, which answers questions about packages and their dependencies.
//!
//! * On entry: the sources of one purpose.
//! * On exit: a directory under `target/apt` with its own lists and cache, and, for guests, an
//!   empty list of installed packages. apt has verified the archive's signature, and every index
//!   with it. The machine's own apt state is unchanged.

use std::cell::Cell;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use super::sources::Archive;
use super::suites::Purpose;
use crate::command;
use crate::repository::Repository;

/// dpkg's list of packages installed on this machine.
pub const DPKG_STATUS: &str = "/var/lib/dpkg/status";

/// One private apt root.
pub struct AptRoot<'a> {
    sh: &'a Shell,
    purpose: Purpose,
    dir: PathBuf,
    backports: Option<String>,
    /// Whether this run has fetched the lists.
    fresh: Cell<bool>,
}

/// One version of a package, as the index describes it.
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
    /// SHA-256 of the .deb, in hexadecimal.
    pub sha256: String,
}

impl Package {
    /// `name=version`, as apt expects it.
    pub fn spec(&self) -> String {
        format!("{}={}", self.name, self.version)
    }

    /// The file name that `apt-get download` chooses.
    pub fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }
}

impl<'a> AptRoot<'a> {
    /// Opens the root. Fetches its lists if it has none for these sources.
    pub fn open(
        sh: &'a Shell,
        repo: &Repository,
        archive: &Archive,
        purpose: Purpose,
    ) -> Result<Self> {
        let dir = repo.apt().join(purpose.name());
        let root = Self {
            sh,
            purpose,
            backports: purpose.backports(archive),
            dir,
            fresh: Cell::new(false),
        };
        for sub in DIRECTORIES.into_iter().chain(["sources.list.d", "preferences.d"]) {
            sh.create_dir(root.dir.join(sub))?;
        }
        let nothing = root.dir.join("status");
        sh.write_file(&nothing, "")?;
        let installed = if purpose.counts_installed() { Path::new(DPKG_STATUS) } else { &nothing };
        sh.write_file(
            root.config(),
            private_state(&root.dir, installed) + &private_sources(&root.dir),
        )?;
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
        // Without the option, a suite that cannot be fetched is a warning, and the exit status is
        // 0.
        command::read(self.tool("apt-get").args(["-o", "APT::Update::Error-Mode=any", "update"])).context(
            "the archive's index could not be fetched; is this machine online, and is debian-archive-keyring current?",
        )?;
        self.sh.write_file(self.fetched_stamp(), "")?;
        self.fresh.set(true);
        Ok(())
    }

    /// Whether this run has fetched the index, so that fetching it again would change nothing.
    pub fn is_fresh(&self) -> bool {
        self.fresh.get()
    }

    /// The backports suite of this root.
    pub fn backports(&self) -> Option<&str> {
        self.backports.as_deref()
    }

    /// Package names that start with `prefix`.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(command::read(self.tool("apt-cache").args(["pkgnames", prefix]))?
            .lines()
            .map(str::to_string)
            .collect())
    }

    /// Every version of the named packages (`name` or `name=version`) that can be downloaded.
    pub fn show(&self, specs: &[String]) -> Result<Vec<Package>> {
        if specs.is_empty() {
            return Ok(Vec::new());
        }
        // If one of the names is only mentioned by other packages, `apt-cache show` fails, but
        // still prints the rest.
        let output =
            self.tool("apt-cache").arg("show").args(specs).quiet().ignore_status().output()?;
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

    /// Debian's order of versions (deb-version(7)), as dpkg implements it.
    pub fn compare(&self, a: &str, b: &str) -> Result<Ordering> {
        let holds = |relation: &str| -> Result<bool> {
            let output = cmd!(self.sh, "dpkg --compare-versions {a} {relation} {b}")
                .quiet()
                .ignore_status()
                .output()?;
            Ok(output.status.success())
        };
        Ok(match (holds("lt")?, holds("gt")?) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => Ordering::Equal,
        })
    }

    /// The packages and every dependency that is not installed, from `release` if one is given.
    /// A name may be a pattern (apt-patterns(7)).
    pub fn closure(&self, names: &[&str], release: Option<&str>) -> Result<Vec<Package>> {
        let mut install =
            self.tool("apt-get").args(["--simulate", "--yes", "--no-install-recommends"]);
        if let Some(release) = release {
            install = install.arg("--target-release").arg(release);
        }
        let plan = command::read(install.arg("install").args(names))?;
        let specs: Vec<String> = plan.lines().filter_map(planned).collect();
        let packages = self.show(&specs)?;
        if packages.len() != specs.len() {
            bail!(
                "apt plans {} packages for {names:?}, but the index describes {} of them",
                specs.len(),
                packages.len()
            );
        }
        Ok(packages)
    }

    /// Downloads packages into the current directory. apt verifies each with the index.
    pub fn download(&self, packages: &[&Package]) -> Cmd<'a> {
        let download = self.tool("apt-get").args(["-o", "Acquire::Retries=3", "download"]);
        download.args(packages.iter().map(|package| package.spec()))
    }

    fn tool(&self, program: &str) -> Cmd<'a> {
        let config = self.config();
        cmd!(self.sh, "{program} -c {config}").env("LC_ALL", "C")
    }

    fn config(&self) -> PathBuf {
        self.dir.join("apt.conf")
    }

    /// Exists if the lists have been fetched completely.
    fn fetched_stamp(&self) -> PathBuf {
        self.dir.join("fetched")
    }
}

/// Configuration that keeps all of apt's state in `dir`. `status` is the list of installed
/// packages.
///
/// apt reads it with `-c`, after the machine's own configuration: proxies stay, directories change.
/// With APT_CONFIG it would be read before, and overridden.
pub fn private_state(dir: &Path, status: &Path) -> String {
    // The machine's hooks clean up the machine's caches.
    let hooks = [
        "APT::Update::Pre-Invoke",
        "APT::Update::Post-Invoke",
        "APT::Update::Post-Invoke-Success",
        "DPkg::Post-Invoke",
    ];
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
        // As root, apt fetches as the user _apt, which may not enter home directories.
        ("APT::Sandbox::User", "root".to_string()),
    ];
    cleared + &lines(&settings)
}

/// Directories that apt expects.
pub const DIRECTORIES: [&str; 3] = ["lists/partial", "cache/archives/partial", "state"];

/// Configuration that reads sources and preferences from `dir`, not the machine's.
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

/// `name=version` of a simulated installation's line `Inst NAME [OLD] (VERSION RELEASE [ARCH])`.
fn planned(line: &str) -> Option<String> {
    let rest = line.strip_prefix("Inst ")?;
    let name = rest.split(' ').next()?;
    let version = rest.split_once('(')?.1.split(' ').next()?;
    Some(format!("{}={version}", name.trim_end_matches(":amd64")))
}

/// A stanza of `apt-cache show`. `None` for an installed package that no index has: it has no file.
fn package(stanza: &str) -> Option<Package> {
    let field = |name: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(|value| value.trim().to_string())
    };
    Some(Package {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        section: field("Section").unwrap_or_default(),
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
    fn a_stanza_without_a_file_is_no_package_to_download() {
        let installed =
            "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n";
        assert_eq!(package(installed), None);
        let indexed = format!("{installed}Section: libs\nFilename: a.deb\nSize: 12\nSHA256: ab\n");
        assert_eq!(package(&indexed).unwrap().sha256, "ab");
    }

    #[test]
    fn epochs_are_escaped_in_file_names_as_apt_does() {
        let stanza = "Package: q\nVersion: 1:10.0.2+ds\nArchitecture: amd64\nSize: 1\nSHA256: ab\n";
        assert_eq!(package(stanza).unwrap().file_name(), "q_1%3a10.0.2+ds_amd64.deb");
    }
}
