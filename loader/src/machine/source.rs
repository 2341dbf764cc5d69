//! `[1a]` The table of all files that describe a machine, and the directory tree that they are read
//! from.
//!
//! [`Machine::read`](super::Machine::read) and [`snapshot::save`] use the same
//! table, [`ALL`]. So a snapshot has every file that is read, and no other.

pub mod open; // opens files, in a snapshot without following links out of it
pub mod snapshot; // a copy of every file in the table

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Error;
use super::kcore;
use super::no_reservation::boot_log;

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// The ELF header, the program headers and the notes: /proc/kcore is as large as the address
    /// space.
    ElfHeaders,
    /// The lines of the kernel's log with `crashkernel`. If the log cannot be read, there are none.
    CrashkernelLines,
    /// Nothing. Only its existence matters.
    Presence,
}

/// The file of one fact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Its possible paths below the root, the newest kernel's first. `{}` stands for a number.
    pub paths: &'static [&'static str],
    /// How much of it is read.
    pub part: Part,
    /// What it must hold, for error messages.
    pub expected: &'static str,
    /// What its absence means and what to do, for error messages.
    pub absent: &'static str,
}

impl Source {
    /// Whether there is one file for each of several numbered things.
    pub fn is_numbered(&self) -> bool {
        self.paths[0].contains("{}")
    }
}

macro_rules! sources {
    ($($name:ident = [$($path:literal),+], $part:ident, $expected:literal, $absent:expr;)+) => {
        $(
            #[doc = concat!("`", $($path, "` `",)+ "`")]
            pub(super) const $name: Source =
                Source { paths: &[$($path),+], part: Part::$part, expected: $expected, absent: $absent };
        )+
    };
}

macro_rules! machine_sources {
    ($($name:ident = $fields:tt, $part:ident, $expected:literal, $absent:expr;)+) => {
        sources! { $($name = $fields, $part, $expected, $absent;)+ }

        /// Every file that a machine is read from.
        pub(super) const ALL: &[Source] = &[$($name),+];
    };
}

const NO_PROC: &str = "mount /proc; if this is a snapshot, take it again";
const NO_SYSFS: &str = "mount /sys; if this is a snapshot, take it again";
const NO_KEXEC: &str = "the running kernel cannot load a crash kernel; boot one with CONFIG_KEXEC \
                        and CONFIG_CRASH_DUMP";
const OPTIONAL: &str = "take the snapshot again";

// /sys/kernel/kexec/ exists since Linux 6.19. The old names are links to it for now
// (Documentation/ABI/testing/sysfs-kernel-kexec-kdump).
machine_sources! {
    IOMEM = ["proc/iomem"], Whole, "lines `START-END : NAME`, hexadecimal, among them System \
                                    RAM", NO_PROC;
    LOAD_DISABLED = ["proc/sys/kernel/kexec_load_disabled"], Whole, "0 or 1", NO_KEXEC;
    MEMINFO = ["proc/meminfo"], Whole, "a line `MemTotal: NUMBER kB`", NO_PROC;
    CRASH_CMA = ["sys/kernel/kexec/crash_cma_ranges"], Whole, "lines `START-END`, hexadecimal", OPTIONAL;
    ELFCOREHDR_SIZE = ["sys/kernel/kexec/crash_elfcorehdr_size", "sys/kernel/crash_elfcorehdr_size"], Whole,
        "a decimal number of bytes", OPTIONAL;
    VMCOREINFO = ["sys/kernel/vmcoreinfo"], Whole, "a hexadecimal address and a hexadecimal \
                                                    size", NO_KEXEC;
    LOCKDOWN = ["sys/kernel/security/lockdown"], Whole, "words, one of them in brackets", OPTIONAL;
    KCORE = ["proc/kcore"], ElfHeaders, "an x86-64 ELF core whose program headers show the \
                                         kernel's text and its direct map",
        "the running kernel hides its memory layout; boot one with CONFIG_PROC_KCORE and without \
         lockdown=confidentiality";
    CPU_POSSIBLE = ["sys/devices/system/cpu/possible"], Whole, "a list of CPUs like `0-3,8`", NO_SYSFS;
    CRASH_NOTES = ["sys/devices/system/cpu/cpu{}/crash_notes"], Whole, "a hexadecimal address", NO_KEXEC;
    CRASH_NOTES_SIZE = ["sys/devices/system/cpu/cpu{}/crash_notes_size"], Whole, "a decimal number of bytes", NO_KEXEC;
    CPUINFO = ["proc/cpuinfo"], Whole, "`flags` and `address sizes` for every CPU", NO_PROC;
    COMMAND_LINE = ["proc/cmdline"], Whole, "one line of text", NO_PROC;
    BOOT_PARAMS = ["sys/kernel/boot_params/data"], Whole, "the 4096 bytes of struct \
                                                           boot_params", NO_SYSFS;
    EFI_SYSTAB = ["sys/firmware/efi/systab"], Whole, "lines `TABLE=0xADDRESS`", OPTIONAL;
    EFI_FW_VENDOR = ["sys/firmware/efi/fw_vendor"], Whole, "a hexadecimal address", OPTIONAL;
    EFI_CONFIG_TABLE = ["sys/firmware/efi/config_table"], Whole, "a hexadecimal address", OPTIONAL;
    EFI_MAP_TYPE = ["sys/firmware/efi/runtime-map/{}/type"], Whole, "a hexadecimal number", OPTIONAL;
    EFI_MAP_PHYS_ADDR = ["sys/firmware/efi/runtime-map/{}/phys_addr"], Whole, "a hexadecimal address", OPTIONAL;
    EFI_MAP_VIRT_ADDR = ["sys/firmware/efi/runtime-map/{}/virt_addr"], Whole, "a hexadecimal address", OPTIONAL;
    EFI_MAP_NUM_PAGES = ["sys/firmware/efi/runtime-map/{}/num_pages"], Whole, "a hexadecimal number", OPTIONAL;
    EFI_MAP_ATTRIBUTE = ["sys/firmware/efi/runtime-map/{}/attribute"], Whole, "a hexadecimal number", OPTIONAL;
    SEV_VMPL = ["sys/devices/system/cpu/sev/vmpl"], Whole, "a decimal number", OPTIONAL;
    SEV_GUEST = ["dev/sev-guest"], Presence, "anything", OPTIONAL;
    TDX_GUEST = ["dev/tdx_guest"], Presence, "anything", OPTIONAL;
    CPUID = ["kdump-loader/cpuid"], Whole, "lines `LEAF EAX EBX ECX EDX`, hexadecimal", OPTIONAL;
    DM_CRYPT_KEYS = ["sys/kernel/config/crash_dm_crypt_keys/count"], Whole, "a decimal number of keys", OPTIONAL;
    TSC_KHZ = ["kdump-loader/tsc_khz"], Whole, "the time-stamp counter's frequency in kHz, a \
                                                decimal number above 0",
        "only snapshots have this file; take the snapshot again";
}

