//! Pages with known content, written before the panic: sentinels, which the dump must have, and
//! freed pages, which it must leave out.

use std::ops::Range;

use super::first::First;
use super::guest;
use super::load::number;
use crate::error::{Error, check};

/// A page that user space of the crashed kernel has written.
#[derive(Clone, Copy, Debug)]
pub struct Sentinel {
    pub address: u64,
    pub seed: u64,
}

/// What is in pages that were freed: so many bytes that each page begins with all of them.
pub const FREED: &[u8; 16] = b"a freed page...\n";
/// How many pages are freed.
pub const FREED_PAGES: usize = 16 << 10;

impl First<'_, '_> {
    /// Puts a page with a known pattern into physical memory.
    pub fn place_sentinel(&mut self, seed: u64) -> Result<(), Error> {
        self.place_sentinel_in(seed, &(0..u64::MAX))
    }

    /// The same, inside `range`.
    pub fn place_sentinel_in(&mut self, seed: u64, range: &Range<u64>) -> Result<(), Error> {
        // The program never ends, so its one line comes through a pipe; if it fails, the pipe is
        // closed and the line empty.
        let command = format!(
            "rm -f /tmp/pipe; mkfifo /tmp/pipe; {} --seed {seed} --from {:#x} --to {:#x} \
             >/tmp/pipe 2>/tmp/sentinel.err & \
             read address </tmp/pipe; echo $address; cat /tmp/sentinel.err",
            guest::SENTINEL,
            range.start,
            range.end
        );
        let said = self.vm.run_ok(&command)?;
        let digits = said.trim().strip_prefix("0x");
        let address = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let address = address.ok_or_else(|| Error::unreadable("a sentinel's address", &said))?;
        check!(
            range.contains(&address),
            "the sentinel's address: expected {range:x?}, found {address:#x}"
        )?;
        self.note(format!("sentinel {seed} written at {address:#x}"));
        self.sentinels.push(Sentinel { address, seed });
        Ok(())
    }

    /// Fills [`FREED_PAGES`] pages with [`FREED`], and frees them. They are in the zone of `dimm`,
    /// which user space gets first. Single CPUs keep thousands of freed pages on lists of their
    /// own, which count as used. Returns how many that are.
    pub fn free_pages(&mut self, dimm: &Range<u64>) -> Result<usize, Error> {
        let line = str::from_utf8(FREED).expect("text").trim_end();
        let mib = (FREED_PAGES * sentinel::PAGE_SIZE) >> 20;
        self.vm.run_ok(&format!(
            "yes {line} | head -c 1048576 >/tmp/mib && \
             for mib in $(seq {mib}); do cat /tmp/mib || exit; done >/tmp/freed && \
             rm /tmp/mib /tmp/freed"
        ))?;
        // Empties these lists (`zone_pcp_disable` in `offline_pages`, mm/memory_hotplug.c).
        let size = self.memory_block()?;
        let block = dimm.end / size - 1;
        let moved = self.sentinels.iter().find(|sentinel| sentinel.address / size == block);
        check!(moved.is_none(), "memory block {block}: expected no sentinel, which would move")?;
        let state = format!("/sys/devices/system/memory/memory{block}/state");
        self.toggle(&format!("memory block {block}"), &state, ["offline", "online_movable"])?;
        // `zoneinfo_show_print`, mm/vmstat.c.
        let listed = self
            .vm
            .run_ok("awk '$1 == \"count:\" { sum += $2 } END { print sum }' /proc/zoneinfo")?;
        self.note(format!("{FREED_PAGES} pages with a pattern freed; CPUs list {listed}"));
        number(&listed)
    }

    /// Bytes of a memory block of this machine: [`super::MEMORY_BLOCK`], or more from 64 GiB on.
    fn memory_block(&mut self) -> Result<u64, Error> {
        let said = self.vm.run_ok("cat /sys/devices/system/memory/block_size_bytes")?;
        let size = u64::from_str_radix(said.trim(), 16);
        size.map_err(|_| Error::unreadable("the size of a memory block", &said))
    }
}
