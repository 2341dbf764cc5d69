//! Memory that goes: the kernel says so before it is gone.
//!
//! *On entry* the numbers of memory blocks of which it has said so. *On exit* their ranges have left /proc/iomem, or time is up. The event comes
//! from `remove_memory_block_devices`; the range leaves in `release_mem_region_adjustable`, without another event (`try_remove_memory`,
//! mm/memory_hotplug.c), and an image that is made in between lists memory that is about to vanish.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use loader::machine::{self, Present, block_range};
use loader::phys::PhysRange;

/// How long the range is waited for. The kernel does the rest in milliseconds, unless it is busy with a large DIMM.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// After that, a block whose device is there has come back. (The event is sent a moment before the device is gone.)
const BACK: Duration = Duration::from_secs(2);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits, no longer than `patience`. What is still there then; nothing if all is well. A number that can be no block's is nothing to wait for:
/// an error would come again with every reload, since the number stays noted until one has succeeded.
pub fn wait(root: &Path, blocks: &[u64], patience: Duration) -> Result<Vec<PhysRange>, machine::Error> {
    let begin = Instant::now();
    let range = |&number: &u64| Some((number, block_range(root, number).ok()?));
    let mut waiting: Vec<(u64, PhysRange)> = blocks.iter().filter_map(range).collect();
    while !waiting.is_empty() {
        // In this order: a process that did not run for long looks once more before it gives up.
        let waited = begin.elapsed();
        let present = Present::read(root)?;
        let back = |number: u64| root.join(format!("sys/devices/system/memory/memory{number}")).exists();
        waiting.retain(|&(number, range)| present.has(range) && !(waited >= BACK.min(patience) && back(number)));
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

    use super::*;
    use loader::machine::example;

    /// The example's block 32 is at 4 GiB, where it has memory.
    fn machine() -> tempfile::TempDir {
        let root = example::tree();
        example::plant(root.path(), &[("sys/devices/system/memory/block_size_bytes".into(), b"8000000\n".to_vec())].into());
        root
    }

    #[test]
    fn memory_that_is_gone_is_not_waited_for() {
        assert_eq!(wait(machine().path(), &[64, 65], Duration::ZERO).unwrap(), []);
        assert_eq!(wait(machine().path(), &[], Duration::ZERO).unwrap(), []);
        assert_eq!(wait(machine().path(), &[u64::MAX], Duration::ZERO).unwrap(), [], "it can be no block");
    }

    #[test]
    fn memory_that_stays_is_waited_for_no_longer_than_patience() {
        let there = PhysRange::new(0x1_0000_0000, 0x1_0800_0000).unwrap();
        assert_eq!(wait(machine().path(), &[32, 64], Duration::from_millis(1)).unwrap(), [there]);
    }

    #[test]
    fn wait_ends_when_the_range_leaves() {
        let root = machine();
        let path = root.path().join("proc/iomem");
        let text = fs::read_to_string(&path).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| wait(root.path(), &[32], Duration::from_secs(60)).unwrap());
            let line = "100000000-10fffffff : System RAM\n";
            let new = root.path().join("iomem.new");
            fs::write(&new, text.replace(line, "")).unwrap();
            fs::rename(new, &path).unwrap();
            assert_eq!(waiting.join().unwrap(), []);
        });
    }

    #[test]
    fn block_that_has_come_back_is_not_waited_for() {
        let root = machine();
        fs::create_dir_all(root.path().join("sys/devices/system/memory/memory32")).unwrap();
        assert_eq!(wait(root.path(), &[32], Duration::from_millis(1)).unwrap(), []);
    }
}
