//! The causes in words: what happened, and what to do about it on this machine.
//!
//! In each, `asked` is every word of the command line that takes part.

use std::fmt;

use super::Xen;
use super::crashkernel::Defect;

const MIB: u64 = 1 << 20;

/// Why no memory is reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The command line has no `crashkernel=`.
    NotAsked,
    /// The kernel was built without support for it.
    NotSupported,
    /// This is a paravirtualized Xen domain.
    Xen {
        /// Which one.
        domain: Xen,
    },
    /// The kernel cannot read the value.
    Unreadable {
        /// The words of the command line.
        asked: String,
        /// Why not.
        defect: Defect,
    },
    /// No range of the list holds this machine's memory.
    NoRange {
        /// The words of the command line.
        asked: String,
        /// Bytes of RAM.
        ram: u64,
    },
    /// It requests 0 bytes.
    Zero {
        /// The words of the command line.
        asked: String,
    },
    /// Only `,low` or `,cma` is given.
    OnlyCompanion {
        /// The words of the command line.
        asked: String,
    },
    /// It requests more than the machine has.
    MoreThanMemory {
        /// The words of the command line.
        asked: String,
        /// Bytes requested.
        size: u64,
        /// Bytes of RAM.
        ram: u64,
    },
    /// The fixed address is not free.
    InUse {
        /// The words of the command line.
        asked: String,
        /// Bytes requested.
        size: u64,
        /// The address.
        base: u64,
    },
    /// `,high` on a machine without memory above 4 GiB.
    NothingHigh {
        /// The words of the command line.
        asked: String,
        /// Bytes requested.
        size: u64,
    },
    /// There was no room for `,low`, so the kernel reserved nothing at all.
    NoLowRoom {
        /// The words of the command line.
        asked: String,
        /// Bytes requested below 4 GiB, if the command line says so.
        low: Option<u64>,
    },
    /// The kernel found no room.
    NoRoom {
        /// The words of the command line.
        asked: String,
        /// Bytes requested.
        size: u64,
    },
    /// The memory was reserved, and given back later.
    GivenBack {
        /// The words of the command line.
        asked: String,
    },
    /// Either of the last two. The kernel's log does not tell which.
    NoRoomOrGivenBack {
        /// The words of the command line.
        asked: String,
        /// Bytes requested.
        size: u64,
    },
}

