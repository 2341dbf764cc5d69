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
    /// Whose purgatory it has.
    pub purgatory: String,
    /// The crash region that the image is in.
    pub crash_region: Extent,
    /// What was handed to the kernel.
    pub segments: Vec<Segment>,
    /// The handoff block, if it is ours.
    pub block: Option<Extent>,
}

/// A stretch of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Extent {
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// A segment of the image.
#[derive(Clone, Debug, Deserialize)]
pub struct Segment {
    /// What it holds.
    pub name: String,
    /// Physical address.
    pub start: u64,
    /// Length in memory, in bytes.
    pub len: u64,
}

impl Loaded {
    /// The segment of this name.
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
