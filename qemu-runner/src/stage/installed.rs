//! An installed Debian on a copy of its disk.
//!
//! The copy gets the scenario's `kexec`, boots, and is read after its machine has ended. debugfs
//! (of e2fsprogs) reads and writes the file system as a file: nothing is mounted, so no root is
//! needed. The machine uses the same file, so neither happens while it runs.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::assets::{DebianDisk, GuestProgram};
use crate::context;
use crate::error::{Error, check, check_eq};
use crate::host::{self, succeed};
use crate::machine::disk::{PARTITION_AT, partitioned};
use crate::machine::vm::Arrival;
use crate::machine::{Boot, Machine};
use crate::stage::first::First;
use crate::stage::{BOOT_CPUS, Stage, UNTESTED, disks};

pub const DISK: &str = "disk";
/// The folder for the files that the capture service has saved.
pub const SAVED: &str = "saved";
/// Memory of such a machine, in MiB. makedumpfile compresses most of what the kernel does not keep
/// for itself, on one emulated CPU.
const MEMORY_MIB: u64 = 512;
/// `crashkernel=` of such a machine: room for Debian's kernel, systemd and makedumpfile.
const CRASHKERNEL: &str = "192M";
/// e2fsck has repaired something, as it does after every crash by replaying the journal (e2fsck(8),
/// EXIT CODE).
const REPAIRED: i32 = 1;
/// What a dump in makedumpfile's own format begins with (`struct disk_dump_header`, diskdump_mod.h
/// of makedumpfile).
const SIGNATURE: &[u8] = b"KDUMP   ";
/// Where in it the kernel's release is: after the signature, a version of 4 bytes, `sysname` and
/// `nodename` of `struct new_utsname`.
const RELEASE_AT: usize = SIGNATURE.len() + 4 + 2 * UTS_LEN;
/// `__NEW_UTS_LEN` and a zero (include/uapi/linux/utsname.h).
const UTS_LEN: usize = 65;

/// Which program answers to the name `kexec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kexec {
    Ours,
    Peer,
}

#[derive(Clone, Copy, Debug)]
pub struct Guest {
    pub kexec: Kexec,
    /// Whether the loader's package is there as [`PACKAGE`], installed nowhere. Otherwise the
    /// program itself is there as [`LOADER`], installed nowhere either.
    pub package: bool,
    /// Whether the file system is in a partition, as an installer leaves it.
    pub partition: bool,
    pub memory_mib: u64,
    pub crashkernel: &'static str,
    pub dimms: u32,
    pub spare_cpus: u32,
}

impl Guest {
    /// With this `kexec`, and nothing to be plugged in.
    pub fn with(kexec: Kexec) -> Self {
        Self {
            kexec,
            package: false,
            partition: false,
            memory_mib: MEMORY_MIB,
            crashkernel: CRASHKERNEL,
            dimms: 0,
            spare_cpus: 0,
        }
    }
}

/// The loader's package, in root's home as in a checkout of the project.
pub const PACKAGE: &str =
    concat!("target/dist/kdump-loader_", env!("CARGO_PKG_VERSION"), "_amd64.deb");
/// Requests to debugfs that make the directory for it.
const PACKAGES_DIRECTORY: &str = "cd /root\nmkdir target\ncd target\nmkdir dist\ncd dist\n";

/// Where an administrator may have put it, and in which directory.
pub const LOADER: &str = "/usr/local/sbin/kdump-loader";
const LOADERS_DIRECTORY: &str = "/usr/local/sbin";

/// A disk, to be read when its machine is gone.
#[derive(Debug)]
pub struct Disk<'c> {
    debian: &'c DebianDisk,
    guest: Guest,
    image: PathBuf,
    saved: PathBuf,
}

#[derive(Debug)]
pub struct Saved {
    pub dump: PathBuf,
    pub dmesg: PathBuf,
}

