//! How little memory was left.
//!
//! *On entry* /proc/meminfo. *On exit* its MemTotal and the lowest MemAvailable of all looks, for
//! `estimate`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use capture_init::Memory;

/// The lowest figures so far.
#[derive(Debug)]
pub struct Lowest {
    file: PathBuf,
    memory: Mutex<Memory>,
}

impl Lowest {
    /// Looks for the first time.
    pub fn new(root: &Path) -> Self {
        let lowest = Self { file: root.join("proc/meminfo"), memory: Mutex::default() };
        lowest.look();
        lowest
    }

    /// Looks again.
    pub fn look(&self) {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let (Some(total), Some(available)) =
            (field(&text, "MemTotal"), field(&text, "MemAvailable"))
        else {
            return;
        };
        let mut memory = self.memory.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if memory.total_kib == 0 || available < memory.lowest_available_kib {
            *memory = Memory { total_kib: total, lowest_available_kib: available };
        }
    }

    /// The figures.
    pub fn seen(&self) -> Memory {
        *self.memory.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A line such as `MemTotal:  33554432 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_figure_of_all_looks_stays() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("proc")).unwrap();
        let write = |available: u64| {
            let text =
                format!("MemTotal:  60000 kB\nMemFree:       9 kB\nMemAvailable: {available} kB\n");
            fs::write(tree.path().join("proc/meminfo"), text).unwrap();
        };
        write(33_000);
        let lowest = Lowest::new(tree.path());
        for available in [29_000, 31_000] {
            write(available);
            lowest.look();
        }
        fs::write(tree.path().join("proc/meminfo"), "").unwrap();
        lowest.look();
        assert_eq!(lowest.seen(), Memory { total_kib: 60_000, lowest_available_kib: 29_000 });
    }
}
