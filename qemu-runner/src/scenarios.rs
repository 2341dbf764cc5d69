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
mod foreign;
mod reload;

use crate::scenario::Scenario;

/// Every scenario of every family.
pub(crate) fn all() -> Vec<Scenario> {
    let families = [
        complete::all(),
        corrupt::all(),
        purgatory::all(),
        elfcorehdr::all(),
        machines::all(),
        kernels::all(),
        commands::all(),
        refusals::all(),
        kexec::all(),
        same_image::all(),
        peer::all(),
        drop_ins::all(),
        service::all(),
        foreign::all(),
        reload::all(),
    ];
    families.into_iter().flatten().collect()
}
