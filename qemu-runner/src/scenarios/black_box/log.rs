//! `black-box-makedumpfile`: two programs decode the log of one crashed kernel. makedumpfile reads
//! the ring buffer in /proc/vmcore, and after the reset the loader reads the purgatory's copy.

use super::{armed, black_box};
use crate::error::{Error, check_eq};
use crate::scenario::table;
use crate::stage::{Setup, Stage};

table! {
    "black-box-makedumpfile", [Kcore, Makedumpfile], like_makedumpfile,
        "the kernel log that `last` keeps after a reset is, line by line, the one that \
         makedumpfile --dump-dmesg reads from /proc/vmcore of the same crash",
        lab: Like("black-box-hang");
}

fn like_makedumpfile(stage: &mut Stage<'_>) -> Result<(), Error> {
    let program = stage.context.makedumpfile()?.program.clone();
    let (mut first, kept) = armed(stage, &Setup { makedumpfile: true, ..black_box() })?;
    let before = first.last_words()?;
    let mut capture = first.panic(None)?.capture()?;
    capture.run_ok(&format!("{program} --dump-dmesg /proc/vmcore /tmp/dmesg"))?;
    let theirs = capture.run_ok("cat /tmp/dmesg")?;
    let mut crashed = capture.crashed;
    crashed.press_reset(|_| Ok(()))?;
    let mut first = crashed.boot_again(|_| Ok(()))?;

    let told = first.tell_after_boot(&kept)?;
    told.expect_crashed_log(&mut first, &before)?;
    let ours = told.file(&mut first, "dmesg.txt")?;
    for (number, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        // makedumpfile does not indent the further lines of a record.
        let is_further = !theirs.starts_with('[');
        let ours = if is_further { ours.trim_start() } else { ours };
        let theirs = if is_further { theirs.trim_start() } else { theirs };
        check_eq!(ours, theirs, "line {} of dmesg.txt, as makedumpfile has it", number + 1)?;
    }
    let count = ours.lines().count();
    check_eq!(count, theirs.lines().count(), "lines of dmesg.txt, as makedumpfile has them")?;
    first.stage.outcome.fact("lines that are the same in makedumpfile's log", count);
    Ok(())
}
