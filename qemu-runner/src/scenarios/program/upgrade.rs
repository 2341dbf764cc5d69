//! `upgrade*`: a package manager works while the image is armed. The initrd is made anew, the
//! running kernel's files are removed, the clock jumps and /var is full. One image after another is
//! armed all the time, and a panic at the end leaves a dump.
//!
//! The config names files by `{release}`, as the Debian default does. In `upgrade-reboot`, a newer
//! kernel takes the place of the running one, and the machine reboots into it.

use crate::error::{Error, check, check_eq, expect_words};
use crate::guest::setup::Content;
use crate::machine::disk::Bus;
use crate::scenario::table;
use crate::scenarios::program::reload::{
    CONFIG, codes, configure_files, expect_refused, expect_reload, expect_yes,
};
use crate::stage::{First, Setup, SetupDisk, Stage, guest};

/// The kernel's file and the initrd's, as the config has them.
const KERNEL: &str = "/boot/vmlinuz-{release}";
const INITRD: &str = "/boot/initrd-{release}";
/// The same for the guest's shell.
const RUNNING: &str = "release=$(uname -r); kernel=/boot/vmlinuz-$release; \
                       initrd=/boot/initrd-$release";
/// A year, in seconds.
const YEAR_S: u32 = 365 * 86_400;
/// The kernel before the upgrade, and after.
const OLD: &str = "6.12";
const NEW: &str = "7";
/// Room for two kernels and their initrds.
const DISK_MIB: u64 = 128;
/// Mounts the disk, which outlasts the reboot.
const MOUNT: &str = "node=/dev/nvme0n1p1; while [ ! -e $node ]; do usleep 20000; done; \
                     mkdir /disk && mount -t ext4 $node /disk";
/// Puts its directories where a disk with a system has them.
const BIND: &str = "mkdir -p /var/lib/kdump-loader && mount -o bind /disk/boot /boot && \
                    mount -o bind /disk/state /var/lib/kdump-loader";
/// Where the loader keeps what outlasts a boot.
const STATE: &str = "/var/lib/kdump-loader";

table! {
    "upgrade", [Makedumpfile, CrashHotplug, Hotplug], upgrade,
        "a new initrd is armed; when the running kernel's files are removed, the clock jumps and \
         /var is full, an image stays armed that lists memory that comes and leaves a dump",
        lab: Like("reload");
    "upgrade-reboot", [Kernel("6.12"), Kernel("7"), Makedumpfile, Mke2fs], upgrade_and_reboot,
        "a newer kernel replaces the files of the running one, whose image stays armed; after the \
         reboot the same config arms the newer kernel, and a panic leaves a dump",
        lab: Like("reload");
}

fn upgrade(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { dimms: 1, ..Setup::default() })?;
    shell(&mut first, &format!("cp {} $kernel && cp {} $initrd", guest::KERNEL, guest::INITRD))?;
    configure_files(&mut first, KERNEL, INITRD)?;
    expect_reload(&mut first, &["not_armed"])?;
    expect_yes(&mut first)?;

    // As update-initramfs does it: written aside, then renamed.
    shell(&mut first, "cp $initrd $initrd.new && mv $initrd.new $initrd")?;
    expect_reload(&mut first, &["file_changed"])?;
    expect_reload(&mut first, &[])?;
    let identity = first.image()?.identity;

    shell(&mut first, "mkdir /boot/kept && mv $kernel $initrd /boot/kept")?;
    first.note("the running kernel's files are removed");
    expect_refused(&mut first, "reload", &["/boot/vmlinuz-"])?;
    check_eq!(first.image()?.identity, identity, "identity without the files")?;
    expect_gone(&mut first)?;
    let dimm = first.add_dimm(0)?;
    first.expect_all_memory_listed("without the files")?;

    for jump in ["+", "-"] {
        shell(&mut first, &format!("date -s @$(( $(date +%s) {jump} {YEAR_S} )) >/dev/null"))?;
        expect_refused(&mut first, "reload", &["/boot/vmlinuz-"])?;
        check_eq!(first.image()?.identity, identity, "identity after the clock jumped")?;
    }
    first.note("the clock has jumped a year ahead and back");

    shell(&mut first, "mv /boot/kept/* /boot")?;
    let full = format!(
        "mount -t tmpfs -o size=4k tmpfs {STATE}; cat /dev/zero >{STATE}/full; [ -s {STATE}/full ]"
    );
    shell(&mut first, &full)?;
    first.note(format!("the files are back, and {STATE} is full"));
    first.vm.run_ok(&format!("{} reload --force", guest::LOADER))?;
    first.expect_all_memory_listed("with /var full")?;
    first.status(0)?;

    first.place_sentinel_in(1, &dimm)?;
    first.panic(None)?.capture()?.expect_dump().map(drop)
}

