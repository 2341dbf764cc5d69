//! `[0]` The story, step by step; each step is a file.

use crate::harness::{self, line};
use crate::{boot, describe, exceptions, idmap, load, memory, notes, panic, ramdisk, smp, steps};

/// From boot.S, with the physical address of the `hvm_start_info`.
pub extern "C" fn tell(start_info: u64) -> ! {
    harness::start();
    exceptions::catch();
    let boot = boot::read(start_info);
    let mut memory = memory::take(&boot);
    notes::clear();
    smp::start_all();
    describe::say(&memory);

    let crash = ramdisk::orders(boot.ramdisk);
    load::segments(&crash);
    let identity = idmap::build(&crash, &memory);
    line!("loaded");
    let written = steps::follow(&crash, &mut memory);
    panic::as_ordered(panic::Crashed { crash, memory, identity, written })
}
