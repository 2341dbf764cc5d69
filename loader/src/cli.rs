//! The command line of `kdump-loader`: what can be said, in the words of `--help` and the man pages.

mod image; // what decides an image
mod service; // `service …`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use loader::queue::Block;

pub use image::ImageArgs;
pub use service::{Check, Install, Service, Uninstall};

const AFTER_HELP: &str = "Data goes to standard output, words to standard error. The exit status is 0 when it was done, 1 when it could \
     not be done, and 2 when it was not understood.";

const LOAD_EXAMPLE: &str = "Example: kdump-loader load --kernel /boot/vmlinuz --initrd /var/lib/kdump/initrd.img --reuse-cmdline --append \
     'nr_cpus=1 reset_devices acpi_no_memhotplug'\n\nThe kernel keeps an armed image current when CPUs come or go and when memory comes, if it can \
     (`status` says whether). After memory is removed, load again: the kernel leaves the range in the list of what is to be \
     dumped.\n\nWhat was armed is written to /run/kdump-loader/armed.json, where `status` looks.";

/// In place of a file's path.
pub const STANDARD_OUTPUT: &str = "-";
const RELOAD_EXAMPLE: &str = "The config is TOML. Its keys are load's long options with _ for -: kernel, initrd, append, reuse_cmdline, \
     noefi, on_corrupt, reset_delay, console, confidential, no_hotplug, engine, leaf_size, purgatory; and file = \"auto\", \"never\" or \"always\" (auto: let \
     the kernel make the image only where it forbids kexec_load). {release} in kernel and initrd stands for the running kernel's \
     release.\n\nOf a burst of events, the first is answered at once, the others together when it is quiet. The exit status is 0 when the \
     armed image is true, 1 when it could not be made so.\n\nExample of a config:\n  kernel = \"/boot/vmlinuz-{release}\"\n  initrd = \
     \"/var/lib/kdump/initrd.img-{release}\"\n  reuse_cmdline = true\n  append = \"nr_cpus=1 reset_devices acpi_no_memhotplug\"";

/// Arms a capture kernel that takes over when this kernel panics
#[derive(Debug, Parser)]
#[command(name = "kdump-loader", version, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Arm a capture kernel, in place of the one that is armed
    ///
    /// Everything that can be checked is checked before the kernel is asked, because a refusal may cost the armed image.
    #[command(after_help = LOAD_EXAMPLE)]
    Load(Load),
    /// Disarm the capture kernel
    Unload,
    /// Make the armed image true: arm what the config says, if that is not what is armed
    ///
    /// Arms if nothing is armed; does nothing if the armed image still is what would be armed now; else puts another in its place, with
    /// everything checked before and one system call, which is all the time without. What does not succeed leaves the old one armed.
    #[command(after_help = RELOAD_EXAMPLE)]
    Reload(Reload),
    /// Say whether a panic now would leave a dump, and what would be wrong with it
    ///
    /// The first line is the answer: yes, yes but, no because. The exit status is 0 for the first two and 1 for no, or when it cannot be told,
    /// as without privilege.
    Status(Status),
    /// Print what happens to CPUs, memory and the armed image, as it happens
    ///
    /// CPUs and memory blocks that come, go and change state, by the kernel's own events; arming and disarming, seen within a tenth of a
    /// second; and whether the kernel keeps the image current. Ends when it is interrupted.
    Watch(Watch),
    /// Say what `load` would do, and touch nothing
    ///
    /// With --snapshot it does so for the machine that the snapshot was taken of, and needs no privilege.
    Plan(Plan),
    /// Describe a capture kernel's file, or a purgatory's
    Inspect(Inspect),
    /// Save what the image depends on of this machine
    ///
    /// A snapshot holds copies of files below /proc and /sys and no memory, but think before you give it away: it tells where the kernel
    /// lies, which KASLR hides, and the running kernel's command line, which may hold credentials. Only its owner can read it.
    /// `plan --snapshot` uses it.
    Snapshot(Snapshot),
    /// Stand in for kexec-tools' kexec, as far as it is about capture kernels
    ///
    /// The same as calling this program by the name kexec. `kdump-loader kexec --help` prints the options, which are kexec-tools'.
    #[command(disable_help_flag = true)]
    Kexec(Kexec),
    /// Put the service around this program on a machine, take it away again, or say what is missing
    #[command(subcommand)]
    Service(Service),
    /// Write the man pages
    #[command(hide = true)]
    GenerateMan(GenerateMan),
    /// Write the completions for bash, zsh and fish
    #[command(hide = true)]
    GenerateCompletions(GenerateCompletions),
    /// Print docs/kexec-options.md
    #[command(hide = true)]
    GenerateKexecOptions,
}

