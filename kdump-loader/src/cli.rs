//! The command line of `kdump-loader`, with the text of `--help` and the man pages.

pub mod manual; // the rest of each page: exit status, files, examples
mod service; // `service …`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::capture::Place;
use crate::hotplug::queue::Block;
use crate::options::Options;
use crate::options::config::NOT_FOR_FILE;
pub use service::{Check, Divert, Install, Service, Uninstall};

/// Stands for standard output in place of a file's path.
pub const STANDARD_OUTPUT: &str = "-";

/// Arms a capture kernel that takes over when this kernel panics
#[derive(Debug, Parser)]
#[command(name = "kdump-loader", version, after_help = manual::help(""))]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The definition of the command line, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Arm a capture kernel in place of the armed one
    ///
    /// Every check comes before the system call, because a failed call can disarm the armed image.
    #[command(after_long_help = manual::help("load"))]
    Load(Load),
    /// Disarm the capture kernel
    Unload(Unload),
    /// Arm what the config says, unless the armed image is up to date
    ///
    /// Arms if nothing is armed. Does nothing if the armed image is up to date. Otherwise replaces
    /// it with one system call. All checks come first; if one fails, the old image stays armed.
    /// Nothing is armed only during that call.
    #[command(after_long_help = manual::help("reload"))]
    Reload(Reload),
    /// Say whether a panic now would leave a dump, and list every problem
    ///
    /// The first line is the answer: yes, yes but, cannot tell, or no. Findings follow, each with a
    /// level and a code; docs/status.md lists them. The exit status is 0 for the first two answers
    /// and 1 for the others. Without root privileges, the answer is usually "cannot tell".
    Status(Status),
    /// Tell the last panic: what panicked, how far the purgatory and the capture kernel came, and
    /// whether a dump was saved
    ///
    /// The first load after a boot reads what the boot before left in crash memory. This command
    /// tells what was found. Nothing that was not seen is claimed.
    #[command(after_long_help = manual::help("last"))]
    Last(Last),
    /// Print changes of CPUs, memory and the armed image as they happen
    ///
    /// Prints the kernel's events about CPUs and memory blocks, arming and disarming (within a
    /// tenth of a second), and whether the kernel keeps the image up to date. Ctrl-C ends it.
    Watch(Watch),
    /// Show what `load` would do, without arming anything
    ///
    /// With --snapshot, plans for the machine of the snapshot, and needs no privilege.
    Plan(Plan),
    /// Say how much crash memory (crashkernel=) this machine needs, for each way to save a dump
    ///
    /// Adds up the image and what kernels of its series needed in tests. The ways are --capture,
    /// and the initrd of the config.
    #[command(after_long_help = manual::help("estimate"))]
    Estimate(Estimate),
    /// Test everything short of a panic that --capture depends on; with --panic, the panic
    ///
    /// Finds the target, makes the initrd, and writes a file to the directory and removes it. A
    /// partition is opened for writing, but not changed. Then it asks `status`. The exit status is
    /// 1 if anything failed.
    #[command(after_long_help = manual::help("test"))]
    Test(Test),
    /// Describe the file of a capture kernel or purgatory
    Inspect(Inspect),
    /// Save what an image depends on about this machine
    ///
    /// A snapshot holds copies of files below /proc and /sys, and no memory. `plan --snapshot`
    /// reads it. Check it before you share it: it reveals the kernel's address, which KASLR hides,
    /// and the running kernel's command line, which may hold credentials.
    Snapshot(Snapshot),
    /// Take the options of kexec-tools' kexec for capture kernels
    ///
    /// The same as running this program under the name kexec. `kdump-loader kexec --help` lists the
    /// options.
    #[command(disable_help_flag = true)]
    Kexec(Kexec),
    /// Install, remove or check the service that keeps a capture kernel armed
    #[command(subcommand)]
    Service(Service),
}

/// `load`
#[derive(Debug, Args)]
pub struct Load {
    #[command(flatten)]
    pub image: Options,
    /// Let the kernel build the image (kexec_file_load)
    ///
    /// For kernels that are locked down, as under Secure Boot. The kernel accepts a capture kernel
    /// whose signature it trusts. After a panic, the kernel's built-in purgatory verifies the
    /// image. If the image is corrupt, that purgatory hangs without a message.
    #[arg(long, conflicts_with_all = NOT_FOR_FILE)]
    pub file: bool,
    /// Print the armed image as JSON: segments, regions, entry point, identity, and whether the
    /// kernel keeps it up to date
    #[arg(long)]
    pub json: bool,
}

/// `unload`
#[derive(Debug, Args)]
pub struct Unload {
    /// Only disarm if systemd stops this unit, not if it restarts it; used by the service
    #[arg(long, value_name = "UNIT")]
    pub if_stopped: Option<String>,
}

