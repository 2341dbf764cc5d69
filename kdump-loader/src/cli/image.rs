//! The flags that decide an image: those of `load` and of `plan`.

use std::path::PathBuf;

use crate::options::Options;
use crate::options::words::{console, leaf_size, reset_delay};
use clap::{Args, ValueEnum};
use handoff::{EngineId, OnCorrupt};
use loader::request::{Confidential, Console, EngineChoice};

/// What decides the image.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// The capture kernel: a bzImage (boot protocol 2.12 or newer, 64 bits, relocatable), a unified kernel image with one in it, or a vmlinux
    #[arg(long, value_name = "FILE")]
    pub kernel: PathBuf,
    /// Initrd of the capture kernel. For a unified kernel image, defaults to the embedded one
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// Command line of the capture kernel; with --reuse-cmdline, added to the running kernel's. For a unified kernel image, defaults to the embedded one
    #[arg(long, value_name = "STRING")]
    pub append: Option<String>,
    /// Use the running kernel's command line, without the parameters that only suit the running kernel
    ///
    /// These are parameters whose memory grows with the machine (crashkernel=, hugepages=, cma=, log_buf_len= and more), that say which memory is
    /// RAM (mem=, memmap=, movablecore= and more), or that serve the running kernel's purpose (panic_on_warn, slub_debug=, isolcpus=, resume= and
    /// more). The loader prints what it drops. It keeps a value that turns a parameter off, such as cma=0. A unified kernel image's own command
    /// line is treated the same. Parameters in --append are never dropped; the loader warns about them.
    #[arg(long)]
    pub reuse_cmdline: bool,
    /// Pass no EFI tables to the capture kernel
    #[arg(long)]
    pub noefi: bool,
    /// What to do after a panic if the loaded image has changed [default: reset]
    ///
    /// A damaged handoff block, leaf table or seal, or an exception in the purgatory, always resets, after about ten seconds at most.
    #[arg(long, value_name = "ACTION", value_enum)]
    pub on_corrupt: Option<OnCorruptArg>,
    /// How long to show a failure before the reset, 0 to 3600 [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = reset_delay)]
    pub reset_delay: Option<u32>,
    /// Where to report: auto (the 8250 that the capture kernel's command line names), ttyS0 to ttyS3, an I/O port such as 0x3f8, or none
    #[arg(long, value_name = "WHERE", default_value = "auto", value_parser = console)]
    pub console: Console,
    /// Whether this is a confidential guest (SEV-ES, SEV-SNP, TDX)
    ///
    /// CPUID, port I/O, HLT, debug registers and MSRs fault there after a panic. The purgatory does without, so it has no console. Use yes or
    /// no if `plan` shows that this was not recognized.
    #[arg(long, value_name = "WHETHER", value_enum, default_value = "auto")]
    pub confidential: ConfidentialArg,
    /// Do not ask the kernel to keep the image current when CPUs or memory come and go
    #[arg(long)]
    pub no_hotplug: bool,
    /// Which digest engine verifies the image after a panic
    #[arg(long, value_name = "ENGINE", value_enum, default_value = "auto")]
    pub engine: EngineArg,
    /// How much memory shares one digest, a power of two from 4K to 64M [default: 256K]
    #[arg(long, value_name = "SIZE", value_parser = leaf_size)]
    pub leaf_size: Option<u32>,
    /// Use this purgatory instead of the embedded one: one of this project, of the kernel or of kexec-tools (purgatory.ro)
    ///
    /// Foreign purgatories hang if the image has changed. They check no elfcorehdr and make no report; the kernel's prints nothing. Options that
    /// they do not support are rejected: --on-corrupt, --reset-delay, --engine, --leaf-size, and for the kernel's purgatory --console.
    #[arg(long, value_name = "FILE")]
    pub purgatory: Option<PathBuf>,
}

impl ImageArgs {
    /// The same without clap.
    pub fn options(&self) -> Options {
        Options {
            kernel: self.kernel.clone(),
            initrd: self.initrd.clone(),
            append: self.append.clone(),
            reuse_cmdline: self.reuse_cmdline,
            noefi: self.noefi,
            on_corrupt: self.on_corrupt.map(Into::into),
            reset_delay_ms: self.reset_delay,
            console: self.console,
            confidential: self.confidential.into(),
            no_hotplug: self.no_hotplug,
            engine: self.engine.into(),
            leaf_size: self.leaf_size,
            purgatory: self.purgatory.clone(),
        }
    }
}

/// [`OnCorrupt`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OnCorruptArg {
    /// Report what has changed, wait, and reset the machine
    Reset,
    /// Report what has changed, and stop
    Halt,
    /// Boot the capture kernel, whose command line reports the failure
    Boot,
}

impl From<OnCorruptArg> for OnCorrupt {
    fn from(argument: OnCorruptArg) -> Self {
        match argument {
            OnCorruptArg::Reset => Self::Reset,
            OnCorruptArg::Halt => Self::Halt,
            OnCorruptArg::Boot => Self::Boot,
        }
    }
}

/// [`Confidential`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ConfidentialArg {
    /// As found out from /proc/cpuinfo, /sys, /dev and CPUID
    Auto,
    /// Yes, whatever was found
    Yes,
    /// No, whatever was found
    No,
}

impl From<ConfidentialArg> for Confidential {
    fn from(argument: ConfidentialArg) -> Self {
        match argument {
            ConfidentialArg::Auto => Self::Auto,
            ConfidentialArg::Yes => Self::Yes,
            ConfidentialArg::No => Self::No,
        }
    }
}

/// [`EngineChoice`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EngineArg {
    /// The fastest that all CPUs have
    Auto,
    /// Plain instructions
    Soft,
    /// Several streams of SHA-NI
    ShaNi,
}

impl From<EngineArg> for EngineChoice {
    fn from(argument: EngineArg) -> Self {
        match argument {
            EngineArg::Auto => Self::Auto,
            EngineArg::Soft => Self::Only(EngineId::Soft),
            EngineArg::ShaNi => Self::Only(EngineId::ShaNi),
        }
    }
}