fn upgrade_and_reboot(stage: &mut Stage<'_>) -> Result<(), Error> {
    let disk = SetupDisk { content: Content::Ext4, ..SetupDisk::of(Bus::Nvme, DISK_MIB) };
    let setup = Setup { disks: vec![disk], modules: vec!["nvme", "ext4"], ..Setup::default() };
    let old = Setup { series: Some(OLD), newer: Some(NEW), ..setup.clone() };
    let mut first = stage.boot(&old)?;
    first.load_drivers()?;
    first.vm.run_ok(&format!("{MOUNT} && mkdir /disk/boot /disk/state"))?;
    shell(&mut first, "cp /boot/vmlinuz /disk$kernel && cp /boot/capture.cpio /disk$initrd")?;
    first.vm.run_ok(&format!("cp {} {} /disk", guest::NEWER, guest::INITRD))?;
    first.vm.run_ok(BIND)?;
    configure_files(&mut first, KERNEL, INITRD)?;
    expect_reload(&mut first, &["not_armed"])?;
    expect_yes(&mut first)?;
    let before = first.image()?.identity;

    let newer = first.stage.context.kernel(NEW)?.release.clone();
    shell(
        &mut first,
        &format!(
            "mv /disk/vmlinuz.newer /boot/vmlinuz-{newer} && mv /disk/capture.cpio \
             /boot/initrd-{newer} && rm $kernel $initrd && cp {CONFIG} /disk"
        ),
    )?;
    first.note(format!("{newer} is installed, and the running kernel's files are removed"));
    expect_refused(&mut first, "reload", &["/boot/vmlinuz-"])?;
    check_eq!(first.image()?.identity, before, "identity without the files")?;
    expect_gone(&mut first)?;

    let mut first = first.reboot_as(&Setup { series: Some(NEW), ..setup })?;
    first.load_drivers()?;
    first.expect_armed(false, "after the reboot")?;
    first.vm.run_ok(&format!("{MOUNT} && {BIND} && cp /disk/kdump-loader.toml {CONFIG}"))?;
    // What the service runs at boot.
    expect_reload(&mut first, &["not_armed"])?;
    check!(first.image()?.identity != before, "identity: expected another with the newer kernel")?;
    expect_yes(&mut first)?;
    first.panic(None)?.capture()?.expect_dump().map(drop)
}

/// Both files of the armed image must be said to be gone, and that they are not needed. The initrd
/// is read from crash memory, so what saves the dump is known.
fn expect_gone(first: &mut First<'_, '_>) -> Result<(), Error> {
    let status = first.status(0)?;
    check_eq!(codes(&status), ["file_gone", "file_gone", "reload_failed"], "findings")?;
    let words = ["yes_but", "works until the next boot", "/boot/vmlinuz-", "/boot/initrd-"];
    expect_words("status", &status.to_string(), &words)
}

/// Runs a command that may use `$kernel` and `$initrd`.
fn shell(first: &mut First<'_, '_>, command: &str) -> Result<(), Error> {
    first.vm.run_ok(&format!("{RUNNING}; {command}")).map(drop)
}
