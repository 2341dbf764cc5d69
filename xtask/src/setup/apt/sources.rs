//! Step 1: the Debian archive that this machine is configured for.
//!
//! * On entry: a machine with apt and the sources that its owner configured.
//! * On exit: the URI and the key of Debian's main archive, and of its security archive if that is
//!   configured. No mirror is named here, so a machine with a local mirror keeps using it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use super::root::{DIRECTORIES, DPKG_STATUS, private_state};
use crate::command;
use crate::repository::Repository;
use crate::setup::by_hand::Unsupported;

/// Fields asked of `apt-get indextargets`, in this order.
const FORMAT: &str = "$(REPO_URI)|$(ORIGIN)|$(LABEL)|$(CODENAME)|$(COMPONENT)|$(SOURCESENTRY)";

/// An archive and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As in `URIs:`.
    pub uri: String,
    /// As in `Signed-By:`, if the machine's configuration has it: a path, or a key block.
    pub signed_by: Option<String>,
}

/// Debian's archives, as this machine is configured.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The machine's own release, such as `bookworm`.
    pub codename: String,
    /// The main archive.
    pub main: Source,
    /// The security archive.
    pub security: Option<Source>,
}

/// Reads the machine's apt configuration.
pub fn survey(sh: &Shell, repo: &Repository) -> Result<Archive> {
    for tool in ["apt-get", "apt-cache", "dpkg", "dpkg-deb"] {
        if cmd!(sh, "{tool} --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
            bail!(Unsupported(format!("`{tool}` cannot be run")));
        }
    }
    let listed = command::read(
        cmd!(sh, "apt-get indextargets --format {FORMAT}").arg("Created-By: Packages"),
    )?;
    if let Some(archive) = choose(&listed) {
        return Ok(archive);
    }
    // A fresh container has sources but no lists, and only a list says whose it is. Setup must not
    // change the machine's own lists, so it reads the machine's sources into a private directory.
    let dir = repo.apt().join("survey");
    for sub in DIRECTORIES {
        sh.create_dir(dir.join(sub))?;
    }
    let config = dir.join("apt.conf");
    sh.write_file(&config, private_state(&dir, Path::new(DPKG_STATUS)))?;
    let update = cmd!(sh, "apt-get -c {config} update").quiet().ignore_status().output()?;
    let listed = command::read(
        cmd!(sh, "apt-get -c {config} indextargets --format {FORMAT}").arg("Created-By: Packages"),
    )?;
    choose(&listed).with_context(|| {
        Unsupported(format!(
            "apt has no source of Debian's main archive here; stderr of `apt-get update`:\n{}",
            command::tail(&update.stderr)
        ))
    })
}

/// Finds Debian's own archives among the index targets, one per line.
fn choose(listed: &str) -> Option<Archive> {
    let targets: Vec<Target> = listed
        .lines()
        .filter_map(Target::parse)
        .filter(|t| t.origin == "Debian" && t.component == "main")
        .collect();
    let own = own_codename(&std::fs::read_to_string("/etc/os-release").unwrap_or_default());
    let releases = || targets.iter().filter(|t| t.label == "Debian" && !t.codename.contains('-'));
    let main =
        releases().find(|t| Some(&t.codename) == own.as_ref()).or_else(|| releases().next())?;
    let security = targets.iter().find(|t| t.label == "Debian-Security");
    Some(Archive {
        codename: main.codename.clone(),
        main: main.source(),
        security: security.map(Target::source),
    })
}

/// `VERSION_CODENAME` of /etc/os-release.
fn own_codename(os_release: &str) -> Option<String> {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_string())
}

/// One line of `apt-get indextargets`.
struct Target {
    uri: String,
    origin: String,
    label: String,
    codename: String,
    component: String,
    entry: String,
}

