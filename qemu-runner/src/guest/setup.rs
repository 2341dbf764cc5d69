//! What a scenario asks for: its machine, and the contents of both user spaces.

use crate::machine;
use crate::machine::disk::Bus;

/// Paths in the first kernel's user space.
pub mod guest {
    pub const LOADER: &str = "/bin/kdump-loader";
    /// The program that puts a known page into memory.
    pub const SENTINEL: &str = "/bin/sentinel";
    /// The program that watches whether the guest is protected.
    pub const POLLER: &str = "/bin/poller";
    /// The program that panics it at a drawn time.
    pub const TRIGGER: &str = "/bin/trigger";
    pub const KERNEL: &str = "/boot/vmlinuz";
    pub const INITRD: &str = "/boot/capture.cpio";
    /// A kernel of another series.
    pub const NEWER: &str = "/boot/vmlinuz.newer";
    /// A purgatory that another project has built.
    pub const PURGATORY: &str = "/boot/purgatory.ro";
    /// Modules of the kernel that a scenario needs, by names in the order in which they must be
    /// loaded.
    pub const DRIVERS: &str = "/lib/drivers";
    /// Both, with the capture kernel's usual command line, in one file.
    pub const UKI: &str = "/boot/capture.efi";
    pub const VMLINUX: &str = "/boot/vmlinux";
    pub const MAKEDUMPFILE: &str = "/usr/bin/makedumpfile";
}

#[derive(Clone, Debug)]
pub struct Setup {
    /// Kernel series; the context's when none.
    pub series: Option<&'static str>,
    /// The series of the kernel in [`guest::NEWER`], if there is one.
    pub newer: Option<&'static str>,
    pub cpu: &'static str,
    pub cpus: u32,
    pub spare_cpus: u32,
    pub dimms: u32,
    pub dimm_size: u64,
    /// How large a device for virtio-mem can get, in bytes; there is none when 0.
    pub virtio_mem: u64,
    /// Which zone plugged-in memory goes to: the first kernel's `memhp_default_state=`.
    pub online: &'static str,
    pub memory_mib: u64,
    /// The first kernel's `crashkernel=`; none is reserved without.
    pub crashkernel: Option<&'static str>,
    pub append: &'static str,
    pub efi: bool,
    /// Devices by which the purgatory can signal.
    pub signals: bool,
    /// A watchdog.
    pub watchdog: bool,
    /// makedumpfile in the capture kernel's user space: for every scenario that is to reach it.
    pub makedumpfile: bool,
    /// The same in the first kernel's, which the loader can put into an initrd that it makes.
    pub first_makedumpfile: bool,
    pub packaging: Packaging,
    pub peer: bool,
    pub peer_with_ours: bool,
    /// Whose purgatory is in the first kernel's user space, besides the one in the loader.
    pub purgatory: Option<&'static str>,
    /// Size of the file in the capture kernel's user space that makes the initrd bigger, in MiB.
    pub ballast_mib: usize,
    /// udev, flock, the poller and the trigger in the first kernel's user space.
    pub storm: bool,
    pub files: Vec<GuestFile>,
    /// Disks besides those that a scenario's machine has anyway.
    pub disks: Vec<SetupDisk>,
    /// Modules of the kernel that are installed, with all that they need, and loaded from
    /// [`guest::DRIVERS`].
    pub modules: Vec<&'static str>,
}

/// A disk with a GPT and one partition.
#[derive(Clone, Copy, Debug)]
pub struct SetupDisk {
    pub bus: Bus,
    pub mib: u64,
    pub content: Content,
    /// Where in the partition writes fail, in bytes.
    pub broken_at: Option<u64>,
}

impl SetupDisk {
    /// A sound one whose partition is empty.
    pub fn of(bus: Bus, mib: u64) -> Self {
        Self { bus, mib, content: Content::Nothing, broken_at: None }
    }
}

/// What is on a disk's partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Nothing,
    Ext4,
    /// With quotas, as `mke2fs -O quota` makes it.
    Ext4Quota,
    Xfs,
}

impl Content {
    /// The filesystem's type.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Ext4 | Self::Ext4Quota => Some("ext4"),
            Self::Xfs => Some("xfs"),
        }
    }

    /// The modules with which it is mounted.
    pub fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Ext4 => &["ext4"],
            Self::Ext4Quota => &["ext4", "quota_v2"],
            Self::Xfs => &["xfs"],
        }
    }
}

/// A file of the first kernel's user space that a scenario has written.
#[derive(Clone, Debug)]
pub struct GuestFile {
    pub path: &'static str,
    pub mode: u32,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packaging {
    /// [`guest::KERNEL`], with [`guest::INITRD`] beside it.
    BzImage,
    /// [`guest::UKI`], with the initial RAM disk in it.
    Unified,
    /// [`guest::VMLINUX`], with [`guest::INITRD`] beside it.
    Vmlinux,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            series: None,
            newer: None,
            cpu: machine::CPU,
            cpus: machine::BOOT_CPUS,
            spare_cpus: 0,
            dimms: 0,
            dimm_size: machine::DIMM_SIZE,
            virtio_mem: 0,
            // User space's, for the sentinel.
            online: "online_movable",
            memory_mib: 1024,
            crashkernel: Some("256M"),
            append: "",
            efi: false,
            signals: false,
            watchdog: false,
            makedumpfile: true,
            first_makedumpfile: false,
            packaging: Packaging::BzImage,
            peer: false,
            peer_with_ours: false,
            purgatory: None,
            ballast_mib: 1,
            storm: false,
            files: Vec::new(),
            disks: Vec::new(),
            modules: Vec::new(),
        }
    }
}
