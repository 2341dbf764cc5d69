//! `kdump-loader service …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use loader::service::Distribution;

const INSTALL_EXAMPLE: &str = "Example, on a Debian with kdump-tools, which goes on saving the dumps:\n\n  kdump-loader service install --mask-conflicts\n  \
     systemctl start kdump-loader\n  kdump-loader status\n\nand back: kdump-loader service uninstall && systemctl restart kdump-tools";

/// What to do with the service.
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Install this program, its units, its udev rule and, if there is none, its configuration; and enable them
    ///
    /// Files are changed only where they differ, so a second run changes nothing. What was there before is kept beside what takes its place, and
    /// written down below /var/lib/kdump-loader, so that `uninstall` can put it back. Nothing is started: `systemctl start kdump-loader` arms.
    #[command(after_long_help = INSTALL_EXAMPLE)]
    Install(Install),
    /// Put back what was there before `install`
    ///
    /// A configuration that was changed stays, and so does any other file that is not as it was installed. The image that is armed stays armed.
    Uninstall(Uninstall),
    /// Put this program in kexec's place on a Debian: its kexec steps aside as kexec.distrib
    ///
    /// For a machine whose kdump-tools arms by calling kexec. dpkg is told by diversions, so that an upgrade of kexec-tools replaces
    /// kexec.distrib. A run that was interrupted is finished by the next. `service uninstall` undoes it, too.
    Divert(Divert),
    /// Say what is missing or differs, and who else arms capture kernels on this machine
    ///
    /// The exit status is 0 when everything is as installed and nobody else does.
    Check(Check),
}

/// `service install`
#[derive(Debug, Args)]
pub struct Install {
    /// Keep others' services and udev rules from arming capture kernels
    ///
    /// Only what arms: Debian's service that also saves dumps runs in the capture kernel alone from then on, by a drop-in; services and rules that only arm are
    /// masked, by links to /dev/null below /etc. `uninstall` takes back just that.
    #[arg(long)]
    pub mask_conflicts: bool,
    /// Whose kdump service makes the initial RAM disk and saves the dump here: debian, fedora or suse [default: what /etc/os-release says]
    #[arg(long, value_name = "NAME")]
    pub distribution: Option<Distribution>,
    #[command(flatten)]
    pub place: Place,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `service uninstall`
#[derive(Debug, Args)]
pub struct Uninstall {
    #[command(flatten)]
    pub place: Place,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `service divert`
#[derive(Debug, Args)]
pub struct Divert {
    /// Put the package's kexec back
    #[arg(long)]
    pub undo: bool,
    #[command(flatten)]
    pub place: Place,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `service check`
#[derive(Debug, Args)]
pub struct Check {
    /// Whose kdump service makes the initial RAM disk and saves the dump here: debian, fedora or suse [default: what /etc/os-release says]
    #[arg(long, value_name = "NAME")]
    pub distribution: Option<Distribution>,
    #[command(flatten)]
    pub place: Place,
    /// Print the findings as JSON: a code, the file, and the words
    #[arg(long)]
    pub json: bool,
}

/// Which machine.
#[derive(Debug, Args)]
pub struct Place {
    /// The machine whose file system lies here, as an image in the making; systemd and udev are told nothing then
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub root: PathBuf,
}