impl Target {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('|').map(str::to_string);
        let mut next = || fields.next();
        Some(Self {
            uri: next()?,
            origin: next()?,
            label: next()?,
            codename: next()?,
            component: next()?,
            entry: next()?,
        })
    }

    fn source(&self) -> Source {
        Source { uri: self.uri.clone(), signed_by: self.signed_by() }
    }

    /// The key, from the file that configured this target. apt prints the file and the stanza, but
    /// not the key.
    fn signed_by(&self) -> Option<String> {
        let (file, position) = self.entry.rsplit_once(':')?;
        let text = std::fs::read_to_string(file).ok()?;
        let position: usize = position.parse().ok()?;
        if Path::new(file).extension().is_some_and(|e| e == "sources") {
            signed_by_of_stanza(&text, position)
        } else {
            signed_by_of_line(text.lines().nth(position.checked_sub(1)?)?)
        }
    }
}

/// `Signed-By:` of the n-th stanza, counted from 1, of a deb822 file. Its continuation lines may
/// hold a key block.
fn signed_by_of_stanza(text: &str, n: usize) -> Option<String> {
    let without_comments: String =
        text.lines().filter(|l| !l.starts_with('#')).flat_map(|l| [l.trim_end(), "\n"]).collect();
    let stanza =
        without_comments.split("\n\n").filter(|s| !s.trim().is_empty()).nth(n.checked_sub(1)?)?;
    let mut lines =
        stanza.lines().skip_while(|l| !l.to_ascii_lowercase().starts_with("signed-by:"));
    let mut value = lines.next()?["signed-by:".len()..].trim().to_string();
    for line in lines.take_while(|l| l.starts_with([' ', '\t'])) {
        value.push('\n');
        value.push_str(line);
    }
    Some(value)
}

/// `signed-by=` among the options of a one-line entry: `deb [signed-by=FILE arch=amd64] URI SUITE
/// …`.
fn signed_by_of_line(line: &str) -> Option<String> {
    let options = line.split_once('[')?.1.split_once(']')?.0;
    options.split_whitespace().find_map(|o| o.strip_prefix("signed-by=")).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "# comment\nTypes: deb\nURIs: mirror:/a\nSigned-By: /usr/share/keyrings/one.gpg\n\n\
        Types: deb\n# comment\nURIs: mirror:/b\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\nSuites: x\n";

    #[test]
    fn debians_archive_is_found_among_others_of_the_same_suite() {
        let listed = "mirror:/other/|Other|Other|bookworm|main|/nonexistent:1\n\
            mirror:/debian/|Debian|Debian|bookworm-updates|main|/nonexistent:2\n\
            mirror:/debian/|Debian|Debian|bookworm|main|/nonexistent:2\n\
            mirror:/security/|Debian|Debian-Security|bookworm-security|main|/nonexistent:3\n";
        let archive = choose(listed).unwrap();
        assert_eq!(archive.main.uri, "mirror:/debian/");
        assert_eq!(archive.codename, "bookworm");
        assert_eq!(archive.security.unwrap().uri, "mirror:/security/");
    }

    #[test]
    fn a_machine_without_debians_archive_is_not_served() {
        assert!(choose("mirror:/other/|Ubuntu|Ubuntu|noble|main|/nonexistent:1\n").is_none());
    }

    #[test]
    fn the_key_comes_from_its_own_stanza() {
        assert_eq!(signed_by_of_stanza(DEB822, 1).unwrap(), "/usr/share/keyrings/one.gpg");
        assert_eq!(
            signed_by_of_stanza(DEB822, 2).unwrap(),
            "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc"
        );
        assert_eq!(signed_by_of_stanza(DEB822, 3), None);
    }

    #[test]
    fn the_key_is_found_among_one_line_options() {
        assert_eq!(
            signed_by_of_line("deb [arch=amd64 signed-by=/k.gpg] mirror:/ x main").unwrap(),
            "/k.gpg"
        );
        assert_eq!(signed_by_of_line("deb mirror:/ x main"), None);
    }

    #[test]
    fn the_codename_is_read_with_and_without_quotes() {
        assert_eq!(own_codename("ID=debian\nVERSION_CODENAME=bookworm\n").unwrap(), "bookworm");
        assert_eq!(own_codename("VERSION_CODENAME=\"trixie\"\n").unwrap(), "trixie");
    }
}
