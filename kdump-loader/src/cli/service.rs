//! `kdump-loader service …`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::manual;
use crate::options::words::{Listed, listed};
use crate::service::Distribution;

/// The distributions, by the kdump service of each.
const DISTRIBUTION: [Listed; 3] = [
    ("debian", "Debian, Ubuntu: kdump-tools"),
    ("fedora", "Fedora, RHEL, CentOS: kdump-utils"),
    ("suse", "openSUSE, SLES: kdump"),
];

/// The subcommands of `service`.
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Install and enable this program, its units, its udev rule and, if it is missing, its config
    ///
    /// Changes only files that differ, so a second run changes nothing. Keeps every replaced file
    /// next to its replacement, and records every change below /var/lib/kdump-loader for
    /// `uninstall`. Starts nothing: `systemctl start kdump-loader` arms.
    ///
    /// Sets kernel.panic_on_oops=1 by sysctl.d, as the services that it replaces do. A new config
    /// takes over settings from /etc/default/kdump-tools or /etc/sysconfig/kdump; `install` names
    /// every other setting. An existing config, such as the one from Debian's package, stays
    /// unchanged; `install` names every setting.
    #[command(after_long_help = manual::help("service install"))]
    Install(Install),
    /// Restore what was there before `install`
    ///
    /// Files that were changed after the installation stay, the config included. The armed image
    /// stays armed.
    Uninstall(Uninstall),
    /// Put this program in place of kexec on Debian; the kexec of kexec-tools becomes kexec.distrib
    ///
    /// For machines on which kdump-tools arms with kexec. dpkg records a diversion, so an upgrade
    /// of kexec-tools replaces kexec.distrib. If a run is interrupted, the next one finishes it.
    /// `service uninstall` also undoes the diversion.
    Divert(Divert),
    /// Report missing and changed files, and other services that arm capture kernels
    Check(Check),
}

/// `service install`
#[derive(Debug, Args)]
pub struct Install {
    /// Keep other services and udev rules from arming capture kernels
    ///
    /// A drop-in makes services that also save dumps, such as Debian's, run in the capture kernel
    /// only. Links to /dev/null below /etc mask udev rules that arm. `uninstall` undoes both.
    #[arg(long)]
    pub mask_conflicts: bool,
    /// The distribution whose kdump service makes the initrd and saves the dump [default: from
    /// /etc/os-release]
    #[arg(long, value_name = "NAME", value_parser = listed(&DISTRIBUTION, Distribution::from_str))]
    pub distribution: Option<Distribution>,
    #[command(flatten)]
    pub place: Place,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `service uninstall`
#[derive(Debug, Args)]
pub struct Uninstall {
    #[command(flatten)]
    pub place: Place,
    /// Show what would be done, and change nothing
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
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `service check`
#[derive(Debug, Args)]
pub struct Check {
    /// The distribution whose kdump service makes the initrd and saves the dump [default: from
    /// /etc/os-release]
    #[arg(long, value_name = "NAME", value_parser = listed(&DISTRIBUTION, Distribution::from_str))]
    pub distribution: Option<Distribution>,
    #[command(flatten)]
    pub place: Place,
    /// Print the findings as JSON, each with a code, a file and a message
    #[arg(long)]
    pub json: bool,
}

/// The machine to change or check.
#[derive(Debug, Args)]
pub struct Place {
    /// Root of another machine's file system, such as a mounted image; systemd and udev are then
    /// not notified
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub root: PathBuf,
}
