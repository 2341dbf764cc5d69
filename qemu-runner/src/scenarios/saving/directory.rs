//! `capture-ext4`, `capture-xfs`: the /init of `load --capture` saves the dump to a directory of a
//! filesystem that the crashed kernel had mounted, and the next boot finds it there.

use super::case::{Case, FULL, NEW, arm};
use crate::error::{Error, check, check_eq, expect_words};
use crate::guest::setup::Content;
use crate::machine::disk::{Bus, part_uuid};
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{First, Stage, guest};

/// Where the filesystem is mounted, and the directory for dumps.
pub(super) const MOUNTED: &str = "/var";
pub(super) const DIRECTORY: &str = "/var/crash";
/// Arms so that the new dump and one earlier stay.
pub(super) const KEEP_TWO: &str = "/var/crash --keep-dumps 2";
/// Folders with earlier dumps, the oldest first.
pub(super) const EARLIER: [&str; 2] = ["2025-01-01T00-00-00Z", "2026-01-01T00-00-00Z"];
/// A later one that is incomplete. It costs none of them its place.
pub(super) const INCOMPLETE: &str = "2026-02-01T00-00-00Z";
/// An earlier one with a foreign file: it is neither removed nor counted.
pub(super) const SHARED: &str = "2025-06-01T00-00-00Z";
/// A folder of another program.
pub(super) const FOREIGN: &str = "127.0.0.1-2025-01-01-00:00:00";

table! {
    "capture-ext4", [CrashHotplug, Mke2fs],
        |stage| directory(stage, Case::of(Bus::VirtioBlk, Content::Ext4)),
        "the initrd that the loader makes saves a dump to a directory on an ext4 that was in use; \
         the next boot finds it there";
    "capture-xfs", [CrashHotplug, MkfsXfs],
        |stage| directory(stage, Case::of(Bus::VirtioBlk, Content::Xfs)),
        "`capture-ext4` on xfs", lab: Like("capture-ext4");
    "capture-ext4-nvme", [CrashHotplug, Mke2fs],
        |stage| directory(stage, Case::of(Bus::Nvme, Content::Ext4)),
        "`capture-ext4` on an NVMe drive", lab: Like("capture-ext4");
    "capture-little-room", [MkfsXfs], little_room,
        "`load`, `status`, `estimate` and `test` say that 80 MiB are too little for xfs, and how \
         much is enough";
    "capture-xfs-nvme", [CrashHotplug, MkfsXfs],
        |stage| directory(stage, Case::of(Bus::Nvme, Content::Xfs)),
        "`capture-xfs` on an NVMe drive", lab: Like("capture-ext4");
    "capture-ext4-ahci", [CrashHotplug, Mke2fs],
        |stage| directory(stage, Case::of(Bus::Ahci, Content::Ext4)),
        "`capture-ext4` on a SATA disk", lab: Like("capture-ext4");
    "capture-xfs-ahci", [CrashHotplug, MkfsXfs],
        |stage| directory(stage, Case::of(Bus::Ahci, Content::Xfs)),
        "`capture-xfs` on a SATA disk", lab: Like("capture-ext4");
    "capture-ext4-virtio-scsi", [CrashHotplug, Mke2fs],
        |stage| directory(stage, Case::of(Bus::VirtioScsi, Content::Ext4)),
        "`capture-ext4` on a SCSI disk", lab: Like("capture-ext4");
    "capture-xfs-virtio-scsi", [CrashHotplug, MkfsXfs],
        |stage| directory(stage, Case::of(Bus::VirtioScsi, Content::Xfs)),
        "`capture-xfs` on a SCSI disk", lab: Like("capture-ext4");
    "capture-ext4-quota", [CrashHotplug, Mke2fs],
        |stage| directory(stage, Case::of(Bus::VirtioBlk, Content::Ext4Quota)),
        "`capture-ext4` with quotas: the initrd has the module that the kernel would request to \
         mount it", lab: Like("capture-ext4");
    "capture-ext4-makedumpfile", [CrashHotplug, Mke2fs, NewMakedumpfile],
        |stage| directory(stage, Case::of(Bus::VirtioBlk, Content::Ext4).by_makedumpfile()),
        "`capture-ext4` with a makedumpfile that the loader puts into the initrd",
        lab: Like("capture-ext4");
    "new-kernel-capture-ext4", [Kernel(NEW), CrashHotplug, Mke2fs],
        |stage| directory(stage, Case::of(Bus::VirtioBlk, Content::Ext4).on_new_kernel()),
        "`capture-ext4` in 96 MiB with Debian's newest kernel", lab: Like("capture-ext4");
    "new-kernel-capture-xfs", [Kernel(NEW), CrashHotplug, MkfsXfs],
        |stage| directory(stage, Case::of(Bus::VirtioBlk, Content::Xfs).on_new_kernel()),
        "`capture-xfs` in 96 MiB with Debian's newest kernel", lab: Like("capture-ext4");
    "full-kernel-capture-ext4-nvme", [Kernel(FULL), CrashHotplug, Mke2fs],
        |stage| directory(stage, Case::of(Bus::Nvme, Content::Ext4).on_full_kernel()),
        "`capture-ext4` on an NVMe drive with Debian's kernel for every machine, which has the \
         drivers and ext4 as modules",
        lab: Like("capture-ext4");
    "full-kernel-capture-xfs-ahci", [Kernel(FULL), CrashHotplug, MkfsXfs],
        |stage| directory(stage, Case::of(Bus::Ahci, Content::Xfs).on_full_kernel()),
        "`capture-xfs` on a SATA disk with Debian's kernel for every machine",
        lab: Like("capture-ext4");
}

