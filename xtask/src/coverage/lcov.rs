//! What `llvm-cov export --format=lcov` says: for each file, every line with code and how often it was run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Line numbers, which count from 1, and how often each was run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines(BTreeMap<PathBuf, Vec<(usize, u64)>>);

impl Lines {
    /// Reads the lcov format's `SF:file` and `DA:line,count` (geninfo(1), "FILES").
    pub fn read(said: &str) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut lines: Option<&mut Vec<(usize, u64)>> = None;
        for record in said.lines() {
            let odd = || format!("llvm-cov said {record:?}");
            if let Some(path) = record.strip_prefix("SF:") {
                lines = Some(files.entry(PathBuf::from(path)).or_default());
            } else if let Some(data) = record.strip_prefix("DA:") {
                let (line, count) = data.split_once(',').with_context(odd)?;
                let line = (line.parse().with_context(odd)?, count.parse().with_context(odd)?);
                lines.as_mut().with_context(odd)?.push(line);
            }
        }
        Ok(Self(files))
    }

    /// The lines of a file that was compiled.
    pub fn of(&self, path: &Path) -> Option<&[(usize, u64)]> {
        self.0.get(path).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_file_by_file() {
        let said = "SF:/r/a.rs\nFN:1,main\nFNDA:1,main\nDA:1,7\nDA:3,0\nLF:2\nend_of_record\nSF:/r/b.rs\nDA:9,1\nend_of_record\n";
        let lines = Lines::read(said).unwrap();
        assert_eq!(lines.of(Path::new("/r/a.rs")), Some(&[(1, 7), (3, 0)][..]));
        assert_eq!(lines.of(Path::new("/r/b.rs")), Some(&[(9, 1)][..]));
        assert_eq!(lines.of(Path::new("/r/c.rs")), None);
    }

    #[test]
    fn what_is_no_lcov_is_refused() {
        assert!(Lines::read("DA:1,7\n").is_err());
        assert!(Lines::read("SF:/r/a.rs\nDA:one,7\n").is_err());
    }
}
