//! `capture-ext4-*`: a filesystem that is full, or that cannot be mounted after the panic.

use capture_init::State;

use super::case::{Case, arm};
use super::directory::{
    DIRECTORY, EARLIER, FOREIGN, INCOMPLETE, KEEP_TWO, MOUNTED, SHARED, make_earlier, mount,
    new_folder,
};
use super::small_machine::{RESET, SMALL_DISK, await_messages, expect_end};
use crate::error::{Error, check_eq};
use crate::guest::setup::Content;
use crate::machine::disk::{Bus, part_uuid};
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{First, PANIC, Setup, Stage};

/// Where the group descriptors of a small ext4 are, in bytes: after the superblock, in its next
/// block of 1024 or 4096 bytes.
const DESCRIPTORS: [u64; 2] = [2048, 4096];

table! {
    "capture-ext4-full", [Mke2fs], full,
        "a filesystem that is too small: the log, the record, the dump as far as it got and every \
         earlier dump are found by the next boot",
        lab: Like("capture-full");
    "capture-ext4-damaged", [Mke2fs], damaged,
        "a filesystem that cannot be mounted: /init says what repairs it, and prints the last \
         messages of the crashed kernel",
        lab: Like("capture-full");
}

const CASE: Case = Case::of(Bus::Nvme, Content::Ext4);

fn full(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut setup = CASE.setup();
    setup.disks[0].mib = SMALL_DISK;
    let (mut first, _) = armed(stage, &setup)?;
    first.survive_resets()?;
    let mut crashed = first.panic(None)?;
    let said = ["the target is full after ", "there is no complete dump in ", RESET];
    await_messages(&mut crashed, &said)?;

    let mut first = crashed.boot_again(|_| Ok(()))?;
    let [_, empty] = mount(&mut first, &CASE)?;
    // None is removed for a dump that is not complete.
    let earlier = [FOREIGN, SHARED, EARLIER[0], EARLIER[1], INCOMPLETE];
    let folder = new_folder(&mut first, &earlier)?;
    let files = first.vm.run_ok(&format!("ls -1 {folder}"))?;
    check_eq!(files, "capture.json\ndmesg.txt\nvmcore.incomplete", "files in {folder}")?;
    // The host reads the dump from the other disk.
    let copy = format!("dd if={folder}/vmcore.incomplete of={empty} bs=1M");
    first.vm.run_ok(&format!("{copy} && sync"))?;
    let [log, record] =
        ["dmesg.txt", "capture.json"].map(|name| first.vm.run_ok(&format!("cat {folder}/{name}")));
    let saved = Saved::copied(&record?, log?, &first.disk(1))?;
    saved.expect_incomplete(State::Incomplete)?;
    first.switch_off();
    Ok(())
}

fn damaged(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (mut first, device) = armed(stage, &CASE.setup())?;
    first.vm.run_ok(&format!("umount {MOUNTED}"))?;
    for at in DESCRIPTORS {
        first.vm.run_ok(&format!(
            "dd if=/dev/urandom of={device} bs=64 count=1 seek={} conv=fsync,notrunc",
            at / 64
        ))?;
    }
    first.note("the filesystem is damaged");
    let mut crashed = first.panic(None)?;
    let said = ["cannot be mounted as ext4: ", "last messages follow", PANIC, RESET];
    expect_end(&mut crashed, &said)
}

/// Boots a machine, and arms it to save to a directory, whose partition is returned.
fn armed<'s, 'c>(
    stage: &'s mut Stage<'c>,
    setup: &Setup,
) -> Result<(First<'s, 'c>, String), Error> {
    let mut first = stage.boot(setup)?;
    let [device, _] = mount(&mut first, &CASE)?;
    first.vm.run_ok(&format!("mkdir {DIRECTORY}"))?;
    make_earlier(&mut first)?;
    arm(&mut first, KEEP_TWO, &format!("of PARTUUID={}", part_uuid(0)))?;
    Ok((first, device))
}
