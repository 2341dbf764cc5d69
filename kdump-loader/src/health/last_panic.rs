//! Whether an earlier panic left no dump, and no operator has seen that.

use std::path::Path;

use super::dump_target::Target;
use super::last_dump::{self, LastDump};
use crate::black_box::saved::Saved;
use crate::black_box::story;
use crate::findings::{Code, Finding};

pub(super) fn look(root: &Path, target: Option<&Target>, findings: &mut Vec<Finding>) {
    let Some(Saved { panic, seen: false, .. }) = Saved::all(root).pop() else { return };
    let dump = last_dump::find(root, target, panic.arming.armed_at, panic.harvested_at);
    let told = match dump {
        LastDump::Saved { .. } => return,
        LastDump::Incomplete { path, .. } => format!("its dump is incomplete: {path}"),
        LastDump::NotFound { directory } => format!("no dump of that time is in {directory}"),
        LastDump::Elsewhere { place } => format!("whether its dump is in {place} is unknown"),
    };
    let message = format!("{}; {told}", story::headline(&panic));
    findings.push(Finding::new(Code::UnseenPanic, message).remedy("run kdump-loader last"));
}
