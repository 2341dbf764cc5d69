//! The service around the loader: what keeps a capture kernel armed from boot to panic, put on a machine and taken away again.
//!
//! *On entry* a file system, live or below a directory. *On exit* of [`install`] it has the program, the units, the udev rule, a configuration
//! and the links that enable them, and a ledger of every change; of [`uninstall`], exactly what was there before, except for what somebody
//! has changed since. Others that arm capture kernels are found by [`conflicts()`] and, if asked for, held back, in so far as they arm: what
//! saves dumps goes on.
//!
//! Nothing here talks to systemd or udev. Files tell them everything, so the image of a machine can be changed as well. Only the diversion of
//! Debian's kexec calls another program, dpkg-divert.

mod turn; // [0] one change at a time
mod tree; // [1] the file system: what is there, and one change at a time
mod layout; // [2] what shall be there
pub(crate) mod shell; // [2a] files of settings of other services
mod settings; // [2b] what is taken over from them
mod distribution; // [2c] whose service it is, and the configuration for it
pub mod rules; // [3] udev rules that arm
mod conflicts; // [4] everybody who arms, and what holds them back
mod ledger; // [5] what was changed
mod change; // [6] all changes, or none
pub mod divert; // [7] Debian's kexec
mod check; // what is missing

pub use change::{Choice, Done, install, uninstall};
pub use check::{Finding, check};
pub use conflicts::{Conflict, conflicts};
pub(crate) use conflicts::{UnitState, unit_state};
pub use distribution::Distribution;
pub use layout::{PROGRAM, Program, sysctl_keys};
pub use settings::{Fate, Settings};
pub use turn::Turn;

use std::io;
use std::path::{Path, PathBuf};

use crate::arm::record;

/// Why the service could not be installed, taken away or looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process changes the machine, or the lock cannot be had.
    #[error(transparent)]
    Turn(#[from] record::Error),
    /// There is something that is neither a file nor a link.
    #[error("{} is {what}, where a file belongs; move it away and try again", path.display())]
    InTheWay {
        /// Where.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A link on the way leads out of the directory that stands for a machine's root.
    #[error("{} leads out of {} to {}; make the link relative", path.display(), root.display(), leads_to.display())]
    Outside {
        /// The directory that was asked for.
        path: PathBuf,
        /// The root.
        root: PathBuf,
        /// Where it leads.
        leads_to: PathBuf,
    },
    /// Somebody has changed what was installed.
    #[error("{} was changed after the installation; move it away, or run `kdump-loader service uninstall` first", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Nothing is known of this distribution.
    #[error(
        "unknown distribution ({}): if this machine uses the kdump service of a known one, name it with --distribution debian, fedora \
         or suse; otherwise write /etc/kdump-loader.toml first",
        if ids.is_empty() { "/etc/os-release names none".to_owned() } else { format!("/etc/os-release names {}", ids.join(" ")) }
    )]
    Distribution {
        /// Its ID and ID_LIKE.
        ids: Vec<String>,
    },
    /// What would mask a rule or hold back a unit has the administrator's own words in it.
    #[error("{} is the administrator's own file and arms capture kernels; edit it or move it away", path.display())]
    Administrators {
        /// The file.
        path: PathBuf,
    },
    /// There is no dpkg.
    #[error("cannot find {program}: diversions need Debian; elsewhere, put a link named kexec first in the service's PATH")]
    NoDpkg {
        /// The program.
        program: &'static str,
    },
    /// The program is not installed on the machine.
    #[error("{} is missing, and kexec would be a link to it; run `kdump-loader service install` first", path.display())]
    NoProgram {
        /// Where it belongs.
        path: PathBuf,
    },
    /// No package has installed kexec.
    #[error("no package owns /sbin/kexec or /usr/sbin/kexec; install kexec-tools first, which kdump-tools also needs")]
    NoKexec,
    /// kexec is diverted already, by another hand.
    #[error("kexec already has another diversion ({told}); remove it with dpkg-divert --remove first")]
    Diverted {
        /// What dpkg says of it.
        told: String,
    },
    /// The link was replaced.
    #[error("{} is not the link that `service divert` made; move it away and try again", path.display())]
    NotOurLink {
        /// Where.
        path: PathBuf,
    },
    /// Something has the name that the package's kexec would get.
    #[error("{} already exists, but `service divert` would move {} there; move it away and try again", aside.display(), path.display())]
    Aside {
        /// kexec.
        path: PathBuf,
        /// What is there.
        aside: PathBuf,
    },
    /// dpkg refused.
    #[error("`{command}` failed: {told}")]
    Dpkg {
        /// What was called.
        command: String,
        /// What it said.
        told: String,
    },
    /// The ledger is none of ours.
    #[error("{} is not a valid ledger; without it, `service uninstall` does not know what to restore", path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Something could not be put back.
    #[error("the uninstallation is incomplete; fix the cause and run `kdump-loader service uninstall` again to finish it")]
    Unfinished {
        /// What went wrong.
        #[source]
        source: Box<Error>,
    },
    /// It went wrong, and nothing is left of it.
    #[error("the installation failed, and all its changes were undone")]
    Undone {
        /// What went wrong.
        #[source]
        source: Box<Error>,
    },
    /// It went wrong, and undoing it did, too.
    #[error(
        "the installation failed, and its changes could not all be undone ({undoing}); run `kdump-loader service uninstall` to undo the rest"
    )]
    Half {
        /// Why it could not be undone.
        undoing: Box<Error>,
        /// What went wrong in the first place.
        #[source]
        source: Box<Error>,
    },
}

/// What an installation will do with the settings of the service that the distribution has. A configuration that an earlier installation
/// generated has them already.
pub fn taken_over(root: &Path, distribution: Option<Distribution>) -> Result<Settings, Error> {
    let tree = tree::Tree::new(root)?;
    if tree.look(layout::CONFIGURATION)? == tree::Found::Absent {
        return settings::read(&tree, distribution_of(&tree, distribution)?);
    }
    let generated = ledger::Ledger::read(&tree)?.is_some_and(|ledger| ledger.entry(layout::CONFIGURATION).is_some());
    match distribution_of(&tree, distribution) {
        Ok(distribution) if !generated => Ok(settings::read(&tree, distribution)?.beside_a_configuration()),
        // Nothing needs to be known of the distribution then.
        _ => Ok(Settings::default()),
    }
}

/// The distribution that was named, or the one that the machine says it is.
fn distribution_of(tree: &tree::Tree, named: Option<Distribution>) -> Result<Distribution, Error> {
    named.map_or_else(|| Distribution::of(tree), Ok)
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
