//! `[1]` /proc, /sys and /dev.
//!
//! *On entry* the initrd's root, which may lack even the mount points. *On exit* the kernel's
//! filesystems are mounted, as far as this kernel has them.

use std::fs;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

/// Filesystem and mount point.
const KERNELS: [(&str, &str); 3] = [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")];

/// Some kernels panic on an oops by default. Here, an oops ends one process, and the capture goes on
/// (Documentation/admin-guide/sysctl/kernel.rst).
const PANIC_ON_OOPS: &str = "/proc/sys/kernel/panic_on_oops";

/// Mounts them. Returns what could not be mounted, in words.
pub fn kernel_filesystems() -> Vec<String> {
    let mut troubles = Vec::new();
    for (filesystem, at) in KERNELS {
        // If it exists, mount(2) says so; if it cannot be made, mount(2) says that too.
        let _ = fs::create_dir(at);
        match mount(filesystem, at, filesystem, MountFlags::empty(), None) {
            Ok(()) => {}
            // CONFIG_DEVTMPFS_MOUNT does not apply to an initrd, but another init may have run.
            Err(Errno::BUSY) => {}
            Err(error) => troubles.push(format!("{filesystem} cannot be mounted at {at}: {error}")),
        }
    }
    // Without /proc, there is a trouble already.
    let _ = fs::write(PANIC_ON_OOPS, "0");
    troubles
}
