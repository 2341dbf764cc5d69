//! `[8]` Which earlier dumps stay.
//!
//! *On entry* the new dump is complete. *On exit* there are at most as many captures, and bytes of
//! them, as the task allows. Complete dumps take the places first: a capture without one costs none
//! of them its place. Only folders with a time as their name, and with no file but ours, are removed
//! or counted.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use capture_init::{
    DUMP_FILE, INCOMPLETE_DUMP_FILE, Keep, LOG_FILE, RECORD_FILE, UNFILTERED_DUMP_FILE, utc,
};

use crate::alive;

/// What a folder of ours can have.
const OURS: [&str; 5] =
    [LOG_FILE, DUMP_FILE, INCOMPLETE_DUMP_FILE, UNFILTERED_DUMP_FILE, RECORD_FILE];
/// Unit of `st_blocks`.
const BLOCK: u64 = 512;

/// A folder with a dump.
struct Earlier {
    path: PathBuf,
    files: Vec<PathBuf>,
    /// Bytes on the medium.
    bytes: u64,
    /// Whether it has a dump that got its name, which only a complete one does.
    is_complete: bool,
}

/// Removes earlier dumps in `parent`, the oldest first, but those that are incomplete before all
/// complete ones. `new` stays. Returns what happened, in words.
pub fn remove_earlier(parent: &Path, new: &OsStr, keep: Keep) -> Vec<String> {
    let mut words = Vec::new();
    let mut names: Vec<_> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name != new && name.to_str().is_some_and(utc::is_name))
        .collect();
    // Names sort by time. The newest comes first.
    names.sort_by(|one, other| other.cmp(one));
    let mut folders = Vec::new();
    for name in names {
        let path = parent.join(&name);
        match earlier(&path) {
            Ok(folder) => folders.extend(folder),
            Err(error) => {
                words.push(format!("{} cannot be read and stays: {error}", path.display()));
            }
        }
    }
    // A stable sort: among equals, the newest stays first.
    folders.sort_by_key(|folder| !folder.is_complete);
    let mut count = 1;
    let mut bytes = earlier(&parent.join(new)).map_or(0, |new| new.map_or(0, |new| new.bytes));
    for folder in folders {
        let stays = count < keep.count.max(1)
            && keep.bytes.is_none_or(|most| bytes.saturating_add(folder.bytes) <= most);
        if stays {
            (count, bytes) = (count + 1, bytes + folder.bytes);
            continue;
        }
        // Then nothing after it stays either.
        count = u32::MAX;
        let what = if folder.is_complete { "earlier dump" } else { "incomplete earlier dump" };
        let (path, mib) = (folder.path.display(), folder.bytes >> 20);
        alive::sign();
        words.push(match remove(&folder) {
            Ok(()) => format!("removed the {what} {path} ({mib} MiB)"),
            Err(error) => format!("cannot remove the {what} {path}: {error}"),
        });
    }
    words
}

/// The folder, if it is one and has nothing but our files.
fn earlier(path: &Path) -> io::Result<Option<Earlier>> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(None);
    }
    let (mut files, mut bytes, mut is_complete) = (Vec::new(), 0, false);
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let is_ours = entry.file_name().to_str().is_some_and(|name| OURS.contains(&name));
        if !is_ours || !metadata.is_file() {
            return Ok(None);
        }
        bytes += metadata.blocks() * BLOCK;
        is_complete |= entry.file_name() == DUMP_FILE && metadata.len() > 0;
        files.push(entry.path());
    }
    Ok(Some(Earlier { path: path.to_owned(), files, bytes, is_complete }))
}

