//! Waits for the removal of memory, because the kernel sends its event before the memory is gone.
//!
//! *On entry* the numbers of removed memory blocks. *On exit* their ranges have left /proc/iomem,
//! or time is up.
//!
//! `remove_memory_block_devices` sends the event. The range leaves later, in
//! `release_mem_region_adjustable`, without another event (`try_remove_memory`,
//! mm/memory_hotplug.c). An image that is built in between would list the removed memory.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use loader::machine::{self, Present, block_range};
use loader::phys::PhysRange;

/// Longest wait. The kernel usually needs milliseconds, and longer for a large DIMM.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// After this time, a block whose device exists was added again. (The event precedes the removal of
/// the device.)
const BACK: Duration = Duration::from_secs(2);
/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits up to `patience`. Returns the ranges that are still present. Invalid block numbers are
/// ignored: the number stays queued until a reload succeeds, so an error would repeat with every
/// reload.
pub fn wait(
    root: &Path,
    blocks: &[u64],
    patience: Duration,
) -> Result<Vec<PhysRange>, machine::Error> {
    let begin = Instant::now();
    let range = |&number: &u64| Some((number, block_range(root, number).ok()?));
    let mut waiting: Vec<(u64, PhysRange)> = blocks.iter().filter_map(range).collect();
    while !waiting.is_empty() {
        // The time comes first: a process that was suspended checks once more before it gives up.
        let waited = begin.elapsed();
        let present = Present::read(root)?;
        let back =
            |number: u64| root.join(format!("sys/devices/system/memory/memory{number}")).exists();
        waiting.retain(|&(number, range)| {
            present.has(range) && !(waited >= BACK.min(patience) && back(number))
        });
        if waited >= patience {
            break;
        }
        if !waiting.is_empty() {
            thread::sleep(PAUSE);
        }
    }
    Ok(waiting.into_iter().map(|(_, range)| range).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use loader::machine::example;

    use super::*;

    /// In the example, block 32 is at 4 GiB and has memory.
    fn machine() -> tempfile::TempDir {
        let root = example::tree();
        example::plant(
            root.path(),
            &[("sys/devices/system/memory/block_size_bytes".into(), b"8000000\n".to_vec())].into(),
        );
        root
    }

    #[test]
    fn removed_memory_causes_no_wait() {
        assert_eq!(wait(machine().path(), &[64, 65], Duration::ZERO).unwrap(), []);
        assert_eq!(wait(machine().path(), &[], Duration::ZERO).unwrap(), []);
        assert_eq!(
            wait(machine().path(), &[u64::MAX], Duration::ZERO).unwrap(),
            [],
            "an invalid number"
        );
    }

    #[test]
    fn wait_for_present_memory_ends_after_patience() {
        let there = PhysRange::new(0x1_0000_0000, 0x1_0800_0000).unwrap();
        assert_eq!(wait(machine().path(), &[32, 64], Duration::from_millis(1)).unwrap(), [there]);
    }

    #[test]
    fn wait_ends_when_the_range_leaves() {
        let root = machine();
        let path = root.path().join("proc/iomem");
        let text = fs::read_to_string(&path).unwrap();
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| wait(root.path(), &[32], Duration::from_secs(60)).unwrap());
            let line = "100000000-10fffffff : System RAM\n";
            let new = root.path().join("iomem.new");
            fs::write(&new, text.replace(line, "")).unwrap();
            fs::rename(new, &path).unwrap();
            assert_eq!(waiting.join().unwrap(), []);
        });
    }

    #[test]
    fn block_that_was_added_again_ends_the_wait() {
        let root = machine();
        fs::create_dir_all(root.path().join("sys/devices/system/memory/memory32")).unwrap();
        assert_eq!(wait(root.path(), &[32], Duration::from_millis(1)).unwrap(), []);
    }
}
