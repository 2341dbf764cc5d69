//! The stories, one file per family.

mod capture {
    pub(super) mod complete; // the whole story
    pub(super) mod machines; // on other machines
    pub(super) mod kernels; // on other kernels
    pub(super) mod virtio_mem; // with memory that virtio-mem brings
}
mod damage {
    pub(super) mod corrupt; // in the segments
    pub(super) mod purgatory; // in the purgatory itself
    pub(super) mod elfcorehdr; // in the elfcorehdr
}
mod black_box; // no dump comes out: what the boot after a reset tells
mod program {
    pub(super) mod commands; // what the loader's commands say
    pub(super) mod refusals; // what it refuses
    pub(super) mod reload; // what keeps the image up to date
    pub(super) mod upgrade; // a package manager works while it is armed
    pub(super) mod kexec; // as `kexec`
}
pub(crate) mod peers {
    pub(super) mod peer; // kexec-tools on the same stage
    pub(super) mod same_image; // images compared byte by byte
    pub(super) mod foreign; // their purgatories, armed by our loader
    pub(crate) mod drop_ins; // our purgatory, armed by their loaders
}
mod debian {
    pub(super) mod service; // Debian's kdump-tools
    pub(super) mod hotplug_service; // our own service
    pub(super) mod stays_armed; // steps of it
    pub(super) mod last; // where the dump is, after the reboot
    pub(super) mod first_dump; // the README's lines
}
pub(crate) mod saving {
    pub(crate) mod case; // on which machine
    mod small_machine; // on a small one, whose dump goes to a partition
    pub(super) mod raw; // to a partition
    pub(super) mod directory; // to a directory
    pub(super) mod removed; // after memory was removed
    pub(super) mod trouble; // what goes wrong after the panic
    pub(super) mod hangs; // a disk that does not answer any more
    pub(super) mod makedumpfile; // one that fails
    pub(super) mod watchdog; // a watchdog that was running
    pub(super) mod filesystem; // what goes wrong with a filesystem
    pub(super) mod least; // with how little memory
}
mod storm;
mod panics;
mod long_life; // many events, then many reloads
mod kernel_lock; // what the kernel loses itself

use crate::scenario::Scenario;

/// Every scenario of every family; the longest first, so that no processor waits for them at the
/// end of a run of all.
pub(crate) fn all() -> Vec<Scenario> {
    let families = [
        debian::service::all(),
        debian::hotplug_service::all(),
        debian::last::all(),
        debian::first_dump::all(),
        storm::all(),
        panics::all(),
        long_life::all(),
        peers::same_image::all(),
        capture::complete::all(),
        capture::virtio_mem::all(),
        black_box::endings::all(),
        black_box::boots::all(),
        black_box::log::all(),
        saving::raw::all(),
        saving::directory::all(),
        saving::removed::all(),
        saving::trouble::all(),
        saving::hangs::all(),
        saving::makedumpfile::all(),
        saving::watchdog::all(),
        saving::filesystem::all(),
        saving::least::all(),
        damage::corrupt::all(),
        damage::purgatory::all(),
        damage::elfcorehdr::all(),
        capture::machines::all(),
        capture::kernels::all(),
        program::commands::all(),
        program::refusals::all(),
        program::kexec::all(),
        peers::peer::all(),
        peers::drop_ins::all(),
        peers::foreign::all(),
        program::reload::all(),
        program::upgrade::all(),
        kernel_lock::all(),
    ];
    families.into_iter().flatten().collect()
}
