//! What one panic came to: the facts as a record keeps them, and the conclusion.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::cause::{Cause, Ended, Facts, Note, cause};
use super::draw::Draw;
use super::{Request, SERIES};
use crate::evidence::iomem::without_any;
use crate::storm::Contestant;

/// What one panic came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panicked {
    /// What kept the image up to date.
    pub contestant: Contestant,
    /// The guest's kernel series. The first records do not name it.
    #[serde(default = "first_series")]
    pub series: String,
    /// Whether virtio-mem was among the devices.
    #[serde(default)]
    pub virtio_mem: bool,
    /// When the panic came.
    pub draw: Draw,
    /// Number of devices that had come or gone.
    pub operations: u32,
    /// Number of those that the guest rejected.
    pub refused: u32,
    /// The operation in flight.
    pub in_flight: Option<String>,
    /// How it ended.
    pub ended: Ended,
    /// kexec_crash_loaded just before, if the note was found.
    pub armed: Option<bool>,
    /// Whether a load was under way just before.
    pub loading: Option<bool>,
    /// Without a dump: whether the kernel had an image.
    pub image: Option<bool>,
    /// Without a dump: whether its lock was held.
    pub locked: Option<bool>,
    /// Memory that the dump describes and that was not there.
    pub stale: Vec<String>,
    /// Memory that the dump lacks.
    pub missing: Vec<String>,
    /// Milliseconds since the guest finished the oldest change that the dump misses.
    pub outdated_ms: Option<u64>,
    /// The conclusion.
    pub cause: Cause,
    /// Whole seconds that the panic took from boot to verdict.
    pub took_s: u64,
}

fn first_series() -> String {
    SERIES[0].to_owned()
}

impl Panicked {
    /// Draws the conclusions.
    pub fn of(request: &Request, facts: &Facts, took_s: f64) -> Self {
        let Request { contestant, series, virtio_mem, draw } = *request;
        let note = facts.note.as_ref();
        let (stale, missing) = match (&facts.described, note) {
            (Some(described), Some(Note { iomem, .. })) => {
                let (described, there) = (iomem.dumpable(described), iomem.dumped());
                (without_any(&described, &there), without_any(&there, &described))
            }
            _ => (Vec::new(), Vec::new()),
        };
        let overlaps =
            |one: &Range<u64>, other: &Range<u64>| one.start < other.end && other.start < one.end;
        let is_wrong = |changed: &Range<u64>| {
            stale.iter().chain(&missing).any(|range| overlaps(range, changed))
        };
        let wrong = facts.upheaval.changed.iter().filter(|(changed, _)| is_wrong(changed));
        let outdated_ms = wrong.map(|(_, since)| since.as_millis() as u64).max();
        let shown = |range: &Range<u64>| format!("{:#x}-{:#x}", range.start, range.end - 1);
        let text = |ranges: &[Range<u64>]| ranges.iter().map(shown).collect();
        Self {
            contestant,
            series: series.to_owned(),
            virtio_mem,
            draw,
            operations: facts.upheaval.done,
            refused: facts.upheaval.refused,
            in_flight: facts.upheaval.in_flight.map(|operation| format!("{operation:?}")),
            ended: facts.ended,
            armed: note.map(|note| note.armed),
            loading: note.map(|note| note.loading),
            image: facts.image,
            locked: facts.locked,
            cause: cause(facts, &stale, &missing),
            stale: text(&stale),
            missing: text(&missing),
            outdated_ms,
            took_s: took_s as u64,
        }
    }

    /// The conclusion with its evidence, in one sentence.
    pub fn sentence(&self) -> String {
        let words = self.cause.words();
        let ranges = [self.stale.as_slice(), &self.missing].concat().join(", ");
        let since = self.outdated_ms.map_or(String::new(), |ms| format!(", {ms} ms before"));
        match self.cause {
            Cause::InFlight => format!("{words}: {ranges}"),
            Cause::Stale | Cause::Missing | Cause::StaleAndMissing => {
                format!("{words}{since}: {ranges}")
            }
            Cause::Unexplained => {
                let Self { ended, armed, image, locked, .. } = self;
                format!("{words}: {ended:?}, armed {armed:?}, image {image:?}, locked {locked:?}")
            }
            _ => words.into(),
        }
    }
}
