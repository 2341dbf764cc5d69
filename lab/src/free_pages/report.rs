//! The table of `cargo lab free-pages`, and what it must show.

use std::fmt;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::Times;
use crate::machine::Machine;

/// How large a dump of ours may be, as a multiple of makedumpfile's.
pub const LARGEST: f64 = 1.15;
/// How fast our filter must be, as a multiple of makedumpfile. The target is 1. Medians of two
/// series differ by a few percent.
const SLOWEST: f64 = 0.95;

/// How to read the table.
const NOTES: &str = "\
A machine with 2 GiB of memory panics in QEMU. Before, 150 MiB of random bytes were freed at once,
and 4096 single pages between others that stay. Its /proc/vmcore is then filtered on the host, by
`vmcore-filter` and by makedumpfile, both with `-d 17`: without free pages, and with one copy of all
pages of zeroes. Both compress with zstd.

* **free**: the free pages that each finds.
* **pages that differ**: pages that only one of the two dumps has, or that have other bytes in it.
* **size**: of our dump, as a multiple of makedumpfile's. The target is 1.15 at most.
* **speed**: ours, as a multiple of makedumpfile's. The target is 1 at least. Times are medians of
  runs by turns, with nothing written (`--dry-run`). Ours is built as the capture kernel's /init is.
  The vmcore is in the page cache. *CPU* is the processor time of either program, which other work
  on the machine changes less.
";

/// One dump, filtered both ways: by ours, and by makedumpfile.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// The kernel's series, as setup names it.
    pub series: String,
    /// Of its page tables: 4 or 5.
    pub levels: u32,
    pub release: String,
    /// Debian's package and version.
    pub makedumpfile: String,
    /// Timed runs of either program.
    pub runs: u32,
    /// Pages of the vmcore.
    pub pages: u64,
    pub free: [u64; 2],
    /// Pages that are not in both dumps with the same bytes.
    pub differences: u64,
    /// Bytes of the dumps.
    pub sizes: [u64; 2],
    pub times: [Times; 2],
}

impl Row {
    pub fn size(&self) -> f64 {
        self.sizes[0] as f64 / self.sizes[1] as f64
    }

    /// How fast ours is, as a multiple of makedumpfile's speed, by CPU time.
    pub fn speed(&self) -> f64 {
        self.ratio(|it| it.processor)
    }

    fn ratio(&self, of: fn(&Times) -> f64) -> f64 {
        of(&self.times[1]) / of(&self.times[0])
    }

    /// What must be true of each dump.
    pub fn judge(&self) -> Result<()> {
        let Self { release, levels, free: [ours, theirs], differences, .. } = self;
        let kind = format!("{release}, {levels} levels");
        ensure!(ours == theirs, "{kind}: {ours} free pages; makedumpfile finds {theirs}");
        ensure!(*differences == 0, "{kind}: {differences} pages differ from makedumpfile's dump");
        let (size, speed) = (self.size(), self.speed());
        ensure!(size <= LARGEST, "{kind}: a dump {size:.2} times as large; the limit is {LARGEST}");
        ensure!(speed >= SLOWEST, "{kind}: {speed:.2} times as fast; the limit is {SLOWEST}");
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { release, levels, pages, free, differences, sizes, times, .. } = self;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            out,
            "| {release} | {levels} | {pages} | {} | {} | {differences} | {:.1} | {:.1} | {:.2} ",
            free[0],
            free[1],
            mib(sizes[0]),
            mib(sizes[1]),
            self.size()
        )?;
        for of in [|it: &Times| it.wall, |it: &Times| it.processor] {
            write!(out, "| {:.2} | {:.2} | {:.2} ", of(&times[0]), of(&times[1]), self.ratio(of))?;
        }
        write!(out, "|")
    }
}

pub struct Report {
    pub machine: Machine,
    pub rows: Vec<Row>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, rows } = self;
        writeln!(out, "# Free pages: our filter and makedumpfile\n")?;
        writeln!(out, "Written by `cargo lab free-pages --write` on {machine}.")?;
        if let Some(Row { makedumpfile, runs, .. }) = rows.first() {
            writeln!(out, "{makedumpfile} from Debian unstable; {runs} timed runs of either.\n")?;
        }
        writeln!(out, "{NOTES}")?;
        writeln!(
            out,
            "| kernel | levels | pages | free, ours | makedumpfile | pages that differ | MiB, ours \
             | makedumpfile | size | s, ours | makedumpfile | speed | CPU s, ours | makedumpfile | \
             speed |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | \
             ---: | ---: | ---: |"
        )?;
        rows.iter().try_for_each(|row| writeln!(out, "{row}"))
    }
}