impl Cause {
    /// The identifier for programs, in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::NotSupported => "not_supported",
            Self::Xen { .. } => "xen",
            Self::Unreadable { .. } => "unreadable",
            Self::NoRange { .. } => "no_range",
            Self::Zero { .. } => "zero",
            Self::OnlyCompanion { .. } => "only_companion",
            Self::MoreThanMemory { .. } => "more_than_memory",
            Self::InUse { .. } => "in_use",
            Self::NothingHigh { .. } => "nothing_high",
            Self::NoLowRoom { .. } => "no_low_room",
            Self::NoRoom { .. } => "no_room",
            Self::GivenBack { .. } => "given_back",
            Self::NoRoomOrGivenBack { .. } => "no_room_or_given_back",
        }
    }

    /// What happened.
    pub fn reason(&self) -> String {
        match self {
            Self::NotAsked => "the running kernel was booted without crashkernel=".into(),
            Self::NotSupported => {
                "the running kernel cannot reserve memory (/sys/kernel/kexec_crash_size is missing)"
                    .into()
            }
            Self::Xen { domain: Xen::Dom0 } => {
                "this is Xen's dom0, in which Linux ignores crashkernel=".into()
            }
            Self::Xen { domain: Xen::Guest } => {
                "this is a paravirtualized Xen guest, in which Linux ignores crashkernel=".into()
            }
            Self::Unreadable { asked, defect: Defect::Auto } => {
                format!(
                    "the running kernel reserves nothing for {asked}, which only older Red Hat \
                     kernels understand"
                )
            }
            Self::Unreadable { asked, defect: Defect::NoSize } => {
                format!("the running kernel cannot read {asked}")
            }
            Self::NoRange { asked, ram } => {
                format!("{asked} reserves nothing on a machine with {} MiB of memory", ram / MIB)
            }
            Self::Zero { asked } => {
                format!("{asked} on the running kernel's command line asks for 0 bytes")
            }
            Self::OnlyCompanion { asked } => format!("{asked} reserves nothing by itself"),
            Self::MoreThanMemory { asked, size, ram } => {
                format!(
                    "{asked} asks for {} MiB, but this machine has {} MiB of memory",
                    size / MIB,
                    ram / MIB
                )
            }
            Self::InUse { asked, size, base } => {
                format!(
                    "{asked} asks for {} MiB at the fixed address {base:#x}, which was not free at \
                     boot",
                    size / MIB
                )
            }
            Self::NothingHigh { asked, .. } => {
                format!("{asked} asks for memory above 4 GiB, but this machine has none there")
            }
            Self::NoLowRoom { asked, low: Some(low) } => format!(
                "the kernel found no room below 4 GiB for the {} MiB of {asked}, so it reserved \
                 nothing at all",
                low / MIB
            ),
            Self::NoLowRoom { asked, low: None } => {
                format!(
                    "{asked} also needs some memory below 4 GiB, and the kernel found no room there"
                )
            }
            Self::NoRoom { asked, .. } => format!("the kernel found no room for {asked} at boot"),
            Self::GivenBack { asked } => format!(
                "the kernel reserved memory for {asked} at boot, but it was given back later: a 0 \
                 was written to /sys/kernel/kexec_crash_size"
            ),
            Self::NoRoomOrGivenBack { asked, .. } => format!(
                "the running kernel was booted with {asked}: either it found no room, or the \
                 memory was given back later by a 0 written to /sys/kernel/kexec_crash_size"
            ),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        let smaller = |size: &u64| match SUGGESTED_MIB.iter().find(|&&mib| mib * MIB < *size) {
            Some(mib) => format!("ask for less, crashkernel={mib}M, and reboot"),
            None => "give the machine more memory".into(),
        };
        match self {
            Self::NotAsked => "add crashkernel=256M to its command line and reboot".into(),
            Self::NotSupported => "boot one that has CONFIG_KEXEC and CONFIG_CRASH_DUMP, with \
                                   crashkernel=256M"
                .into(),
            Self::Xen { domain: Xen::Dom0 } => {
                "put crashkernel=256M on the command line of Xen itself, and use kexec-tools, \
                 which can pass the image to Xen; this loader cannot"
                    .into()
            }
            Self::Xen { domain: Xen::Guest } => {
                "make it a PVH or HVM guest, or dump it from dom0 (on_crash = \"coredump-restart\" \
                 in its xl.cfg)"
                    .into()
            }
            Self::Unreadable { defect: Defect::Auto, .. } => {
                "replace auto with a size, such as crashkernel=256M, and reboot".into()
            }
            Self::Unreadable { asked, .. } if asked.ends_with(",cma") => {
                "only Linux 6.17 and newer know ,cma: remove this word, keep a size like \
                 crashkernel=256M, and reboot"
                    .into()
            }
            Self::Unreadable { .. } => "write a size like crashkernel=256M, or ranges like \
                 crashkernel=1G-4G:192M,4G-:256M, and reboot"
                .into(),
            Self::NoRange { .. } => {
                "add a range that includes this size, or replace the list with a size like \
                 crashkernel=256M, and reboot"
                    .into()
            }
            Self::Zero { .. } => "replace it with crashkernel=256M and reboot".into(),
            Self::OnlyCompanion { .. } => "put crashkernel=256M before it and reboot".into(),
            Self::MoreThanMemory { size, ram, .. } => smaller(&(*ram / 2).min(*size)),
            Self::InUse { size, .. } => {
                format!("leave out the address, crashkernel={}M, and reboot", size / MIB)
            }
            Self::NothingHigh { size, .. } => {
                format!(
                    "leave out ,high and ,low: crashkernel={}M, or less if that finds no room, \
                         and reboot",
                    size / MIB
                )
            }
            Self::NoLowRoom { low: Some(_), .. } => "ask for less with ,low, or leave that word \
                                                     out, and reboot"
                .into(),
            Self::NoLowRoom { low: None, .. } => "limit it, with crashkernel=72M,low beside it, \
                                                  and reboot"
                .into(),
            Self::NoRoom { size, .. } => smaller(size),
            Self::GivenBack { .. } => {
                "find out what wrote the 0, then reboot: a running kernel cannot reserve the \
                 memory again"
                    .into()
            }
            Self::NoRoomOrGivenBack { size, .. } => {
                format!(
                    "reboot; if `dmesg | grep crashkernel` then reports no room, {}",
                    smaller(size)
                )
            }
        }
    }
}

/// Sizes to try, in MiB.
const SUGGESTED_MIB: [u64; 3] = [256, 192, 128];

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "no memory is reserved for a capture kernel: {}; {}",
            self.reason(),
            self.remedy()
        )
    }
}

impl std::error::Error for Cause {}