/// `reload`
#[derive(Debug, Args)]
pub struct Reload {
    /// The config
    #[arg(long, value_name = "FILE", default_value = "/etc/kdump-loader.toml")]
    pub config: PathBuf,
    /// Arm again even if the armed image is up to date
    #[arg(long)]
    pub force: bool,
    /// Print JSON: how often an image was armed, and why
    #[arg(long)]
    pub json: bool,
    /// Only queue a hotplug event for the next reload; used by the udev rule
    #[arg(long, conflicts_with_all = ["force", "json"])]
    pub queue: bool,
    /// The memory block that was removed, such as memory42
    #[arg(long, value_name = "DEVICE", requires = "queue")]
    pub removed: Option<Block>,
}

/// `status`
#[derive(Debug, Args)]
pub struct Status {
    /// Also exit with 1 for "yes, but"
    #[arg(long)]
    pub strict: bool,
    /// Compare the armed image with this config [default: /etc/kdump-loader.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Also write metrics to this file, in the textfile directory of Prometheus' node_exporter; the
    /// file is replaced atomically
    #[arg(long, value_name = "FILE")]
    pub prometheus: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Examine the machine below this directory, for tests and bug reports
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// `last`
#[derive(Debug, Args)]
pub struct Last {
    /// Tell every panic that is kept, the oldest first
    #[arg(long)]
    pub all: bool,
    /// Write the same as a web page that stands alone, with the end of each log
    ///
    /// It needs no network and no script. FILE is replaced atomically; a symbolic link is rejected.
    /// If FILE is - or missing, the page goes to standard output. Logs can hold secrets: read the
    /// page before you share it.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = STANDARD_OUTPUT,
        conflicts_with_all = ["json", "note_shutdown"]
    )]
    pub html: Option<PathBuf>,
    /// Also read every page of each dump that --capture has saved
    ///
    /// Exit status 1 if a page is missing or damaged; 0 also if the dump itself is missing,
    /// incomplete, unfiltered or made by makedumpfile. The dump is read as a whole, which can take
    /// minutes.
    #[arg(long, conflicts_with = "note_shutdown")]
    pub check: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only note that an orderly shutdown or reboot begins, so that the next boot can tell it from
    /// a reset; used by the service
    #[arg(long, conflicts_with_all = ["all", "json"])]
    pub note_shutdown: bool,
    /// Examine the machine below this directory, for tests and bug reports
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// `watch`
#[derive(Debug, Args)]
pub struct Watch {
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
}

/// `plan`
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub image: Options,
    /// Plan for the machine of this snapshot; not with --capture, because it has no modules
    #[arg(long, value_name = "DIR", conflicts_with = "capture")]
    pub snapshot: Option<PathBuf>,
    /// Draw the crash region as SVG: segments, free memory, and what is hashed
    ///
    /// FILE is replaced atomically; a symbolic link is rejected. The table is still printed. If
    /// FILE is - or missing, the picture goes to standard output instead of the table.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = STANDARD_OUTPUT,
        conflicts_with = "json"
    )]
    pub svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `estimate`
#[derive(Debug, Args)]
pub struct Estimate {
    /// The config [default: /etc/kdump-loader.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The capture kernel [default: the config's, or the running kernel's in /boot]
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// The target of --capture [default: the config's, or /var/crash]
    #[arg(long, value_name = "TARGET", value_parser = Place::parse)]
    pub capture: Option<Place>,
    /// The makedumpfile that saves the dump of --capture [default: the config's, or none]
    #[arg(long, value_name = "PROGRAM")]
    pub makedumpfile: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `test`
#[derive(Debug, Args)]
pub struct Test {
    /// Panic this machine, after its name was typed
    ///
    /// All data is written to the disks first. After the reboot, `last` tells how it went.
    #[arg(long, conflicts_with_all = ["capture", "kernel", "config"])]
    pub panic: bool,
    /// The target [default: that of the armed image, or of the config]
    #[arg(long, value_name = "TARGET", value_parser = Place::parse)]
    pub capture: Option<Place>,
    /// The capture kernel, with --capture [default: the armed one, or the running kernel's in
    /// /boot]
    #[arg(long, value_name = "FILE", requires = "capture")]
    pub kernel: Option<PathBuf>,
    /// The config [default: /etc/kdump-loader.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// A bzImage, a unified kernel image, a vmlinux or a purgatory [default: the embedded
    /// purgatory]
    pub file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `snapshot`
#[derive(Debug, Args)]
pub struct Snapshot {
    /// The new or empty directory to save it in
    pub dir: PathBuf,
}

/// `kexec`
#[derive(Debug, Args)]
pub struct Kexec {
    /// The arguments of kexec-tools' kexec
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub arguments: Vec<OsString>,
}

#[cfg(test)]
mod tests;