fn directory(stage: &mut Stage<'_>, case: Case) -> Result<(), Error> {
    let mut first = stage.boot(&case.setup())?;
    first.survive_resets()?;
    mount(&mut first, &case)?;
    first.vm.run_ok(&format!("mkdir {DIRECTORY}"))?;
    make_earlier(&mut first)?;
    arm(&mut first, &case.target(KEEP_TWO), &format!("of PARTUUID={}", part_uuid(0)))?;
    let dimm = first.grow()?;
    let listed = first.free_pages(&dimm)?;
    // Its journal has something to replay.
    first.vm.run_ok(&format!("echo unsynced >{MOUNTED}/unsynced"))?;
    // The machine has what it needs, and no more.
    let estimate = first.vm.run_ok(&format!(
        "{} estimate --kernel {} --capture {}",
        guest::LOADER,
        guest::KERNEL,
        case.target(DIRECTORY)
    ))?;
    first.note(&estimate);
    let needs = format!("crashkernel={} ", case.crashkernel);
    expect_words("`estimate`", &estimate, &[&needs, "reserved now: "])?;
    let tested = first.vm.run_ok(&format!("{} test", guest::LOADER))?;
    first.note(&tested);
    expect_words("`test`", &tested, &["ok      write: a file", "ok      status"])?;
    let mut crashed = first.panic_by_test(guest::LOADER)?;
    let after = crashed.await_saved()?;
    let victim = crashed.victim.clone();

    let mut first = crashed.boot_again(|_| Ok(()))?;
    let [_, empty] = mount(&mut first, &case)?;
    let folder = new_folder(&mut first, &[FOREIGN, SHARED, EARLIER[1]])?;
    // The host reads the dump from the other disk.
    first.vm.run_ok(&format!("dd if={folder}/vmcore of={empty} bs=1M && sync"))?;
    let [log, record] =
        ["dmesg.txt", "capture.json"].map(|name| first.vm.run_ok(&format!("cat {folder}/{name}")));
    let saved = Saved::copied(&record?, log?, &first.disk(1))?;
    case.judge(&saved, &victim, listed)?;
    let files = first.vm.run_ok(&format!("ls -1 {folder}"))?;
    check_eq!(files, "capture.json\ndmesg.txt\nvmcore", "files in {folder}")?;
    saved.note(&mut first.stage.outcome, after);
    case.note(&mut first.stage.outcome, &victim, after, saved.record);
    first.switch_off();
    Ok(())
}

fn little_room(stage: &mut Stage<'_>) -> Result<(), Error> {
    let enough = Case::of(Bus::VirtioBlk, Content::Xfs);
    let case = Case { crashkernel: "80M", ..enough };
    let mut first = stage.boot(&case.setup())?;
    mount(&mut first, &case)?;
    first.vm.run_ok(&format!("mkdir {DIRECTORY}"))?;
    let remedy = format!("crashkernel={}", enough.crashkernel);
    arm(&mut first, DIRECTORY, &format!("boot the running kernel with {remedy}"))?;
    for (command, words) in [
        ("status", " MiB were always enough"),
        ("test", "yes, but: "),
        (&*format!("estimate --kernel {} --capture {DIRECTORY}", guest::KERNEL), "reserved now: "),
    ] {
        let said = first.vm.run_ok(&format!("{} {command}", guest::LOADER))?;
        first.note(&said);
        expect_words(command, &said, &[words, &remedy])?;
    }
    first.switch_off();
    Ok(())
}

/// Mounts the filesystem. Two disks may swap names at every boot. Returns the nodes of its
/// partition and of the empty one.
pub(super) fn mount(first: &mut First<'_, '_>, case: &Case) -> Result<[String; 2], Error> {
    first.load_drivers()?;
    let kind = case.content.name().unwrap_or_default();
    first.vm.run_ok(&format!("mkdir -p {MOUNTED}"))?;
    let [one, other] = [case.partition(0), case.partition(1)];
    let mount = |node: &str| format!("mount -t {kind} {node} {MOUNTED}");
    if first.vm.run(&mount(&one))?.status == 0 {
        return Ok([one, other]);
    }
    first.vm.run_ok(&mount(&other))?;
    Ok([other, one])
}

/// Makes folders of earlier dumps, one of which has a foreign file and one is incomplete, and a
/// folder of another program.
pub(super) fn make_earlier(first: &mut First<'_, '_>) -> Result<(), Error> {
    first.vm.run_ok(&format!(
        "cd {DIRECTORY} && mkdir {FOREIGN} {SHARED} {} && \
         for folder in *; do echo text >$folder/vmcore; done && mkdir {INCOMPLETE} && \
         echo text >{INCOMPLETE}/vmcore.incomplete && echo seen >{SHARED}/notes.txt && \
         sync",
        EARLIER.join(" ")
    ))?;
    first.note("the directory has earlier dumps");
    Ok(())
}

/// The folder of the new dump, beside which the directory must have these.
pub(super) fn new_folder(first: &mut First<'_, '_>, others: &[&str]) -> Result<String, Error> {
    let listed = first.vm.run_ok(&format!("ls -1 {DIRECTORY}"))?;
    let (found, new): (Vec<&str>, Vec<&str>) =
        listed.lines().partition(|name| others.contains(name));
    let is_right = found.len() == others.len() && new.len() == 1;
    check!(is_right, "folders: expected {others:?} and a new one, found {listed:?}")?;
    Ok(format!("{DIRECTORY}/{}", new[0]))
}
