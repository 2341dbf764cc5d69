//! [0] The story, step by step; each step is a file.

use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::{BootInfo, entry_point};
use orders::orders::Mode;
use orders::{Ending, map};

use crate::harness::{self, line};
use crate::{describe, exceptions, idmap, jump, load, memory, notes, ramdisk, steps};

/// Bytes of stack: `Orders` are some KiB and travel by reference.
const STACK_SIZE: u64 = 128 << 10;

static CONFIG: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.kernel_stack_size = STACK_SIZE;
    config.mappings.physical_memory = Some(Mapping::FixedAddress(map::DIRECT_MAP));
    config.mappings.kernel_base = Mapping::FixedAddress(map::KERNEL_TEXT);
    config
};

entry_point!(tell, config = &CONFIG);

fn tell(boot: &'static mut BootInfo) -> ! {
    harness::start();
    exceptions::catch();
    let mut memory = memory::take(boot);
    describe::say(&memory);

    let (orders, file) = ramdisk::orders(boot);
    let Some(crash) = ramdisk::checked(orders, file) else {
        line!("described");
        harness::end(Ending::Described);
    };
    assert_eq!(crash.mode, Mode::Crash);
    load::segments(&crash);
    let identity = idmap::build(&crash, &memory);
    line!("loaded");
    steps::follow(&crash, &mut memory);
    line!("panic on cpu 0");
    let state = jump::state(&crash, &identity);
    notes::save(&crash, &memory, &state);
    jump::enter(&crash, &identity, &state)
}
