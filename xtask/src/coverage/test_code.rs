//! Which lines of a crate are tests: everything behind `#[cfg(test)]`, in the same file or in files of its own.
//!
//! Read off the text as rustfmt lays it out: an item at the left margin ends with the first line that is a brace or that ends in a
//! semicolon there.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const ATTRIBUTE: &str = "#[cfg(test)]";

/// The source files of a crate, and what in them is tests.
pub struct TestCode {
    /// Text and ranges of lines that are tests.
    files: BTreeMap<PathBuf, (String, Vec<RangeInclusive<usize>>)>,
}

impl TestCode {
    /// Reads everything below `src`.
    pub fn find(src: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        read_all(src, &mut files)?;
        let mut outside = Vec::new();
        let mut code = BTreeMap::new();
        for (path, text) in files {
            let ranges = ranges(&text).with_context(|| format!("in {}", path.display()))?;
            let lines: Vec<&str> = text.lines().collect();
            for range in &ranges {
                outside.extend(module_file(&path, &lines[range.start() - 1..*range.end()]));
            }
            code.insert(path, (text, ranges));
        }
        // A module's file, and the directory with its own modules.
        code.retain(|path, _| !outside.iter().any(|module| *path == module.with_extension("rs") || path.starts_with(module)));
        Ok(Self { files: code })
    }

    /// The files that are not all tests, and what is in them.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.files.iter().map(|(path, (text, _))| (path.as_path(), text.as_str()))
    }

    /// Whether a line, counted from 1, is a test's.
    pub fn is_test(&self, path: &Path, line: usize) -> bool {
        self.files.get(path).is_some_and(|(_, ranges)| ranges.iter().any(|range| range.contains(&line)))
    }
}

fn read_all(directory: &Path, files: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let cannot = || format!("cannot read {}", directory.display());
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.is_dir() {
            read_all(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.insert(path, text);
        }
    }
    Ok(())
}

/// The lines of every item behind the attribute.
fn ranges(text: &str) -> Result<Vec<RangeInclusive<usize>>> {
    let mut ranges = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((start, line)) = lines.next() {
        if line != ATTRIBUTE {
            continue;
        }
        let ends = |line: &str| line.starts_with('}') || (!line.starts_with(' ') && line.ends_with(';'));
        let Some((end, _)) = lines.find(|(_, line)| ends(line)) else { bail!("line {} begins a test without end", start + 1) };
        ranges.push(start + 1..=end + 1);
    }
    Ok(ranges)
}

/// Where the module that an item declares has its file, without the extension, or the files of its own modules; `None` if the item
/// is something else.
fn module_file(path: &Path, item: &[&str]) -> Option<PathBuf> {
    let name = item.iter().find_map(|line| {
        let (before, rest) = line.split_once("mod ")?;
        let declares = before.is_empty() || before.starts_with("pub");
        rest.strip_suffix(';').or_else(|| rest.strip_suffix(" {")).filter(|_| declares)
    })?;
    let stem = path.file_stem()?;
    let directory = if stem == "lib" || stem == "main" { path.parent()?.to_owned() } else { path.with_extension("") };
    Some(directory.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) -> PathBuf {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn tests_are_told_from_what_they_test() {
        let dir = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
        let root = dir.path();
        let inside = "fn a() {\n}\n\n#[cfg(test)]\nmod tests {\n    fn t() {\n    }\n}\nfn b() {}\n";
        let a = write(root, "a.rs", inside);
        let lib = write(root, "lib.rs", "mod a;\n#[cfg(test)]\n/// For tests.\npub(crate) mod example;\nmod b;\n");
        let b = write(root, "b.rs", "fn b() {}\n#[cfg(test)]\nconst ONE: u8 = 1;\n#[cfg(test)]\nmod tests;\n");
        for test in ["example.rs", "a/tests/properties.rs", "b/tests.rs", "b/tests/more.rs"] {
            write(root, test, "fn t() {}\n");
        }
        let code = TestCode::find(root).unwrap();
        assert_eq!(code.files().map(|(path, _)| path).collect::<Vec<_>>(), [&a, &b, &lib]);
        let tests: Vec<usize> = (1..=9).filter(|&line| code.is_test(&a, line)).collect();
        assert_eq!(tests, [4, 5, 6, 7, 8]);
        assert!(!code.is_test(&b, 1) && code.is_test(&b, 3));
    }

    #[test]
    fn a_test_without_end_is_refused() {
        assert!(ranges("#[cfg(test)]\nmod tests {\n").is_err());
    }
}
