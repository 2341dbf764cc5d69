//! What `kdump-loader load --json` prints, as far as the runner compares it with the guest's
//! memory.

use std::fmt;

use serde::Deserialize;

use crate::error::Error;

/// An image, as the loader tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Loaded {
    /// Whether the kernel keeps the elfcorehdr current.
    pub hotplug: bool,
    /// SHA-256 of block and leaf table, or of all that another's purgatory verifies.
    pub identity: String,
    pub purgatory: String,
    pub crash_region: Extent,
    pub segments: Vec<Segment>,
    pub block: Option<Extent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Extent {
    pub start: u64,
    pub len: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Segment {
    pub name: String,
    pub start: u64,
    pub len: u64,
}

impl Loaded {
    pub fn segment(&self, name: &str) -> Result<&Segment, Error> {
        self.segments.iter().find(|segment| segment.name == name).ok_or_else(|| {
            Error::Failed(format!("segments that `load` printed: expected {name}, found {self}"))
        })
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used: u64 = self.segments.iter().map(|segment| segment.len).sum();
        let names: Vec<_> = self.segments.iter().map(|segment| segment.name.as_str()).collect();
        let follows =
            if self.hotplug { "the kernel follows hotplug" } else { "hotplug needs reloads" };
        let (region, short) =
            (self.crash_region.len, self.identity.get(..16).unwrap_or(&self.identity));
        write!(
            out,
            "image {short}, {} of {} MiB, {follows}: {}",
            used >> 20,
            region >> 20,
            names.join(", ")
        )
    }
}
