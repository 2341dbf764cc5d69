//! Instructions for machines that `setup` does not support.

use qemu_runner::assets::MANIFEST;

/// `setup` does not support this machine. The text says why.
#[derive(Debug)]
pub struct Unsupported(pub String);

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsupported {}

/// Which files a person must fetch, and where to name them.
pub fn instructions() -> String {
    format!(
        "setup uses apt to fetch packages from Debian's archive, without installing them. This machine cannot.\n\
         Run it on Debian 12 or newer, for example in a container. Or fetch these files yourself:\n\
         \n\
         what                     from Debian's package                            needed for\n\
         library/ of rust-src     rust-src, the version of rust-toolchain.toml     cargo xtask build\n\
         \x20                        or: rustup component add rust-src\n\
         qemu-system-x86_64 >= 10 qemu-system-x86 (trixie, bookworm-backports)     cargo xtask qemu, test\n\
         busybox, static          busybox-static                                   the same\n\
         vmlinuz 6.12             linux-image-6.12.*-cloud-amd64 (trixie)          the same\n\
         vmlinuz 6.1              linux-image-6.1.0-*-cloud-amd64 (bookworm)       scenario old-kernel\n\
         vmlinuz 7.x              linux-binary-7.*-cloud-amd64 (trixie-backports)  scenarios new-kernel-*, foreign-linux-7\n\
         makedumpfile             makedumpfile (trixie), with its libraries        dmesg out of the vmcore\n\
         kexec                    kexec-tools (trixie), with its libraries         scenarios peer-*, foreign-kexec-tools*\n\
         udevadm                  udev (trixie), with its libraries                cargo lab storm, panics; scenarios storm-*, panics-*\n\
         flock                    util-linux (trixie), with its libraries          the same\n\
         OVMF_CODE_4M.fd, _VARS_  ovmf (trixie)                                    scenario efi\n\
         \n\
         A Debian on a disk (scenarios debian-service*) is made by xtask/src/setup/guests/debian_disk.rs only.\n\
         Unpack a package with `dpkg-deb -x`, or with `ar x` and `tar xf data.tar.*`. Name the files in {MANIFEST}.\n\
         Its fields are those of `Assets` in qemu-runner/src/assets.rs. A manifest is used if all its files exist.\n\
         Only vmlinuz 7.x and the disk may be missing from it."
    )
}
