//! `capture-makedumpfile-fails`: files that `load --makedumpfile` must refuse, and a program that
//! fails after the panic. `raw` and `directory` judge the dumps of a makedumpfile that works.

use capture_init::{Format, State};

use super::case::{arm, arming};
use super::small_machine::{DISK, RESET, armed, expect_end};
use crate::error::{Error, check_eq, expect_words};
use crate::machine::disk::{Bus, part_uuid};
use crate::scenario::table;
use crate::stage::saved::Saved;
use crate::stage::{SetupDisk, Stage};

/// The program that claims to be makedumpfile.
const PROGRAM: &str = "/tmp/makedumpfile";

table! {
    "capture-makedumpfile-fails", [], makedumpfile_fails,
        "what is no makedumpfile is refused, and the armed image stays; a makedumpfile that fails \
         after the panic leaves the dump to the built-in filter",
        lab: Like("capture-full");
}

fn makedumpfile_fails(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = armed(stage, SetupDisk::of(Bus::Nvme, DISK), "")?;
    // A program that claims to be makedumpfile, and has no such applet.
    first.vm.run_ok(&format!(
        "cp /bin/busybox {PROGRAM} && printf 'makedumpfile: version 9.9.9 (' >>{PROGRAM}"
    ))?;
    let target = format!("PARTUUID={}", part_uuid(0));
    for (program, words) in [
        ("/bin/busybox", "/bin/busybox is not makedumpfile"),
        ("/init", "/init is not a program for x86-64"),
    ] {
        let command = arming(&format!("{target} --makedumpfile {program}"));
        let said = first.vm.run_to(1, &format!("{command} 2>&1"))?;
        expect_words("`load`", &said, &[words])?;
        first.expect_armed(true, "after a program was refused")?;
    }
    let options = format!("{target} --makedumpfile {PROGRAM}");
    arm(&mut first, &options, "makedumpfile 9.9.9 with 0 libraries saves the dump")?;
    let image = first.disk(0);
    let mut crashed = first.panic(None)?;
    let said = [
        "the dump by makedumpfile failed: makedumpfile failed: exit status: 127; trying the dump \
         without free pages next",
        "the dump is saved in ",
        RESET,
    ];
    expect_end(&mut crashed, &said)?;
    let saved = Saved::in_partition(&image)?;
    check_eq!(saved.record.state, State::Complete, "state in the record")?;
    check_eq!(saved.record.troubles.len(), 1, "troubles in the record")?;
    let format = saved.record.dump.map(|dump| dump.format);
    check_eq!(format, Some(Format::KdumpCompressed), "format of the dump")?;
    check_eq!(saved.check()?.saved, saved.dump.pages(), "pages that can be read")
}
