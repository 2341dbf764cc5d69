//! The stories, one file per family.

mod complete;
mod corrupt;
mod purgatory;
mod elfcorehdr;
mod machines;
mod kernels;
mod commands;
mod refusals;
mod kexec;
mod same_image;
mod peer;
mod drop_ins;
mod service;
mod hotplug_service;
mod stays_armed; // steps of hotplug_service
mod foreign;
mod virtio_mem;
mod storm;
mod panics;
mod reload;

use crate::scenario::Scenario;

/// Every scenario of every family; the longest first, so that no processor waits for them at the end of a run of all.
pub(crate) fn all() -> Vec<Scenario> {
    let families = [
        service::all(),
        hotplug_service::all(),
        storm::all(),
        panics::all(),
        same_image::all(),
        complete::all(),
        virtio_mem::all(),
        corrupt::all(),
        purgatory::all(),
        elfcorehdr::all(),
        machines::all(),
        kernels::all(),
        commands::all(),
        refusals::all(),
        kexec::all(),
        peer::all(),
        drop_ins::all(),
        foreign::all(),
        reload::all(),
    ];
    families.into_iter().flatten().collect()
}
