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
        let theirs = if is_further { theirs.trim_start().into() } else { without_caller(theirs) };
        check_eq!(ours, theirs, "line {} of dmesg.txt, as makedumpfile has it", number + 1)?;
    }
    let count = ours.lines().count();
    check_eq!(count, theirs.lines().count(), "lines of dmesg.txt, as makedumpfile has them")?;
    first.stage.outcome.fact("lines that are the same in makedumpfile's log", count);
    Ok(())
}

/// A line of makedumpfile 1.7.6 has a task or a CPU after the time, `[      T1] `. dmesg has that
/// only if the kernel is built with CONFIG_PRINTK_CALLER.
fn without_caller(line: &str) -> String {
    let text_after_caller = |rest: &str| {
        let (caller, text) = rest.split_once("] ")?;
        is_caller(caller.trim_start()).then(|| text.to_owned())
    };
    let stripped = line
        .split_once("] [")
        .and_then(|(time, rest)| Some(format!("{time}] {}", text_after_caller(rest)?)));
    stripped.unwrap_or_else(|| line.to_owned())
}

/// `T` and a task, or `C` and a CPU (`print_caller`, kernel/printk/printk.c).
fn is_caller(word: &str) -> bool {
    let digits = word.strip_prefix(['T', 'C']);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit()))
}
