//! /proc/iomem: which memory the crashed kernel had.
//!
//! This is not the loader's parser, so a mistake of the loader cannot hide itself.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, check};

/// The first MiB is kept free by the kernel and left out of the vmcore (`reserve_real_mode`,
/// arch/x86/realmode/init.c).
const LOW_MIB: Range<u64> = 0..1 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iomem {
    /// Every range named "System RAM", with or without a driver after it.
    pub system_ram: Vec<Range<u64>>,
    pub crash_kernel: Vec<Range<u64>>,
    /// First byte of "Kernel code".
    pub kernel_text: u64,
}

impl Iomem {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut iomem = Self::default();
        for line in text.lines() {
            let (range, name) =
                entry(line).ok_or_else(|| Error::unreadable("/proc/iomem", line))?;
            match name {
                "Crash kernel" => iomem.crash_kernel.push(range),
                "Kernel code" => iomem.kernel_text = range.start,
                _ if name.starts_with("System RAM") => iomem.system_ram.push(range),
                _ => {}
            }
        }
        // A reader without privileges sees zeroes.
        check!(iomem.kernel_text != 0, "/proc/iomem does not say where the kernel's text is")?;
        Ok(iomem)
    }

    /// What a complete vmcore holds: System RAM without the low MiB and the crash regions, merged,
    /// ascending.
    pub fn dumped(&self) -> Vec<Range<u64>> {
        self.dumpable(&self.system_ram)
    }

    /// `ranges` without what is in no vmcore: the low MiB and the crash regions, merged, ascending.
    pub fn dumpable(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let holes: Vec<_> = self.crash_kernel.iter().cloned().chain([LOW_MIB]).collect();
        without_any(&merged(ranges), &holes)
    }

    /// The ranges of System RAM that `earlier` did not have.
    pub fn added_since(&self, earlier: &Self) -> Vec<Range<u64>> {
        without_any(&merged(&self.system_ram), &earlier.system_ram)
    }
}

/// Sorted, touching and overlapping ranges joined.
pub fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

pub fn without_any(ranges: &[Range<u64>], holes: &[Range<u64>]) -> Vec<Range<u64>> {
    let cut = |ranges: Vec<Range<u64>>, hole: &Range<u64>| {
        ranges.into_iter().flat_map(|range| without(range, hole)).collect()
    };
    holes.iter().fold(ranges.to_vec(), cut)
}

/// `range` without `hole`: nothing, one or two ranges.
fn without(range: Range<u64>, hole: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let below = range.start..range.end.min(hole.start).max(range.start);
    let above = range.start.max(hole.end).min(range.end)..range.end;
    let parts = if hole.is_empty() { [range.clone(), 0..0] } else { [below, above] };
    parts.into_iter().filter(|part| !part.is_empty())
}

/// `00100000-3ffdffff : System RAM`; the file names the last byte, the range one past it.
fn entry(line: &str) -> Option<(Range<u64>, &str)> {
    let (range, name) = line.trim_start().split_once(" : ")?;
    let (start, last) = range.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(last, 16).ok()?.checked_add(1)?;
    Some((start..end, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00000000-00000fff : Reserved
00001000-0009fbff : System RAM
00100000-3ffdffff : System RAM
  01000000-01ffffff : Kernel code
  2f000000-3effffff : Crash kernel
3ffe0000-3fffffff : Reserved
100000000-13fffffff : System RAM (kmem)";

    #[test]
    fn low_mib_and_crash_region_are_not_dumped() {
        let iomem = Iomem::parse(TEXT).unwrap();
        assert_eq!(
            iomem.dumped(),
            [0x10_0000..0x2f00_0000, 0x3f00_0000..0x3ffe_0000, 0x1_0000_0000..0x1_4000_0000]
        );
        assert_eq!(iomem.kernel_text, 0x100_0000);
    }

    #[test]
    fn added_memory_is_the_difference() {
        let before = Iomem::parse(TEXT).unwrap();
        let after = Iomem::parse(&format!("{TEXT}\n140000000-17fffffff : System RAM")).unwrap();
        let added = after.added_since(&before);
        assert_eq!((added.len(), &added[0]), (1, &(0x1_4000_0000..0x1_8000_0000)));
        assert_eq!(before.added_since(&before), []);
    }

    #[test]
    fn touching_ranges_are_joined_and_nested_ones_swallowed() {
        assert_eq!(merged(&[5..9, 0..5, 6..7, 20..21]), [0..9, 20..21]);
    }

    #[test]
    fn unprivileged_and_broken_files_are_refused() {
        assert!(Iomem::parse("00000000-00000000 : Kernel code").is_err());
        assert!(Iomem::parse("nonsense").is_err());
    }
}
