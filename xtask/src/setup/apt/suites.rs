//! Step 2: which suites serve which purpose.
//!
//! * On entry: the machine's archive.
//! * On exit: for each purpose the sources of a private apt root. Suites of different releases are
//!   never mixed in one root: at equal priority, apt takes the newest version of everything and
//!   then finds no consistent set.

use std::fmt::Write;

use super::sources::{Archive, Source};

/// What a private apt root is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Programs that run on this machine, with the libraries it has.
    Machine,
    /// Programs, firmware and kernels for the guests: Debian 13, whatever this machine has.
    Guests,
    /// The kernel before crash hotplug: Debian 12.
    OldKernel,
    /// The essential packages of Debian 12, whatever this machine has installed.
    OldSystem,
}

/// The release of the guests' programs: its makedumpfile 1.7.6 and kexec-tools 2.0.29 support
/// kernels 6.12 and 7.
const GUESTS: &str = "trixie";
/// The release with kernel 6.1.
const OLD: &str = "bookworm";
/// Releases with `-updates`, `-security` and `-backports`. Testing and unstable have none, or empty
/// ones.
const STABLE: [&str; 2] = [OLD, GUESTS];

impl Purpose {
    /// The root that serves this purpose. On a Debian 12 machine, one root serves two purposes.
    pub fn served_by(self, archive: &Archive) -> Purpose {
        if self == Purpose::OldKernel && archive.codename == OLD { Purpose::Machine } else { self }
    }

    /// The name of the directory under `target/apt`.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Machine => "machine",
            Purpose::Guests => "guests",
            Purpose::OldKernel => "old-kernel",
            Purpose::OldSystem => "old-system",
        }
    }

    /// Whether packages installed on this machine count as present. Guests have none of them.
    pub fn counts_installed(self) -> bool {
        self == Purpose::Machine
    }

    fn codename(self, archive: &Archive) -> &str {
        match self {
            Purpose::Machine => &archive.codename,
            Purpose::Guests => GUESTS,
            Purpose::OldKernel | Purpose::OldSystem => OLD,
        }
    }

    /// The backports suite, if the release has one.
    pub fn backports(self, archive: &Archive) -> Option<String> {
        let codename = self.codename(archive);
        STABLE.contains(&codename).then(|| format!("{codename}-backports"))
    }

    /// The sources as deb822.
    pub fn sources(self, archive: &Archive) -> String {
        let codename = self.codename(archive);
        if !STABLE.contains(&codename) {
            return stanza(&archive.main, codename);
        }
        let mut text =
            stanza(&archive.main, &format!("{codename} {codename}-updates {codename}-backports"));
        if let Some(security) = &archive.security {
            text += &stanza(security, &format!("{codename}-security"));
        }
        text
    }
}

/// One deb822 stanza. `Targets: Packages` excludes translations, contents and application data.
fn stanza(source: &Source, suites: &str) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "Types: deb\nURIs: {}\nSuites: {suites}\nComponents: main", source.uri);
    let _ = writeln!(text, "Architectures: amd64\nTargets: Packages");
    if let Some(key) = &source.signed_by {
        let _ = writeln!(text, "Signed-By: {key}");
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(codename: &str) -> Archive {
        let source = |uri: &str| Source { uri: uri.into(), signed_by: Some("/k.gpg".into()) };
        Archive {
            codename: codename.into(),
            main: source("mirror:/main"),
            security: Some(source("mirror:/security")),
        }
    }

    #[test]
    fn each_root_holds_one_release_only() {
        let bookworm = archive("bookworm");
        assert!(!Purpose::Machine.sources(&bookworm).contains("trixie"));
        assert!(!Purpose::Guests.sources(&bookworm).contains("bookworm"));
    }

    #[test]
    fn old_kernel_needs_no_second_root_on_debian_12() {
        assert_eq!(Purpose::OldKernel.served_by(&archive("bookworm")), Purpose::Machine);
        assert_eq!(Purpose::OldKernel.served_by(&archive("trixie")), Purpose::OldKernel);
    }

    #[test]
    fn unstable_has_neither_backports_nor_security() {
        let sources = Purpose::Machine.sources(&archive("sid"));
        assert!(sources.contains("Suites: sid\n") && !sources.contains("sid-"), "{sources}");
        assert_eq!(Purpose::Machine.backports(&archive("sid")), None);
    }

    #[test]
    fn every_source_keeps_the_machines_key() {
        assert_eq!(
            Purpose::Guests.sources(&archive("bookworm")).matches("Signed-By: /k.gpg").count(),
            2
        );
    }
}