fn remove(folder: &Earlier) -> io::Result<()> {
    folder.files.iter().try_for_each(fs::remove_file)?;
    fs::remove_dir(&folder.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "2026-11-29T10-00-00Z";

    /// A folder with dumps of 1 MiB each, the new one included.
    fn dumps(earlier: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in earlier.iter().chain([&NEW]) {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join(DUMP_FILE), vec![1; 1 << 20]).unwrap();
            fs::write(dir.path().join(name).join(LOG_FILE), "").unwrap();
        }
        dir
    }

    fn left(dir: &tempfile::TempDir, keep: Keep) -> (Vec<String>, Vec<String>) {
        let words = remove_earlier(dir.path(), OsStr::new(NEW), keep);
        let names = fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        (names, words)
    }

    const EARLIER: [&str; 3] =
        ["2025-01-01T00-00-00Z", "2026-01-01T00-00-00Z", "2026-01-01T00-00-00Z-2"];

    #[test]
    fn newest_dumps_stay_by_count() {
        let dir = dumps(&EARLIER);
        let (names, words) = left(&dir, Keep { count: 2, bytes: None });
        assert_eq!(names, [EARLIER[2], NEW]);
        assert!(words[0].starts_with("removed the earlier dump "), "{words:?}");
        assert!(words[1].contains("2025-01-01T00-00-00Z (1 MiB)"), "{words:?}");
    }

    #[test]
    fn newest_dumps_stay_by_size_and_the_new_one_in_any_case() {
        let dir = dumps(&EARLIER);
        let (names, _) = left(&dir, Keep { count: 9, bytes: Some(3 << 20) });
        assert_eq!(names, [EARLIER[1], EARLIER[2], NEW]);
        let (names, _) = left(&dir, Keep { count: 9, bytes: Some(1) });
        assert_eq!(names, [NEW]);
    }

    #[test]
    fn folder_with_foreign_content_is_neither_removed_nor_counted() {
        let dir = dumps(&EARLIER);
        fs::write(dir.path().join(EARLIER[1]).join("notes.txt"), "seen by Ada").unwrap();
        fs::create_dir(dir.path().join("127.0.0.1-2026-11-29-10:06:44")).unwrap();
        fs::write(dir.path().join("2020-01-01T00-00-00Z"), "a file").unwrap();
        let (names, _) = left(&dir, Keep { count: 1, bytes: None });
        let kept = ["127.0.0.1-2026-11-29-10:06:44", "2020-01-01T00-00-00Z", EARLIER[1], NEW];
        assert_eq!(names, kept);
    }

    /// Captures without a complete dump.
    fn incomplete(dir: &tempfile::TempDir, names: &[&str]) {
        for (name, file) in names.iter().zip([INCOMPLETE_DUMP_FILE, LOG_FILE].into_iter().cycle()) {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join(file), vec![1; 1 << 20]).unwrap();
        }
    }

    const INCOMPLETE: [&str; 3] =
        ["2026-02-01T00-00-00Z", "2026-02-02T00-00-00Z", "2026-02-03T00-00-00Z"];

    #[test]
    fn incomplete_captures_are_removed_before_any_complete_dump() {
        let dir = dumps(&EARLIER[..2]);
        incomplete(&dir, &INCOMPLETE);
        let (names, words) = left(&dir, Keep { count: 4, bytes: None });
        assert_eq!(names, [EARLIER[0], EARLIER[1], INCOMPLETE[2], NEW]);
        assert_eq!(words.len(), 2);
        assert!(words[0].starts_with("removed the incomplete earlier dump "), "{words:?}");
        let (names, _) = left(&dir, Keep { count: 3, bytes: None });
        assert_eq!(names, [EARLIER[0], EARLIER[1], NEW]);
    }

    #[test]
    fn bytes_of_incomplete_captures_cost_no_complete_dump_its_place() {
        let dir = dumps(&EARLIER);
        incomplete(&dir, &INCOMPLETE);
        let (names, _) = left(&dir, Keep { count: 9, bytes: Some(3 << 20) });
        assert_eq!(names, [EARLIER[1], EARLIER[2], NEW]);
    }

    #[test]
    fn keeping_none_keeps_the_new_one() {
        let dir = dumps(&EARLIER);
        assert_eq!(left(&dir, Keep { count: 0, bytes: None }).0, [NEW]);
    }
}
