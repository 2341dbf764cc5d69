//! [0] The story, step by step; each step is a file.

use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::{BootInfo, entry_point};
use orders::orders::{Mode, Nmi};
use orders::{Ending, map};

use crate::harness::{self, line};
use crate::{describe, exceptions, idmap, jump, load, memory, notes, ramdisk, smp, steps};

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
    smp::start_all();
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
    notes::clear();
    let cpu = crash.panic_cpu;
    DYING.call_once(|| (crash, memory, identity));
    smp::run_on(cpu, panic_as_ordered)
}

/// What the CPU that panics needs; it may be another than the one that has prepared it.
static DYING: spin::Once<(ramdisk::Crash, memory::Memory, idmap::Identity)> = spin::Once::new();

fn dying() -> &'static (ramdisk::Crash, memory::Memory, idmap::Identity) {
    DYING.get().expect("the story is prepared before it is told")
}

/// On the CPU that is to panic.
fn panic_as_ordered() -> ! {
    let (crash, ..) = dying();
    match crash.nmi {
        Nmi::None => die(),
        Nmi::Latched => smp::panic_in_nmi(die),
        Nmi::Storm => {
            smp::storm(crate::apic::id(), memory::direct(crash.nmi_ready).cast());
            die()
        }
    }
}

/// The panic: `panic`, `machine_crash_shutdown`, `machine_kexec`.
fn die() -> ! {
    let (crash, memory, identity) = dying();
    let online = smp::cpus().count() as u32;
    line!("panic on cpu {}", crash.panic_cpu);
    let state = jump::state(crash, identity);
    smp::stop_others();
    notes::save(crash, memory, &state, online);
    jump::enter(crash, identity, &state)
}
