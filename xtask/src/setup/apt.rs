//! Debian's archive, read by apt in private directories. Nothing is installed.
//!
//! * On entry: a machine with apt and the sources that its owner configured. No mirror is named
//!   here, so a machine with a local mirror keeps using it.
//! * On exit: packages and their dependencies, downloaded and unpacked. apt has verified the
//!   archive's signature, every index and every download.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

use crate::command;
use crate::repository::Repository;

/// A private apt root holds one release: at equal priority, apt takes the newest version of
/// everything, and would find no consistent set in a mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// This machine's, for programs that run on it with the libraries that it has.
    Machine,
    /// Debian 13, for guests. Its makedumpfile 1.7.6 reads dumps of 6.12 and 7, but cannot tell
    /// their free pages; 1.7.7 can.
    Guests,
    /// Debian 12, for the kernel before crash hotplug.
    Old,
    /// Source packages of Debian 13.
    GuestSources,
    /// Debian unstable, for a makedumpfile that knows the page types of 6.12. It changes daily, so
    /// nothing of the gate comes from it.
    Unstable,
}

/// Releases with `-updates`, `-security` and `-backports`. Testing and unstable have none, or empty
/// ones.
const STABLE: [&str; 2] = ["bookworm", "trixie"];
/// dpkg's list of packages installed on this machine.
const DPKG_STATUS: &str = "/var/lib/dpkg/status";
/// The type of a line in sources.list(5), and the index that is fetched for it. Translations,
/// contents and application data are not.
type Kind = (&'static str, &'static str);
const BINARIES: Kind = ("deb", "Packages");
const SOURCES: Kind = ("deb-src", "Sources");
/// Fields asked of `apt-get indextargets`, in this order.
const FORMAT: &str = "$(REPO_URI)|$(ORIGIN)|$(LABEL)|$(CODENAME)|$(COMPONENT)|$(SOURCESENTRY)";

/// One private apt root.
pub struct Root<'a> {
    sh: &'a Shell,
    config: PathBuf,
    downloads: PathBuf,
    /// The name of its backports suite, if the release has one.
    pub backports: Option<String>,
}

/// A package to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: String,
    architecture: String,
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

    /// From the line `Inst NAME [OLD] (VERSION RELEASE [ARCHITECTURE])` of a simulated
    /// installation.
    fn planned(line: &str) -> Option<Self> {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
        let (version, rest) = rest.split_once('(')?.1.split_once(' ')?;
        let architecture = rest.split_once('[')?.1.split_once(']')?.0;
        let [name, version, architecture] =
            [name.trim_end_matches(":amd64"), version, architecture].map(str::to_string);
        Some(Self { name, version, architecture })
    }
}

impl<'a> Root<'a> {
    /// Makes the root below `target/apt`, and fetches the archive's current index.
    pub fn open(sh: &'a Shell, repo: &Repository, release: Release) -> Result<Self> {
        let archive = survey(sh, repo)?;
        let (name, codename, installed) = match release {
            Release::Machine => ("machine", archive.codename.as_str(), DPKG_STATUS),
            Release::Guests => ("guests", "trixie", "/dev/null"),
            Release::Old => ("old", "bookworm", "/dev/null"),
            Release::GuestSources => ("guest-sources", "trixie", "/dev/null"),
            Release::Unstable => ("unstable", "sid", "/dev/null"),
        };
        let dir = repo.apt().join(name);
        let config = configure(sh, &dir, installed)?;
        let own = format!(
            "Dir::Etc::sourcelist \"{0}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n",
            dir.display()
        );
        sh.write_file(&config, sh.read_file(&config)? + &own)?;
        let kind = if release == Release::GuestSources { SOURCES } else { BINARIES };
        sh.write_file(dir.join("sources.list"), archive.sources(codename, kind))?;
        let backports = STABLE.contains(&codename).then(|| format!("{codename}-backports"));
        let root = Self { sh, config, downloads: repo.downloads(), backports };
        eprintln!("  reading the archive's index ({name})");
        // Without the option, a suite that cannot be fetched is a warning, and the exit status is
        // 0.
        let update = root.tool("apt-get").args(["-o", "APT::Update::Error-Mode=any", "update"]);
        command::read(update).context(
            "the archive's index could not be fetched; is this machine online, and is \
             debian-archive-keyring current?",
        )?;
        Ok(root)
    }

