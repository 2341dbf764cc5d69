//! `[0]` The options that decide an image, before any file is read.
//!
//! One type is the command line of `load` and `plan` (clap) and the config (serde). The record of
//! an armed image keeps its [`Options::words`]. A field's name is the option, the key and the
//! recorded name.
//!
//! *On entry* text from the user. *On exit* values within the purgatory's limits.

pub mod embedded; // the embedded purgatory
pub mod words; // parses and formats values
mod wire; // the same for serde
pub mod config; // /etc/kdump-loader.toml

use std::collections::BTreeMap;
use std::ops::Not;
use std::path::PathBuf;

use capture_init::DumpLevel;
use clap::Args;
use handoff::OnCorrupt;
use loader::request::{Confidential, Console, EngineChoice, SignalChoice};
use serde::{Deserialize, Serialize};

use crate::capture::Place;
use words::{console, leaf_size, reset_delay, signal};

/// Whether the image has a black box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlackBoxChoice {
    /// If /var/lib can be written, so that the next boot finds it.
    #[default]
    Auto,
    /// No.
    No,
}

/// The options of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The capture kernel: a 64-bit relocatable bzImage (boot protocol 2.12 or newer), a unified
    /// kernel image that holds one, or a vmlinux
    #[arg(long, value_name = "FILE")]
    #[serde(serialize_with = "wire::path")]
    pub kernel: PathBuf,
    /// Initrd of the capture kernel. For a unified kernel image, defaults to the embedded one
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "wire::optional_path")]
    pub initrd: Option<PathBuf>,
    /// Save the dump without the distribution's initrd: to a directory on ext4 or xfs, or to a
    /// partition that holds nothing else
    ///
    /// TARGET is a directory such as /var/crash, PARTUUID=ID, serial:NUMBER of a whole disk, or a
    /// device below /dev, whose PARTUUID or serial number is then used. A partition or disk is
    /// overwritten. The initrd is made now, from the modules that the target needs. LVM, LUKS,
    /// RAID, btrfs and network are rejected; use --initrd for them. Adds to the command line,
    /// unless they are there: nr_cpus=1 cryptomgr.notests reset_devices irqpoll
    /// acpi_no_memhotplug panic=10; swiotlb=1024, but not in a confidential guest or with crash
    /// memory above 4 GiB; and the running kernel's parameters for consoles and hardware, such as
    /// console=, mem_encrypt= and pci=. docs/capture.md lists all of them.
    #[arg(long, value_name = "TARGET", conflicts_with = "initrd", value_parser = Place::parse)]
    #[serde(skip_serializing_if = "Option::is_none", with = "wire::capture")]
    pub capture: Option<Place>,
    /// Save the dump of --capture with this makedumpfile, and with the built-in filter if it fails
    ///
    /// The initrd gets the program, its ELF interpreter and the shared libraries that it needs, as
    /// they are now. It compresses with zstd if it was built with that, otherwise with lzo or zlib.
    /// Versions before 1.7.7 keep the free pages of Linux 6.12 and newer.
    #[arg(long, value_name = "PROGRAM", requires = "capture")]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "wire::optional_path")]
    pub makedumpfile: Option<PathBuf>,
    /// What the dump of --capture leaves out: free pages and pages of zeroes (17), pages of zeroes
    /// (1), nothing (0); with --makedumpfile any of its levels up to 31 [default: 17; with
    /// --makedumpfile 31]
    #[arg(long, value_name = "LEVEL", requires = "capture",
          value_parser = words::saving::dump_level)]
    #[serde(skip_serializing_if = "Option::is_none", with = "wire::dump_level")]
    pub dump_level: Option<u8>,
    /// Seconds for saving the dump of --capture, after which the machine is reset [default: no
    /// limit]
    #[arg(long, value_name = "SECONDS", requires = "capture",
          value_parser = words::saving::capture_timeout)]
    #[serde(skip_serializing_if = "Option::is_none", with = "wire::capture_timeout")]
    pub capture_timeout: Option<u32>,
    /// How many dumps of --capture stay in the directory, with the new one [default: 5]
    ///
    /// The oldest are removed after the new dump is complete.
    #[arg(long, value_name = "COUNT", requires = "capture",
          value_parser = words::saving::keep_dumps)]
    #[serde(skip_serializing_if = "Option::is_none", with = "wire::keep_dumps")]
    pub keep_dumps: Option<u32>,
    /// How many bytes of dumps of --capture stay in the directory, such as 20G [default: no limit]
    ///
    /// The new dump stays in any case.
    #[arg(long, value_name = "SIZE", requires = "capture",
          value_parser = words::saving::keep_bytes)]
    #[serde(skip_serializing_if = "Option::is_none", with = "wire::keep_bytes")]
    pub keep_bytes: Option<u64>,
    /// Command line of the capture kernel. With --reuse-cmdline, added to the running kernel's. For
    /// a unified kernel image, defaults to the embedded one
    #[arg(long, value_name = "STRING")]
    #[serde(skip_serializing_if = "Option::is_none")]
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
    #[serde(skip_serializing_if = "Not::not")]
    pub reuse_cmdline: bool,
    /// Pass no EFI tables to the capture kernel
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    pub noefi: bool,
    /// What the purgatory does if the image has changed since it was loaded [default: reset]
    ///
    /// A damaged handoff block, leaf table or seal, or an exception in the purgatory, always resets
    /// the machine within about ten seconds.
    #[arg(
        long,
        value_name = "ACTION",
        value_parser = words::listed(&words::ON_CORRUPT, words::on_corrupt)
    )]
    #[serde(skip_serializing_if = "Option::is_none", with = "wire::on_corrupt")]
    pub on_corrupt: Option<OnCorrupt>,
    /// Seconds to show a failure before the reset, 0 to 3600 [default: 10]
    // Held in milliseconds.
    #[arg(long, value_name = "SECONDS", value_parser = reset_delay)]
    #[serde(skip_serializing_if = "Option::is_none", with = "wire::reset_delay")]
    pub reset_delay: Option<u32>,
    /// UART on which the purgatory reports: auto (the 8250 in the capture kernel's command line),
    /// ttyS0 to ttyS3, an I/O port such as 0x3f8, or none
    #[arg(long, value_name = "WHERE", default_value = words::AUTO, value_parser = console)]
    #[serde(skip_serializing_if = "is_default", with = "wire::console")]
    pub console: Console,
    /// Whether this is a confidential guest (SEV-ES, SEV-SNP, TDX)
    ///
    /// In such a guest, CPUID, port I/O, HLT, debug registers and MSRs fault after a panic. The
    /// purgatory then uses none of them and has no console. Use yes or no if `plan` shows a wrong
    /// result.
    #[arg(long, value_name = "WHETHER", default_value = words::AUTO,
          value_parser = words::listed(&words::CONFIDENTIAL, words::confidential))]
    #[serde(skip_serializing_if = "is_default", with = "wire::confidential")]
    pub confidential: Confidential,
    /// Do not ask the kernel to update the image when CPUs or memory change
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    pub no_hotplug: bool,
    /// Digest engine that verifies the image after a panic
    #[arg(long, value_name = "ENGINE", default_value = words::AUTO,
          value_parser = words::listed(&words::ENGINE, words::engine))]
    #[serde(skip_serializing_if = "is_default", with = "wire::engine")]
    pub engine: EngineChoice,
    /// Bytes of memory per digest, a power of two from 4K to 64M [default: 256K]
    #[arg(long, value_name = "SIZE", value_parser = leaf_size)]
    #[serde(skip_serializing_if = "Option::is_none", with = "wire::leaf_size")]
    pub leaf_size: Option<u32>,
    /// Whether the purgatory leaves a record of a panic, and a copy of the kernel log, in crash
    /// memory
    ///
    /// Resets of QEMU guests keep them; the firmware of a real machine may clear memory. Their
    /// places are recorded in /var/lib/kdump-loader, so that the next boot finds them. Without that
    /// directory, or if the crash region has no room, the image is loaded without them.
    #[arg(long, value_name = "WHETHER", default_value = words::AUTO,
          value_parser = words::listed(&words::BLACK_BOX, words::black_box))]
    #[serde(skip_serializing_if = "is_default", with = "wire::black_box")]
    pub black_box: BlackBoxChoice,
    /// Devices through which the purgatory signals a panic: auto (those that the machine has),
    /// pvpanic, ipmi, both with a comma, or none
    ///
    /// pvpanic tells the hypervisor. ipmi adds an entry to the event log of the baseboard
    /// management controller. Confidential guests send no signal.
    #[arg(long, value_name = "DEVICES", default_value = words::AUTO, value_parser = signal)]
    #[serde(skip_serializing_if = "is_default", with = "wire::signal")]
    pub signal: SignalChoice,
    /// Use this purgatory instead of the embedded one: this project's, the kernel's or kexec-tools'
    /// (purgatory.ro)
    ///
    /// Foreign purgatories hang on a mismatch. They do not check the elfcorehdr and make no report;
    /// the kernel's prints nothing. They leave no black box and send no signals. Options they do
    /// not support are rejected: --on-corrupt, --reset-delay, --engine, --leaf-size, --signal, and
    /// for the kernel's purgatory --console.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "wire::optional_path")]
    pub purgatory: Option<PathBuf>,
}

impl Options {
    /// Only a kernel, and defaults for the rest.
    pub fn new(kernel: PathBuf) -> Self {
        Self { kernel, ..Self::default() }
    }

    /// What the dump of --capture leaves out.
    pub fn level(&self) -> u8 {
        let default = || words::saving::default_level(self.makedumpfile.is_some());
        self.dump_level.unwrap_or_else(default)
    }

    /// Whether the built-in filter of --capture asks the crashed kernel which memory it has.
    pub fn filters(&self) -> bool {
        let level = words::saving::built_in(self.level());
        self.makedumpfile.is_none() && level == Some(DumpLevel::NoFreeOrZeroes)
    }

    /// Every option that differs from its default, as text by its key in the config. The record
    /// keeps this for comparison.
    pub fn words(&self) -> BTreeMap<String, String> {
        let value =
            serde_json::to_value(self).expect("strings, numbers and flags always serialize");
        let options = value.as_object().into_iter().flatten();
        let text = |value: &serde_json::Value| {
            value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
        };
        options.map(|(key, value)| (key.clone(), text(value))).collect()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
