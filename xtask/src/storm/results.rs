//! What long series have found, a line of JSON each, written down as soon as it is there, so that one that is interrupted can go on; and where
//! the whole goes in the end.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::repository::Repository;

/// The results of one series.
pub struct Results<T> {
    /// What an earlier run has found.
    pub earlier: Vec<T>,
    file: File,
    path: PathBuf,
}

impl<T: Serialize + DeserializeOwned> Results<T> {
    /// Begins anew; with `resume`, goes on with what is there.
    pub fn open(path: PathBuf, resume: bool) -> Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let earlier = if resume { read(&path)? } else { Vec::new() };
        let file = if resume { File::options().append(true).create(true).open(&path) } else { File::create(&path) };
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { earlier, file, path })
    }

    /// Writes one down.
    pub fn keep(&mut self, result: &T) -> Result<()> {
        writeln!(self.file, "{}", serde_json::to_string(result)?).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    lines.with_context(|| format!("{} is no file of results, or of another version; remove it", path.display()))
}

/// Writes files of `docs/storm/`, by name.
pub fn publish(repo: &Repository, files: &[(&str, String)]) -> Result<()> {
    let directory = repo.root.join("docs/storm");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_series_goes_on_and_another_begins_anew() {
        let dir = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
        let path = dir.path().join("below/results.jsonl");
        let open = |resume| Results::<u32>::open(path.clone(), resume);
        let mut results = open(true).unwrap();
        assert!(results.earlier.is_empty());
        results.keep(&7).unwrap();
        results.keep(&8).unwrap();
        assert_eq!(open(true).unwrap().earlier, [7, 8]);
        assert!(open(false).unwrap().earlier.is_empty());
        assert!(open(true).unwrap().earlier.is_empty(), "the other began anew");
    }

    #[test]
    fn torn_results_are_named() {
        let dir = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
        let path = dir.path().join("results");
        fs::write(&path, "7\n{\"contestant\"").unwrap();
        let error = Results::<u32>::open(path, true).map(drop).unwrap_err();
        assert!(error.to_string().contains("remove it"), "{error:#}");
    }
}
