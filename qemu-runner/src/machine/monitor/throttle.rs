//! Disks that become slow, or hang.

use serde_json::json;

use super::Monitor;
use crate::error::Error;

impl Monitor {
    /// From now on, the disk of this number takes at most so many bytes a second.
    pub fn slow_down_writes(&mut self, disk: usize, bytes_per_second: u64) -> Result<(), Error> {
        self.limit(disk, 0, bytes_per_second)
    }

    /// From now on, writes to the disk of this number do not end: one of 4 KiB takes an hour.
    pub fn hang_writes(&mut self, disk: usize) -> Result<(), Error> {
        self.slow_down_writes(disk, 1)
    }

    /// The same for reads: the first one still ends.
    pub fn hang_reads(&mut self, disk: usize) -> Result<(), Error> {
        self.limit(disk, 1, 0)
    }

    /// Bytes a second; 0 means no limit.
    fn limit(&mut self, disk: usize, read: u64, written: u64) -> Result<(), Error> {
        let device = format!("disk{disk}");
        let limits = json!({
            "device": device, "bps": 0, "bps_rd": read, "bps_wr": written,
            "iops": 0, "iops_rd": 0, "iops_wr": 0,
        });
        self.execute("block_set_io_throttle", limits).map(drop)
    }
}
