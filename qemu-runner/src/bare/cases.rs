//! The rows, by what is damaged.

mod black_box;
mod block;
mod elfcorehdr;
mod exceptions;
mod hotplug;
mod kernel_log;
mod machine_checks;
mod permissions;
mod policy;
mod segments;
mod sound;

use super::case::Case;

/// Families of cases, each with a name for tables.
pub const FAMILIES: &[(&str, &[Case])] = &[
    ("sound", sound::CASES),
    ("fields", block::FIELDS),
    ("hotplug", hotplug::CASES),
    ("hotplug, damaged", hotplug::DAMAGED),
    ("block", block::CASES),
    ("flipped", segments::FLIPPED),
    ("segments", segments::CASES),
    ("elfcorehdr", elfcorehdr::CASES),
    ("rewritten", elfcorehdr::REWRITTEN),
    ("exceptions", exceptions::CASES),
    ("machine checks", machine_checks::CASES),
    ("black box", black_box::CASES),
    ("policy", policy::CASES),
    ("permissions", permissions::CASES),
];
