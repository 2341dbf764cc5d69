//! Why a command failed, and what is armed afterwards: the messages that a user reads.

use std::io;
use std::path::PathBuf;

use loader::admit::preflight;
use loader::files::read;
use loader::kernel;
use loader::machine;
use loader::phys::PhysRange;
use loader::purgatory;

use crate::arm::{self, Aftermath, record};
use crate::hotplug::removal;
use crate::options::config;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was armed or disarmed.
    #[error(transparent)]
    Arm(#[from] arm::Error),
    /// A file of this program's state cannot be read or written.
    #[error(transparent)]
    State(#[from] record::Error),
    /// The window of addresses is empty.
    #[error("--mem-min={mem_min:#x} is above --mem-max={mem_max:#x}; swap them")]
    NoWindow {
        /// The lowest address.
        mem_min: u64,
        /// The highest.
        mem_max: u64,
    },
    /// The call concerns reboots, and there is no other kexec.
    #[error("{0}")]
    NoOtherKexec(String),
    /// The other kexec cannot be run.
    #[error(
        "cannot run {}, the kexec for reboots; set KDUMP_LOADER_KEXEC=FILE to use another",
        program.display()
    )]
    Elsewhere {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The image is armed, but standard output failed.
    #[error("armed {identity}, but could not print the result")]
    ArmedButNotPrinted {
        /// The image's identity.
        identity: String,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// A reload failed before the system call.
    #[error("the reload failed ({aftermath})")]
    Reload {
        /// What is armed now.
        aftermath: Aftermath,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// The config cannot be read, or has an error.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The kernel announced the removal of memory, but still lists it.
    #[error(
        "the kernel reported memory {range} as removed, but /proc/iomem still lists it after {} s; \
         the next reload checks again",
        removal::PATIENCE.as_secs()
    )]
    NotReleased {
        /// Where it is.
        range: PhysRange,
    },
    /// The kernel's device events cannot be received.
    #[error(
        "cannot receive the kernel's device events (netlink, NETLINK_KOBJECT_UEVENT); a sandbox \
         may forbid it"
    )]
    Watch {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is not a kernel that can be loaded.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// A file is not a purgatory that can be loaded.
    #[error(transparent)]
    Purgatory(#[from] purgatory::Error),
    /// This program's own file cannot be read.
    #[error("cannot read this program's own file, {}", path.display())]
    Program {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The service could not be installed, uninstalled or checked.
    #[error(transparent)]
    Service(#[from] crate::service::Error),
    /// A file is missing or differs, or another service arms.
    #[error("{}", not_installed(*problems, *of_config))]
    NotInstalled {
        /// How many findings about the service are problems.
        problems: usize,
        /// How many findings about the config and its files are problems.
        of_config: usize,
    },
    /// The files are in place, but systemd or udev was not notified.
    #[error("the files are in place, but `{command}` failed ({ended}); run it yourself, or reboot")]
    System {
        /// The command.
        command: String,
        /// How it ended.
        ended: String,
        /// Why it could not be run.
        #[source]
        source: Option<io::Error>,
    },
    /// systemd does not say that it stops or restarts the unit.
    #[error(
        "systemd does not say whether it stops or restarts {unit}, so the armed image stays armed; \
         `kdump-loader unload` disarms it"
    )]
    NoStop {
        /// The unit.
        unit: String,
        /// Why systemd could not be asked.
        #[source]
        source: Option<io::Error>,
    },
    /// A panic would leave no dump.
    #[error(
        "no capture kernel is armed, so a panic would leave no dump; run kdump-loader load, or \
         kdump-loader reload"
    )]
    NothingToTest,
    /// The machine's name was not typed.
    #[error("not confirmed: expected the machine's name, {host}; nothing was done")]
    NotConfirmed {
        /// Its name.
        host: String,
    },
    /// The kernel took the request and did not panic.
    #[error("the kernel did not panic after a c in {}; see the kernel log", path.display())]
    NoPanic {
        /// The file.
        path: PathBuf,
    },
    /// Only root can read the panics.
    #[error("cannot read the panics below {}; run this command as root", path.display())]
    Forbidden {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Output {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// `service install` cannot make the files that the config names.
fn not_installed(problems: usize, of_config: usize) -> String {
    let counted =
        |count, whose| format!("{count} problem{} {whose}", if count == 1 { "" } else { "s" });
    let service = format!(
        "{}: `kdump-loader service install` installs what is missing",
        counted(problems, "of the service")
    );
    let files = format!(
        "{}: the findings say what is missing",
        counted(of_config, "of the config and its files")
    );
    match (problems, of_config) {
        (_, 0) => service,
        (0, _) => files,
        _ => format!("{service}; {files}"),
    }
}

/// Errors that [`arm::Error`] already has a variant for.
macro_rules! of_arming {
    ($($cause:ty),+) => {
        $(impl From<$cause> for Error {
            fn from(cause: $cause) -> Self {
                Self::Arm(cause.into())
            }
        })+
    };
}
of_arming!(loader::Error, machine::Error, preflight::Error, read::Error);
