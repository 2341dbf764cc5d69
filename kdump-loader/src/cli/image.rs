//! The options that decide an image, of `load` and `plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use handoff::{EngineId, OnCorrupt};
use loader::request::{Confidential, Console, EngineChoice};

use crate::options::Options;
use crate::options::words::{console, leaf_size, reset_delay};

/// The options that decide an image.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// The capture kernel: a 64-bit relocatable bzImage (boot protocol 2.12 or newer), a unified
    /// kernel image that holds one, or a vmlinux
    #[arg(long, value_name = "FILE")]
    pub kernel: PathBuf,
    /// Initrd of the capture kernel. For a unified kernel image, defaults to the embedded one
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// Command line of the capture kernel. With --reuse-cmdline, added to the running kernel's. For
    /// a unified kernel image, defaults to the embedded one
    #[arg(long, value_name = "STRING")]
    pub append: Option<String>,
    /// Use the running kernel's command line, without the parameters that only suit the running
    /// kernel
    ///
    /// Drops parameters that need memory in proportion to the machine (crashkernel=, hugepages=,
    /// cma=, log_buf_len= and more), that define which memory is RAM (mem=, memmap=, movablecore=
    /// and more), or that suit only the running kernel (panic_on_warn, slub_debug=, isolcpus=,
    /// resume= and more). Prints what it drops. Keeps a value that turns a parameter off, such as
    /// cma=0. The embedded command line of a unified kernel image is treated the same. Parameters
    /// in --append are never dropped, but cause a warning.
    #[arg(long)]
    pub reuse_cmdline: bool,
    /// Pass no EFI tables to the capture kernel
    #[arg(long)]
    pub noefi: bool,
    /// What the purgatory does if the image has changed since it was loaded [default: reset]
    ///
    /// A damaged handoff block, leaf table or seal, or an exception in the purgatory, always resets
    /// the machine within about ten seconds.
    #[arg(long, value_name = "ACTION", value_enum)]
    pub on_corrupt: Option<OnCorruptArg>,
    /// Seconds to show a failure before the reset, 0 to 3600 [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = reset_delay)]
    pub reset_delay: Option<u32>,
    /// UART on which the purgatory reports: auto (the 8250 in the capture kernel's command line),
    /// ttyS0 to ttyS3, an I/O port such as 0x3f8, or none
    #[arg(long, value_name = "WHERE", default_value = "auto", value_parser = console)]
    pub console: Console,
    /// Whether this is a confidential guest (SEV-ES, SEV-SNP, TDX)
    ///
    /// In such a guest, CPUID, port I/O, HLT, debug registers and MSRs fault after a panic. The
    /// purgatory then uses none of them and has no console. Use yes or no if `plan` shows a wrong
    /// result.
    #[arg(long, value_name = "WHETHER", value_enum, default_value = "auto")]
    pub confidential: ConfidentialArg,
    /// Do not ask the kernel to update the image when CPUs or memory change
    #[arg(long)]
    pub no_hotplug: bool,
    /// Digest engine that verifies the image after a panic
    #[arg(long, value_name = "ENGINE", value_enum, default_value = "auto")]
    pub engine: EngineArg,
    /// Bytes of memory per digest, a power of two from 4K to 64M [default: 256K]
    #[arg(long, value_name = "SIZE", value_parser = leaf_size)]
    pub leaf_size: Option<u32>,
    /// Use this purgatory instead of the embedded one: this project's, the kernel's or kexec-tools'
    /// (purgatory.ro)
    ///
    /// Foreign purgatories hang on a mismatch. They do not check the elfcorehdr and make no report;
    /// the kernel's prints nothing. Options they do not support are rejected: --on-corrupt,
    /// --reset-delay, --engine, --leaf-size, and for the kernel's purgatory --console.
    #[arg(long, value_name = "FILE")]
    pub purgatory: Option<PathBuf>,
}

impl ImageArgs {
    /// The same options without clap's types.
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
    /// Report what has changed, and halt
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
    /// Detect it from /proc/cpuinfo, /sys, /dev and CPUID
    Auto,
    /// It is
    Yes,
    /// It is not
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
    /// The fastest engine that all CPUs support
    Auto,
    /// General-purpose instructions only
    Soft,
    /// SHA-NI, several streams at once
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
