//! The two user spaces as newc archives: busybox, a short init script, and files.
//!
//! They are not compressed: an emulated CPU decompresses slower than QEMU copies.

use std::io::Write;
use std::path::Path;

use cpio::newc::{Builder, ModeFileType};

use crate::assets::GuestProgram;
use crate::error::Error;
use crate::host;

use crate::assets::kernel::payload;
pub use crate::machine::agent::Role;

/// Major and minor number of /dev/console (Documentation/admin-guide/devices.txt): without it init
/// would have no standard output.
const CONSOLE_DEVICE: (u32, u32) = (5, 1);

/// init: mounts, then a shell on the second serial port, forever. The line discipline is raw,
/// because a cooked line ends at 4095 bytes (N_TTY_BUF_SIZE) and an echo would be taken for output.
/// Descriptor 3 keeps the port open between shells: the last close would drop what has arrived. The
/// shell reads its commands from a file, not from a terminal, so it prints no prompt.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t securityfs sec /sys/kernel/security
echo 1 >/proc/sys/kernel/panic_on_oops
stty -F /dev/ttyS1 raw -echo
exec 3<>/dev/ttyS1
echo \"@ROLE $(uname -r)\" >&3
while :; do sh /dev/ttyS1 </dev/null >&3 2>&1; done
";

/// `setpriv` and `su` want to know whom they become.
const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n";

pub struct Initramfs {
    archive: Vec<u8>,
    inode: u32,
    directories: Vec<String>,
}

impl Initramfs {
    /// The user space for `role`: busybox, init, the directories.
    pub fn new(role: Role, busybox: &Path) -> Result<Self, Error> {
        let mut this = Self { archive: Vec::new(), inode: 1, directories: Vec::new() };
        for directory in ["/proc", "/sys", "/dev", "/tmp", "/bin", "/boot", "/etc"] {
            this.directory(directory);
        }
        let (major, minor) = CONSOLE_DEVICE;
        let console =
            Builder::new("dev/console").mode(0o600).set_mode_file_type(ModeFileType::Char);
        this.entry(console.rdev_major(major).rdev_minor(minor), &[]);
        this.file("/bin/busybox", 0o755, &host::read(busybox)?);
        this.file("/init", 0o755, INIT.replace("@ROLE", &format!("@{}", role.word())).as_bytes());
        this.file("/etc/passwd", 0o644, PASSWD.as_bytes());
        if role == Role::First {
            // Where the loader keeps what a reboot must not lose, so that images have a black box.
            this.directory("/var/lib");
        } else {
            // `status` looks for the program that saves the dump (docs/status.md).
            this.file("/etc/kdump-loader/saver", 0o644, b"the test that asks the agent\n");
        }
        Ok(this)
    }

    /// Adds a file with these bytes at an absolute path; directories above it are made.
    pub fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.parents(path);
        let builder = Builder::new(path.trim_start_matches('/'))
            .mode(mode)
            .set_mode_file_type(ModeFileType::Regular);
        self.entry(builder, bytes);
    }

    pub fn host_file(&mut self, path: &str, mode: u32, host: &Path) -> Result<(), Error> {
        self.file(path, mode, &host::read(host)?);
        Ok(())
    }

    /// Adds a kernel module of the host at an absolute path, unpacked: not every busybox can.
    pub fn module(&mut self, path: &str, host: &Path) -> Result<(), Error> {
        self.file(path, 0o644, &payload::module(host)?);
        Ok(())
    }

    pub fn program(&mut self, program: &GuestProgram) -> Result<(), Error> {
        program.files.iter().try_for_each(|(path, host)| self.host_file(path, 0o755, host))
    }

    pub fn finish(self) -> Vec<u8> {
        cpio::newc::trailer(self.archive).expect("a Vec takes every byte")
    }

    fn parents(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
            self.directory(parent);
        }
    }

    fn directory(&mut self, path: &str) {
        if self.directories.iter().any(|known| known == path) {
            return;
        }
        self.parents(path);
        self.directories.push(path.to_owned());
        let builder = Builder::new(path.trim_start_matches('/'))
            .mode(0o755)
            .set_mode_file_type(ModeFileType::Directory);
        self.entry(builder, &[]);
    }

    fn entry(&mut self, builder: Builder, bytes: &[u8]) {
        let size = u32::try_from(bytes.len()).expect("a file of the archive is smaller than 4 GiB");
        let mut writer = builder.ino(self.inode).write(std::mem::take(&mut self.archive), size);
        self.inode += 1;
        writer.write_all(bytes).expect("a Vec takes every byte");
        self.archive = writer.finish().expect("a Vec takes every byte");
    }
}