    /// The packages and every dependency that is not installed, from `suite` if one is given.
    /// A name may be a pattern (apt-patterns(7)).
    pub fn closure(&self, names: &[&str], suite: Option<&str>) -> Result<Vec<Package>> {
        let simulate = ["--simulate", "--yes", "--no-install-recommends"];
        let suite = suite.map(|suite| format!("--target-release={suite}"));
        let plan = self.tool("apt-get").args(simulate).args(suite).arg("install").args(names);
        Ok(command::read(plan)?.lines().filter_map(Package::planned).collect())
    }

    /// The newest Debian revision of a package's upstream version.
    pub fn newest_of(&self, name: &str, upstream: &str) -> Result<Option<Package>> {
        // Newest first; the fields are separated by |.
        let listed = command::read(self.tool("apt-cache").args(["madison", name]))?;
        let mut versions = listed.lines().filter_map(|line| Some(line.split('|').nth(1)?.trim()));
        let version = versions.find(|version| {
            version.strip_prefix(upstream).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
        });
        let [name, architecture] = [name, "all"].map(str::to_owned);
        Ok(version.map(|version| Package { name, version: version.to_owned(), architecture }))
    }

    pub fn fetch(&self, packages: &[Package]) -> Result<()> {
        self.sh.create_dir(&self.downloads)?;
        let _there = self.sh.push_dir(&self.downloads);
        let download = self.tool("apt-get").args(["-o", "Acquire::Retries=3", "download"]);
        command::read(download.args(packages.iter().map(Package::spec))).map(drop)
    }

    /// Downloads the newest source of a package into `directory`: the .dsc file and what it names.
    pub fn source(&self, name: &str, directory: &Path) -> Result<()> {
        self.sh.create_dir(directory)?;
        let _there = self.sh.push_dir(directory);
        let download = self.tool("apt-get").args(["-o", "Acquire::Retries=3", "source"]);
        command::read(download.args(["--download-only", name])).map(drop)
    }

    /// Downloads the packages that are missing, and unpacks all of them into a fresh `tree`.
    pub fn unpack(&self, packages: &[Package], tree: &Path) -> Result<()> {
        let (sh, count) = (self.sh, packages.len());
        eprintln!("  unpacking {count} packages");
        self.fetch(packages)?;
        sh.remove_path(tree)?;
        sh.create_dir(tree)?;
        packages.iter().try_for_each(|package| {
            let file = self.downloads.join(package.file_name());
            command::read(cmd!(sh, "dpkg-deb --extract {file} {tree}")).map(drop)
        })
    }

    fn tool(&self, program: &str) -> Cmd<'a> {
        let config = &self.config;
        cmd!(self.sh, "{program} -c {config}").env("LC_ALL", "C")
    }
}

/// Writes apt's configuration for state in `dir`, with `installed` as the list of installed
/// packages.
///
/// apt reads it with `-c`, after the machine's own configuration: proxies stay, directories change.
/// With APT_CONFIG it would be read before, and overridden.
fn configure(sh: &Shell, dir: &Path, installed: &str) -> Result<PathBuf> {
    for sub in ["lists/partial", "cache/archives/partial", "state"] {
        sh.create_dir(dir.join(sub))?;
    }
    let (config, dir) = (dir.join("apt.conf"), dir.display());
    // The machine's hooks clean up the machine's caches. As root, apt fetches as the user _apt,
    // which may not enter home directories.
    let text = format!(
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n\
         Dir::State \"{dir}/state\";\nDir::State::lists \"{dir}/lists\";\n\
         Dir::State::status \"{installed}\";\nDir::Cache \"{dir}/cache\";\n\
         Dir::Cache::pkgcache \"pkgcache.bin\";\nDir::Cache::srcpkgcache \"srcpkgcache.bin\";\n\
         Dir::Log \"{dir}/log\";\nAPT::Architecture \"amd64\";\nAPT::Sandbox::User \"root\";\n"
    );
    sh.write_file(&config, text)?;
    Ok(config)
}

/// Debian's archives, as this machine is configured.
struct Archive {
    /// The machine's own release, such as `bookworm`.
    codename: String,
    main: Source,
    security: Option<Source>,
}

