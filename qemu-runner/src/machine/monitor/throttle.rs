//! Disks that become slow, or hang.

use serde_json::json;

use super::Monitor;
use crate::error::Error;

impl Monitor {
    /// From now on, the disk of this number takes at most so many bytes a second.
    pub fn slow_down_writes(&mut self, disk: usize, bytes_per_second: u64) -> Result<(), Error> {
        let device = format!("disk{disk}");
        let limits = json!({
            "device": device, "bps": 0, "bps_rd": 0, "bps_wr": bytes_per_second,
            "iops": 0, "iops_rd": 0, "iops_wr": 0,
        });
        self.execute("block_set_io_throttle", limits).map(drop)
    }

    /// From now on, writes to the disk of this number do not end: one of 4 KiB takes an hour.
    pub fn hang_writes(&mut self, disk: usize) -> Result<(), Error> {
        self.slow_down_writes(disk, 1)
    }
}
