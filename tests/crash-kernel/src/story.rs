//! `[0]` The story, step by step; each step is a file.

use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::{BootInfo, entry_point};
use orders::map;

use crate::harness::{self, line};
use crate::{describe, exceptions, idmap, load, memory, notes, panic, ramdisk, smp, steps};

/// Bytes of stack.
const STACK_SIZE: u64 = 128 << 10;

static CONFIG: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.kernel_stack_size = STACK_SIZE;
    config.mappings.physical_memory = Some(Mapping::FixedAddress(map::DIRECT_MAP));
    config
};

entry_point!(tell, config = &CONFIG);

fn tell(boot: &'static mut BootInfo) -> ! {
    harness::start();
    exceptions::catch();
    let mut memory = memory::take(boot);
    notes::clear();
    smp::start_all();
    describe::say(&memory);

    let crash = ramdisk::orders(boot);
    load::segments(&crash);
    let identity = idmap::build(&crash, &memory);
    line!("loaded");
    let written = steps::follow(&crash, &mut memory);
    panic::as_ordered(panic::Crashed { crash, memory, identity, written })
}