/// Boots a machine with a Debian of its own.
pub fn boot<'s, 'c>(
    stage: &'s mut Stage<'c>,
    guest: &Guest,
) -> Result<(First<'s, 'c>, Disk<'c>), Error> {
    let debian = stage.context.debian_disk()?;
    let directory = stage.next_machine()?;
    let disk =
        Disk { debian, guest: *guest, image: directory.join(DISK), saved: directory.join(SAVED) };
    succeed(
        Command::new("cp")
            .args(["--sparse=always", "--reflink=auto"])
            .arg(&debian.image)
            .arg(&disk.image),
        0,
    )?;
    if guest.package {
        let package = stage.context.built(PACKAGE)?;
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        let write = format!("write \"{}\" {name}\n", package.display());
        disk.request(&format!("{PACKAGES_DIRECTORY}{write}"))?;
    } else {
        disk.bring(&stage.context.built(context::LOADER)?)?;
    }
    if guest.kexec == Kexec::Ours {
        disk.request(&format!("cd /usr/sbin\nrm kexec\nsymlink kexec {LOADER}\n"))?;
    }
    if guest.partition {
        disk.partition()?;
    }
    let first = stage.switch_on(&disk.machine(), &directory, &debian.kernel.release)?;
    Ok((first, disk))
}

/// Has it shut down and boots it again, with the same disk and nothing left in its memory. Returns
/// what the shutdown said on the console, too.
pub fn reboot<'s, 'c>(
    mut first: First<'s, 'c>,
    disk: &mut Disk<'c>,
) -> Result<(First<'s, 'c>, Vec<String>), Error> {
    first.vm.say("systemctl reboot\n")?;
    let mut shutdown = Vec::new();
    loop {
        match first.vm.next_or_end("the machine to shut down")? {
            Arrival::End => break,
            Arrival::Console(line) => shutdown.push(line.text),
            Arrival::Agent(_) => {}
        }
    }
    let First { stage, vm, .. } = first;
    drop(vm);
    stage.outcome.now("it has shut down");
    let directory = stage.next_machine()?;
    let image = directory.join(DISK);
    fs::rename(&disk.image, &image).map_err(Error::file("move", &disk.image))?;
    (disk.image, disk.saved) = (image, directory.join(SAVED));
    Ok((stage.switch_on(&disk.machine(), &directory, &disk.debian.kernel.release)?, shutdown))
}

impl Disk<'_> {
    fn machine(&self) -> Machine {
        let Self { debian, guest, image, .. } = self;
        let root = if guest.partition { "vda1" } else { "vda" };
        let crashkernel = guest.crashkernel;
        let boot = Boot::Linux {
            kernel: debian.kernel.vmlinuz.clone(),
            initrd: debian.initrd.clone(),
            append: format!(
                "console=ttyS0 root=/dev/{root} rw crashkernel={crashkernel} panic=0 {UNTESTED} \
                 memhp_default_state=online_movable"
            ),
            disk: Some(image.clone()),
        };
        let max_cpus = BOOT_CPUS + guest.spare_cpus;
        Machine { max_cpus, dimms: guest.dimms, ..Machine::of(boot, guest.memory_mib) }
    }

    /// Puts the loader onto the disk, as [`LOADER`].
    fn bring(&self, loader: &Path) -> Result<(), Error> {
        self.request(&format!(
            "cd {LOADERS_DIRECTORY}\nwrite \"{}\" kdump-loader\nset_inode_field kdump-loader mode \
             0100755\nset_inode_field kdump-loader uid 0\n\
             set_inode_field kdump-loader gid 0\n",
            loader.display()
        ))
    }

    /// Lets debugfs do something with the file system.
    fn request(&self, text: &str) -> Result<(), Error> {
        let requests = self.image.with_extension("requests");
        fs::write(&requests, text).map_err(Error::file("write", &requests))?;
        // debugfs ends with 0 whatever becomes of its requests; the scenario will not find the
        // program.
        succeed(self.debian.debugfs.on_host().args(["-w", "-f"]).arg(&requests).arg(&self.image), 0)
    }

    /// Puts the file system into a partition of a disk as large.
    fn partition(&self) -> Result<(), Error> {
        let disk = self.image.with_extension("partitioned");
        let len = self.image.metadata().map_err(Error::file("look at", &self.image))?.len();
        partitioned(&disk, 0, (len >> 20) + 2 * (PARTITION_AT >> 20))?;
        disks::copy(&self.image, &disk).map_err(Error::file("write", &disk))?;
        fs::rename(&disk, &self.image).map_err(Error::file("move", &disk))
    }

    /// Copies `/var/crash` to the host. Returns its files.
    fn copy_crash(&self) -> Result<Vec<PathBuf>, Error> {
        let image = if self.guest.partition { self.extracted()? } else { self.image.clone() };
        succeed(self.debian.e2fsck.on_host().args(["-f", "-p"]).arg(&image), REPAIRED)?;
        host::make(&self.saved)?;
        let request = format!("rdump /var/crash \"{}\"", self.saved.display());
        succeed(self.debian.debugfs.on_host().args(["-R", &request]).arg(&image), 0)?;
        host::files_below(&self.saved)
    }

    /// The partition as a file: e2fsck forgets an offset when it opens an image again.
    fn extracted(&self) -> Result<PathBuf, Error> {
        let image = self.image.with_extension("filesystem");
        let arguments = ["bs=1M", "skip=1", "conv=sparse", "status=none"];
        let [from, to] = [("if", &self.image), ("of", &image)]
            .map(|(name, path)| format!("{name}={}", path.display()));
        succeed(Command::new("dd").args([from, to]).args(arguments), 0)?;
        Ok(image)
    }

    /// Bytes of the one dump under `/var/crash`: of `--capture` or of Debian's capture service.
    pub fn dump_len(&self) -> Result<u64, Error> {
        let files = self.copy_crash()?;
        let is_dump = |file: &&PathBuf| name(file) == "vmcore" || name(file).starts_with("dump.");
        let dumps: Vec<&PathBuf> = files.iter().filter(is_dump).collect();
        check!(dumps.len() == 1, "dumps: expected one, found {files:?}")?;
        Ok(dumps[0].metadata().map_err(Error::file("look at", dumps[0]))?.len())
    }

    /// What the capture service has saved under `/var/crash`: one dump, finished, and the log.
    pub fn saved(&self) -> Result<Saved, Error> {
        let files = self.copy_crash()?;
        let only = |kind: &str| {
            let found: Vec<_> = files.iter().filter(|file| name(file).starts_with(kind)).collect();
            let finished = found.len() == 1 && !name(found[0]).contains("incomplete");
            check!(finished, "{kind}* saved: expected one finished file, found {files:?}")?;
            Ok::<_, Error>(found[0].clone())
        };
        Ok(Saved { dump: only("dump.")?, dmesg: only("dmesg.")? })
    }
}