/// `load`
#[derive(Debug, Args)]
pub struct Load {
    #[command(flatten)]
    pub image: ImageArgs,
    /// Let the kernel make the image (kexec_file_load)
    ///
    /// The way where the kernel is locked down, as by Secure Boot: it takes a capture kernel whose signature it trusts, and verifies it after a
    /// panic with the purgatory that is built into it, which says nothing and stops if the image is corrupt.
    #[arg(long, conflicts_with_all = ["noefi", "on_corrupt", "reset_delay", "console", "confidential", "no_hotplug", "engine", "leaf_size", "purgatory"])]
    pub file: bool,
    /// Print the armed image as JSON: segments, regions, entry point, identity, and whether the kernel keeps it current
    #[arg(long)]
    pub json: bool,
}

/// `reload`
#[derive(Debug, Args)]
pub struct Reload {
    /// The config
    #[arg(long, value_name = "FILE", default_value = "/etc/kdump-loader.toml")]
    pub config: PathBuf,
    /// Arm again even if the armed image is still true
    #[arg(long)]
    pub force: bool,
    /// Print as JSON what was done and why
    #[arg(long)]
    pub json: bool,
    /// Only note that CPUs or memory came or went, for the reload to come; for udev
    #[arg(long, conflicts_with_all = ["force", "json"])]
    pub queue: bool,
    /// The memory block that went, by the kernel's name for it, such as memory42
    #[arg(long, value_name = "DEVICE", requires = "queue")]
    pub removed: Option<Block>,
}

/// `status`
#[derive(Debug, Args)]
pub struct Status {
    /// Exit with 1 for "yes, but" as well
    #[arg(long)]
    pub strict: bool,
    /// Compare what is armed with this config [default: /etc/kdump-loader.toml if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write the answer for Prometheus' node_exporter, too: a file of its directory for textfiles, replaced in one step
    #[arg(long, value_name = "FILE")]
    pub prometheus: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `watch`
#[derive(Debug, Args)]
pub struct Watch {
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `plan`
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub image: ImageArgs,
    /// Plan for the machine that this snapshot was taken of
    #[arg(long, value_name = "DIR")]
    pub snapshot: Option<PathBuf>,
    /// Draw the crash region as SVG: segments, what is free, what is hashed and what is not
    ///
    /// Into FILE, beside what is printed otherwise; onto standard output instead of it, if FILE is - or not named.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STANDARD_OUTPUT, conflicts_with = "json")]
    pub svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// A bzImage, a unified kernel image, a vmlinux or a purgatory; the purgatory in this program if none is named
    pub file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `snapshot`
#[derive(Debug, Args)]
pub struct Snapshot {
    /// Where to save it: an empty directory, or one to be made
    pub dir: PathBuf,
}

/// `kexec`
#[derive(Debug, Args)]
pub struct Kexec {
    /// What kexec-tools' kexec would be called with
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub arguments: Vec<OsString>,
}

/// `generate-man`
#[derive(Debug, Args)]
pub struct GenerateMan {
    /// Where to write them
    pub dir: PathBuf,
}

/// `generate-completions`
#[derive(Debug, Args)]
pub struct GenerateCompletions {
    /// Where to write them
    pub dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use handoff::block::{DEFAULT_LEAF_SIZE, DEFAULT_RESET_DELAY_MS};
    use loader::settings::DEFAULT_ON_CORRUPT;

    use super::*;

    #[test]
    fn flags_do_not_contradict_one_another() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_tells_the_defaults_of_the_loader() {
        let mut cli = Cli::command();
        let help = cli.find_subcommand_mut("load").unwrap().render_long_help().to_string();
        let defaults = [
            DEFAULT_ON_CORRUPT.word().to_owned(),
            (DEFAULT_RESET_DELAY_MS / 1000).to_string(),
            format!("{}K", DEFAULT_LEAF_SIZE >> 10),
        ];
        for (option, default) in ["--on-corrupt", "--reset-delay", "--leaf-size"].into_iter().zip(defaults) {
            let told = help.split_once(&format!("{option} <")).unwrap().1.split("[default: ").nth(1).unwrap();
            assert!(told.starts_with(&format!("{default}]")), "{option}: {told}");
        }
    }
}