// The evidence for why no memory is reserved. It is read, and kept in snapshots, only in that case,
// because reading CRASH_SIZE takes the kernel's kexec lock.
sources! {
    CRASHKERNEL_LOG = ["dev/kmsg"], CrashkernelLines, "lines of the kernel's log", OPTIONAL;
    CRASH_SIZE = ["sys/kernel/kexec/crash_size", "sys/kernel/kexec_crash_size"], Whole, "a decimal number of bytes", NO_KEXEC;
    HYPERVISOR_TYPE = ["sys/hypervisor/type"], Whole, "the hypervisor's name", OPTIONAL;
    XEN_GUEST_TYPE = ["sys/hypervisor/guest_type"], Whole, "PV, HVM or PVH", OPTIONAL;
    XEN_CAPABILITIES = ["proc/xen/capabilities"], Whole, "words", OPTIONAL;
}

/// Every file with evidence for why no memory is reserved.
pub(super) const WITHOUT_RESERVATION: &[Source] =
    &[CRASHKERNEL_LOG, CRASH_SIZE, HYPERVISOR_TYPE, XEN_GUEST_TYPE, XEN_CAPABILITIES];

// Files about the armed image, not about the machine.
sources! {
    CRASH_LOADED = ["sys/kernel/kexec/crash_loaded", "sys/kernel/kexec_crash_loaded"], Whole, "0 or 1", NO_KEXEC;
    CPU_CRASH_HOTPLUG = ["sys/devices/system/cpu/crash_hotplug"], Whole, "0 or 1", OPTIONAL;
    MEMORY_BLOCK_SIZE = ["sys/devices/system/memory/block_size_bytes"], Whole, "a hexadecimal number of bytes",
        "this kernel was built without memory hotplug (CONFIG_MEMORY_HOTPLUG)";
    MEMORY_CRASH_HOTPLUG = ["sys/devices/system/memory/crash_hotplug"], Whole, "0 or 1", OPTIONAL;
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path.
    pub path: PathBuf,
    /// Its content, as far as [`Part`] says.
    pub bytes: Vec<u8>,
    /// What it must hold.
    pub expected: &'static str,
}

impl Found {
    /// The error that it holds `found` instead.
    pub fn garbled(&self, found: impl Into<String>) -> Error {
        Error::Garbled { path: self.path.clone(), expected: self.expected, found: found.into() }
    }

    /// Its text without the last line feed.
    pub fn text(&self) -> Result<&str, Error> {
        let text = str::from_utf8(&self.bytes)
            .map_err(|cause| self.garbled(format!("bytes that are not text ({cause})")))?;
        Ok(text.strip_suffix('\n').unwrap_or(text))
    }

    /// Its text as a hexadecimal number, with or without `0x`.
    pub fn hexadecimal(&self) -> Result<u64, Error> {
        let text = self.text()?;
        parse_hexadecimal(text).ok_or_else(|| self.garbled(quoted(text)))
    }