impl Saved {
    pub fn dump_len(&self) -> Result<u64, Error> {
        Ok(self.dump.metadata().map_err(Error::file("look at", &self.dump))?.len())
    }

    /// The log that the service has saved beside the dump.
    pub fn log(&self) -> Result<String, Error> {
        fs::read_to_string(&self.dmesg).map_err(Error::file("read", &self.dmesg))
    }

    /// Lets makedumpfile put the dump in order, and returns the kernel's log that it finds in it.
    /// The dump must say that it is of a kernel of this release.
    pub fn dmesg_in_dump(
        &self,
        makedumpfile: &GuestProgram,
        release: &str,
    ) -> Result<String, Error> {
        let ordered = self.dump.with_file_name("ordered");
        let log = self.dump.with_file_name("dmesg-in-dump");
        // The service lets makedumpfile write into a pipe, where it cannot seek (-F).
        let flat = File::open(&self.dump).map_err(Error::file("open", &self.dump))?;
        succeed(makedumpfile.on_host().arg("-R").arg(&ordered).stdin(flat), 0)?;
        let mut header = [0; RELEASE_AT + UTS_LEN];
        let mut file = File::open(&ordered).map_err(Error::file("open", &ordered))?;
        file.read_exact(&mut header).map_err(Error::file("read the header of", &ordered))?;
        check!(
            header.starts_with(SIGNATURE),
            "signature of the dump: expected KDUMP, found {}",
            String::from_utf8_lossy(&header[..SIGNATURE.len()])
        )?;
        let found = String::from_utf8_lossy(&header[RELEASE_AT..]).into_owned();
        check_eq!(found.trim_end_matches('\0'), release, "release in the dump's header")?;
        succeed(makedumpfile.on_host().arg("--dump-dmesg").arg(&ordered).arg(&log), 0)?;
        fs::read_to_string(&log).map_err(Error::file("read", &log))
    }
}

fn name(file: &Path) -> Cow<'_, str> {
    file.file_name().map_or(Cow::Borrowed(""), OsStr::to_string_lossy)
}