/// An archive's URI, and the path of its key if the machine's configuration names one.
struct Source {
    uri: String,
    key: Option<String>,
}

/// Reads the machine's apt configuration.
fn survey(sh: &Shell, repo: &Repository) -> Result<Archive> {
    let needed = "setup needs apt and Debian's archive: run it on Debian 12 or newer, for example \
                  in a container; or name files in target/assets/manifest.json yourself (struct \
                  `Assets` in qemu-runner/src/assets.rs)";
    let targets = |config: Option<&Path>| {
        let config = config.into_iter().flat_map(|config| [Path::new("-c"), config]);
        let list = cmd!(sh, "apt-get").args(config).args(["indextargets", "--format", FORMAT]);
        command::read(list.arg("Created-By: Packages")).context(needed)
    };
    let own = sh.read_file("/etc/os-release").unwrap_or_default();
    if let Some(archive) = Archive::among(&targets(None)?, &own) {
        return Ok(archive);
    }
    // A fresh container has sources but no lists, and only a list says whose it is. Setup must not
    // change the machine's own lists, so it reads the machine's sources into a private directory.
    let config = configure(sh, &repo.apt().join("survey"), DPKG_STATUS)?;
    cmd!(sh, "apt-get -c {config} update").quiet().ignore_status().output()?;
    Archive::among(&targets(Some(&config))?, &own).context(needed)
}

impl Archive {
    /// Finds Debian's own archives among index targets, one per line.
    fn among(listed: &str, os_release: &str) -> Option<Self> {
        let target = |line: &'_ str| -> Option<[String; 6]> {
            line.split('|').map(str::to_string).collect::<Vec<_>>().try_into().ok()
        };
        let debian: Vec<_> = listed.lines().filter_map(target).collect();
        let debian = || {
            debian
                .iter()
                .filter(|[_, origin, _, _, component, _]| origin == "Debian" && component == "main")
        };
        let own = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let is_own = |codename: &str| own.is_some_and(|own| own.trim_matches('"') == codename);
        let releases = || {
            debian()
                .filter(|[_, _, label, codename, ..]| label == "Debian" && !codename.contains('-'))
        };
        let main = releases().find(|target| is_own(&target[3])).or_else(|| releases().next())?;
        let source =
            |[uri, .., entry]: &[String; 6]| Source { uri: uri.clone(), key: key_of(entry) };
        Some(Self {
            codename: main[3].clone(),
            main: source(main),
            security: debian().find(|target| target[2] == "Debian-Security").map(source),
        })
    }

    /// A release's sources, in the one-line style.
    fn sources(&self, codename: &str, (kind, index): Kind) -> String {
        let line = |Source { uri, key }: &Source, suite: &str| {
            let key = key.as_ref().map(|key| format!(" signed-by={key}")).unwrap_or_default();
            format!("{kind} [arch=amd64 target={index}{key}] {uri} {codename}{suite} main\n")
        };
        let is_stable = STABLE.contains(&codename);
        let suites: &[&str] = if is_stable { &["", "-updates", "-backports"] } else { &[""] };
        let main: String = suites.iter().map(|suite| line(&self.main, suite)).collect();
        let security = self.security.as_ref().filter(|_| is_stable);
        main + &security.map(|source| line(source, "-security")).unwrap_or_default()
    }
}

/// The key's path, from the place that configured an index target: `FILE:N`, the n-th stanza or
/// line of the file. apt prints the place, but not the key.
fn key_of(entry: &str) -> Option<String> {
    let (file, number) = entry.rsplit_once(':')?;
    let text = std::fs::read_to_string(file).ok()?;
    key_in(&text, file.ends_with(".sources"), number.parse().ok()?)
}

fn key_in(text: &str, is_deb822: bool, number: usize) -> Option<String> {
    let number = number.checked_sub(1)?;
    let place = if is_deb822 {
        text.split("\n\n").filter(|stanza| !stanza.trim().is_empty()).nth(number)
    } else {
        text.lines().nth(number)
    };
    let place = place?;
    let (_, key) = place.split_once("Signed-By:").or_else(|| place.split_once("signed-by="))?;
    key.split([' ', '\n', ']', '\t']).find(|word| word.starts_with('/')).map(str::to_string)
}

#[cfg(test)]
mod tests;