    /// Its text as a decimal number.
    pub fn decimal<N: std::str::FromStr>(&self) -> Result<N, Error> {
        let text = self.text()?;
        // `parse` accepts a sign, which no file of the kernel has.
        let unsigned = Some(text).filter(|text| !text.starts_with('+'));
        unsigned.and_then(|text| text.parse().ok()).ok_or_else(|| self.garbled(quoted(text)))
    }

    /// Its text as 0 or 1.
    pub fn flag(&self) -> Result<bool, Error> {
        match self.text()? {
            "0" => Ok(false),
            "1" => Ok(true),
            other => Err(self.garbled(quoted(other))),
        }
    }
}

/// Text from a file in quotes, cut to a length that fits a message.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None if text.is_empty() => "nothing".into(),
        None => format!("{text:?}"),
    }
}

/// A hexadecimal number, with or without `0x`.
pub(super) fn parse_hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // `from_str_radix` accepts a sign as well.
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, 16).ok() }
}

/// A directory that holds `proc` and `sys`: the live machine's root, or a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree<'a> {
    root: &'a Path,
}

impl<'a> Tree<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// Reads a file that must exist.
    pub fn required(&self, source: &Source) -> Result<Found, Error> {
        self.optional(source)?.ok_or_else(|| Error::Missing {
            path: self.root.join(source.paths[0]),
            absent: source.absent,
        })
    }

    /// Reads a file if it exists.
    pub fn optional(&self, source: &Source) -> Result<Option<Found>, Error> {
        self.first_of(source, source.paths.iter().map(|&path| path.to_owned()))
    }

    /// Reads the file with this number, which must exist.
    pub fn required_at(&self, source: &Source, number: u32) -> Result<Found, Error> {
        let missing =
            || Error::Missing { path: self.path_at(source, number), absent: source.absent };
        self.optional_at(source, number)?.ok_or_else(missing)
    }

    /// Reads the file with this number if it exists.
    pub fn optional_at(&self, source: &Source, number: u32) -> Result<Option<Found>, Error> {
        self.first_of(source, [numbered(source, number)].into_iter())
    }

    /// Whether the directory with this number exists.
    pub fn has_number(&self, source: &Source, number: u32) -> bool {
        self.path_at(source, number).parent().is_some_and(Path::is_dir)
    }

    fn path_at(&self, source: &Source, number: u32) -> PathBuf {
        self.root.join(numbered(source, number))
    }

    /// The numbers of the directories that exist, ascending; none if their parent does not exist.
    pub fn numbers(&self, source: &Source) -> Result<Vec<u32>, Error> {
        let (before, _) = source.paths[0].split_once("{}").expect("a numbered source");
        let (around, prefix) = before.rsplit_once('/').expect("a number inside a directory");
        let around = self.root.join(around);
        let failed = |source| Error::Read { path: around.clone(), source };
        let entries = match fs::read_dir(&around) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix(prefix));
            // `cpufreq` and `cpuidle` are beside `cpu0`.
            numbers.extend(
                digits
                    .filter(|digits| !digits.starts_with('+'))
                    .and_then(|digits| digits.parse::<u32>().ok()),
            );
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn first_of(
        &self,
        source: &Source,
        mut paths: impl Iterator<Item = String>,
    ) -> Result<Option<Found>, Error> {
        paths.find_map(|path| read(self.root, &path, source).transpose()).transpose()
    }
}

fn numbered(source: &Source, number: u32) -> String {
    source.paths[0].replace("{}", &number.to_string())
}

/// How often a busy file is read, and the pause: two seconds in all. Reading some files takes the
/// kexec lock, which a reload or a hotplug event may hold (`kexec_crash_size_show`,
/// kernel/ksysfs.c).
const BUSY_TRIES: u32 = 200;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

fn read(root: &Path, name: &str, source: &Source) -> Result<Option<Found>, Error> {
    let path = root.join(name);
    let mut tries = 1;
    loop {
        let bytes = match source.part {
            Part::Presence => open::presence(root, name).map(|()| Vec::new()),
            Part::Whole => open::below(root, name).and_then(|file| open::whole(&file)),
            Part::ElfHeaders => open::below(root, name)
                .and_then(|mut file| kcore::read_headers(&mut file as &mut dyn Read)),
            Part::CrashkernelLines => open::below(root, name)
                .and_then(|file| boot_log::read(&file).map_err(|_| io::ErrorKind::NotFound.into())),
        };
        return match bytes {
            Ok(bytes) => Ok(Some(Found { path, bytes, expected: source.expected })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            // The device was removed after the file was opened (`kernfs_fop_read_iter`,
            // fs/kernfs/file.c).
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            // Without CAP_SYSLOG the kernel's log may be unreadable.
            Err(_) if source.part == Part::CrashkernelLines => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < BUSY_TRIES => {
                tries += 1;
                thread::sleep(BUSY_PAUSE);
                continue;
            }
            Err(error) => Err(match error.downcast::<open::Refusal>() {
                Ok(refusal) => Error::Snapshot { path, refusal },
                Err(source) => Error::Read { path, source },
            }),
        };
    }
}
