//! `upgrade`: a package manager works while the image is armed. The initrd is made anew, the
//! running kernel's files are removed, the clock jumps and /var is full. One image after another is
//! armed all the time, and a panic at the end leaves a dump.
//!
//! The config names files by `{release}`, as the Debian default does. The reboot into the new
//! kernel is not played here.

use crate::error::{Error, check_eq, expect_words};
use crate::scenario::table;
use crate::scenarios::program::reload::{
    codes, configure_files, expect_refused, expect_reload, expect_yes,
};
use crate::stage::{First, Setup, Stage, guest};

/// The kernel's file and the initrd's, as the config has them.
const KERNEL: &str = "/boot/vmlinuz-{release}";
const INITRD: &str = "/boot/initrd-{release}";
/// The same for the guest's shell.
const RUNNING: &str = "release=$(uname -r); kernel=/boot/vmlinuz-$release; \
                       initrd=/boot/initrd-$release";
/// A year, in seconds.
const YEAR_S: u32 = 365 * 86_400;
/// Where the loader keeps what outlasts a boot.
const STATE: &str = "/var/lib/kdump-loader";

table! {
    "upgrade", [Makedumpfile, CrashHotplug, Hotplug], upgrade,
        "a new initrd is armed; when the running kernel's files are removed, the clock jumps and \
         /var is full, an image stays armed that lists memory that comes and leaves a dump",
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
    // The initrd in memory is as good as before, but its file named the program that saves dumps.
    let status = first.status(1)?;
    first.note(format!("findings without the files: {:?}", codes(&status)));
    let expected = ["cannot_tell", "file_changed", "reload_failed", "initrd_unreadable"];
    expect_words("status", &status.to_string(), &expected)?;
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

/// Runs a command that may use `$kernel` and `$initrd`.
fn shell(first: &mut First<'_, '_>, command: &str) -> Result<(), Error> {
    first.vm.run_ok(&format!("{RUNNING}; {command}")).map(drop)
}
