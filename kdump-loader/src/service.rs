//! Installs and uninstalls the service that keeps a capture kernel armed from boot to panic.
//!
//! *On entry* the file system of a machine, live or a disk image below a directory.
//!
//! *On exit*
//! - of [`install`]: the program, the units, the udev rule, a config, the links that enable them,
//!   and a ledger of every change
//! - of [`uninstall`]: exactly the files before the installation, except for files that were
//!   changed after it
//! - of [`conflicts()`]: other services and udev rules that arm; on request, `install` keeps them
//!   from arming, but not from saving dumps
//!
//! Nothing here calls systemd or udev, so a disk image can be changed as well. Only the diversion
//! of Debian's kexec calls another program, dpkg-divert.

mod access; // [0] one installation at a time
mod tree; // [1] the file system, and single changes to it
mod layout; // [2] the files to install
pub(crate) mod shell; // [2a] settings files of other services
mod settings; // [2b] settings that are taken over from them
mod distribution; // [2c] the distribution, and its config
pub mod rules; // [3] udev rules that arm
mod conflicts; // [4] other services that arm, and how to keep them from it
mod ledger; // [5] the record of all changes
mod change; // [6] all changes, or none
pub mod divert; // [7] Debian's kexec
mod check; // missing and changed files

pub use access::Access;
pub use change::{Choice, Done, install, uninstall};
pub use check::{Finding, check};
pub use conflicts::{Conflict, conflicts};
pub(crate) use conflicts::{UnitState, unit_state};
pub use distribution::Distribution;
pub use layout::{PROGRAM, Program, sysctl_keys};
pub use settings::{Fate, Settings};

use std::io;
use std::path::{Path, PathBuf};

use crate::arm::record;

/// Why the service could not be installed, uninstalled or checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The action.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process holds the lock, or the lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] record::Error),
    /// Something that is neither a file nor a link has the name of a file.
    #[error("{} is {what}, where a file belongs; move it away and try again", path.display())]
    InTheWay {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// A link in the path leads out of the root.
    #[error(
        "{} leads out of {} to {}; make the link relative",
        path.display(), root.display(), leads_to.display()
    )]
    Outside {
        /// The directory.
        path: PathBuf,
        /// The root.
        root: PathBuf,
        /// The directory that it leads to.
        leads_to: PathBuf,
    },
    /// An installed file was changed.
    #[error(
        "{} was changed after the installation; move it away, or run `kdump-loader service \
         uninstall` first",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The distribution is unknown.
    #[error(
        "unknown distribution ({}): if this machine uses the kdump service of a known one, name it \
         with --distribution debian, fedora or suse; otherwise write /etc/kdump-loader.toml first",
        match &ids[..] {
            [] => "/etc/os-release names none".to_owned(),
            ids => format!("/etc/os-release names {}", ids.join(" ")),
        }
    )]
    Distribution {
        /// Its ID and ID_LIKE.
        ids: Vec<String>,
    },
    /// The file that arms is the administrator's own, so it is not masked.
    #[error(
        "{} is the administrator's own file and arms capture kernels; edit it or move it away",
        path.display()
    )]
    Administrators {
        /// The file.
        path: PathBuf,
    },
    /// dpkg is missing.
    #[error(
        "cannot find {program}: diversions need Debian; elsewhere, put a link named kexec first in \
         the service's PATH"
    )]
    NoDpkg {
        /// The program.
        program: &'static str,
    },
    /// The program is not installed on the machine.
    #[error(
        "{} is missing, and kexec would be a link to it; run `kdump-loader service install` first",
        path.display()
    )]
    NoProgram {
        /// Its path.
        path: PathBuf,
    },
    /// No package has installed kexec.
    #[error(
        "no package owns /sbin/kexec or /usr/sbin/kexec; install kexec-tools first, which \
         kdump-tools also needs"
    )]
    NoKexec,
    /// kexec has another diversion.
    #[error(
        "kexec already has another diversion ({line}); remove it with dpkg-divert --remove first"
    )]
    Diverted {
        /// dpkg's line about it.
        line: String,
    },
    /// The link was replaced.
    #[error(
        "{} is not the link that `service divert` made; move it away and try again",
        path.display()
    )]
    NotOurLink {
        /// The path.
        path: PathBuf,
    },
    /// The new name for the package's kexec is taken.
    #[error(
        "{} already exists, but `service divert` would move {} there; move it away and try again",
        aside.display(), path.display()
    )]
    Aside {
        /// kexec.
        path: PathBuf,
        /// The new name.
        aside: PathBuf,
    },
    /// dpkg failed.
    #[error("`{command}` failed: {output}")]
    Dpkg {
        /// The command.
        command: String,
        /// Its output.
        output: String,
    },
    /// The ledger cannot be parsed.
    #[error(
        "{} is not a valid ledger; without it, `service uninstall` does not know what to restore",
        path.display()
    )]
    Garbled {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Some files could not be restored.
    #[error(
        "the uninstallation is incomplete; fix the cause and run `kdump-loader service uninstall` \
         again to finish it"
    )]
    Unfinished {
        /// The error.
        #[source]
        source: Box<Error>,
    },
    /// The installation failed and was undone.
    #[error("the installation failed, and all its changes were undone")]
    Undone {
        /// The error.
        #[source]
        source: Box<Error>,
    },
    /// The installation failed, and so did undoing it.
    #[error(
        "the installation failed, and its changes could not all be undone ({undoing}); run \
         `kdump-loader service uninstall` to undo the rest"
    )]
    Half {
        /// The error while undoing.
        undoing: Box<Error>,
        /// The first error.
        #[source]
        source: Box<Error>,
    },
}

/// What an installation does with the settings of the distribution's service. A config that an
/// earlier installation generated already has them.
pub fn taken_over(root: &Path, distribution: Option<Distribution>) -> Result<Settings, Error> {
    let tree = tree::Tree::new(root)?;
    if tree.look(layout::CONFIGURATION)? == tree::Found::Absent {
        return settings::read(&tree, distribution_of(&tree, distribution)?);
    }
    let generated = ledger::Ledger::read(&tree)?
        .is_some_and(|ledger| ledger.entry(layout::CONFIGURATION).is_some());
    match distribution_of(&tree, distribution) {
        Ok(distribution) if !generated => {
            Ok(settings::read(&tree, distribution)?.with_existing_config())
        }
        // The config exists, so the distribution does not matter.
        _ => Ok(Settings::default()),
    }
}

/// The named distribution, or the machine's own.
fn distribution_of(tree: &tree::Tree, named: Option<Distribution>) -> Result<Distribution, Error> {
    named.map_or_else(|| Distribution::of(tree), Ok)
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
