//! `capture-least`: how little crash memory is enough for an initrd of `load --capture`.

use super::case::{Case, NEW, arming};
use crate::error::{Error, check};
use crate::guest::setup::Content;
use crate::machine::disk::{Bus, part_uuid};
use crate::scenario::table;
use crate::stage::{First, Stage};

/// Sizes to try, ascending.
const SIZES: [&str; 7] = ["64M", "68M", "72M", "76M", "80M", "88M", "96M"];
/// Dumps that each size must save.
const RUNS: u32 = 3;

table! {
    "capture-least", [CrashHotplug],
        |stage| least(stage, Case::of(Bus::VirtioBlk, Content::Nothing)),
        "which sizes of crash memory are enough for an initrd of `load --capture`",
        lab: NotOurs("a measurement");
    "new-kernel-capture-least", [Kernel(NEW), CrashHotplug],
        |stage| least(stage, Case::of(Bus::VirtioBlk, Content::Nothing).on_new_kernel()),
        "`capture-least` with Debian's newest kernel",
        lab: NotOurs("a measurement");
}

fn least(stage: &mut Stage<'_>, case: Case) -> Result<(), Error> {
    let mut enough = Vec::new();
    for crashkernel in SIZES {
        let mut saved = 0;
        for _ in 0..RUNS {
            if !saves(stage, Case { crashkernel, ..case })? {
                break;
            }
            saved += 1;
        }
        stage.outcome.fact(crashkernel, format!("{saved} of {RUNS} dumps saved"));
        if saved == RUNS {
            enough.push(crashkernel);
        }
        if enough.len() == 2 {
            break;
        }
    }
    check!(!enough.is_empty(), "sizes that are enough: expected one of {SIZES:?}, found none")
}

fn saves(stage: &mut Stage<'_>, case: Case) -> Result<bool, Error> {
    let mut first = stage.boot(&case.setup())?;
    first.load_drivers()?;
    if !arms(&mut first)? {
        first.switch_off();
        return Ok(false);
    }
    first.panic(None)?.saved_or_reset()
}

/// The loader refuses what cannot even hold the image.
fn arms(first: &mut First<'_, '_>) -> Result<bool, Error> {
    let command = arming(&format!("PARTUUID={}", part_uuid(0)));
    Ok(first.vm.run(&command)?.status == 0)
}
