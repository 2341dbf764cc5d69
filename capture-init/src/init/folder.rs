//! `[4]` A folder for the capture, on a mounted filesystem.
//!
//! ```text
//! PATH/2026-11-29T10-06-44Z/dmesg.txt                first
//!                          /vmcore.incomplete        while it is written, then renamed to vmcore
//!                          /capture.json             the record
//! ```

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use capture_init::{
    DUMP_FILE, Dump, INCOMPLETE_DUMP_FILE, Keep, LOG_FILE, RECORD_FILE, Record,
    UNFILTERED_DUMP_FILE, utc,
};

use crate::keep;
use crate::output::FILE_MODE;
use crate::step::{Place, Step};
use crate::target::Target;

/// Folders of captures in one second. One machine makes no second one.
const MOST_PER_SECOND: u32 = 9;
/// Bytes of a record, padded. The last one overwrites the first, so that it can be written when the
/// filesystem is full.
const RECORD_ROOM: usize = 8192;
/// Only root looks into a dump.
const FOLDER_MODE: u32 = 0o700;

/// A folder that was made for this capture.
#[derive(Debug)]
pub struct Folder {
    parent: PathBuf,
    path: PathBuf,
    name: OsString,
    /// For people.
    title: String,
}

impl Folder {
    /// Makes it: `path` below the root `mounted` of the filesystem on `device`, and a folder in it
    /// that is named after the time.
    pub fn create(mounted: &Path, path: &str, device: &str, began: u64) -> io::Result<Self> {
        let parent = mounted.join(path.trim_matches('/'));
        fs::create_dir_all(&parent)?;
        if fs::metadata(&parent)?.dev() != fs::metadata(mounted)?.dev() {
            return Err(io::Error::other(format!(
                "{path} is not on the target's filesystem: a symbolic link leads out of it"
            )));
        }
        let name = utc::for_names(began);
        let names = std::iter::once(name.clone())
            .chain((2..=MOST_PER_SECOND).map(|number| format!("{name}-{number}")));
        for name in names {
            let path = parent.join(&name);
            match DirBuilder::new().mode(FOLDER_MODE).create(&path) {
                Ok(()) => {
                    File::open(&parent)?.sync_all()?;
                    let on_device = path.strip_prefix(mounted).unwrap_or(&path).display();
                    let title = format!("/{on_device} on {device}");
                    return Ok(Self { parent, path, name: name.into(), title });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Bytes that a capture may still write to the filesystem. Without an answer of the kernel,
    /// there is no limit.
    fn room(&self) -> u64 {
        let Ok(space) = rustix::fs::statvfs(&self.path) else { return u64::MAX };
        capture_init::room(space.f_bavail, space.f_frsize)
    }

    fn place(&self, file: &str) -> Place {
        let path = self.path.join(file);
        Place { path, offset: 0, room: self.room(), is_partition: false }
    }

    /// Names in the folder become permanent.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Target for Folder {
    fn name(&self) -> String {
        self.title.clone()
    }

    fn log_place(&self) -> Place {
        self.place(LOG_FILE)
    }

    fn log_saved(&mut self, _: u64) -> io::Result<()> {
        self.sync()
    }

    fn dump_place(&mut self, step: &Step) -> Place {
        self.place(incomplete(step))
    }

    fn dump_saved(&mut self, step: &Step, _: &Dump) -> io::Result<()> {
        fs::rename(self.path.join(incomplete(step)), self.path.join(DUMP_FILE))?;
        self.sync()?;
        // A copy replaces what a failed step left.
        match fs::remove_file(self.path.join(INCOMPLETE_DUMP_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn note(&mut self, record: &Record) -> io::Result<()> {
        let path = self.path.join(RECORD_FILE);
        let file =
            File::options().write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
        let mut json = record.to_json();
        // JSON may end with blanks.
        json.resize(json.len().next_multiple_of(RECORD_ROOM), b'\n');
        file.write_all_at(&json, 0)?;
        file.set_len(json.len() as u64)?;
        file.sync_all()?;
        self.sync()
    }

    fn remove_earlier(&mut self, keep: Keep) -> Vec<String> {
        keep::remove_earlier(&self.parent, &self.name, keep)
    }
}

/// The file of an unfinished dump. A copy does not replace a filtered dump, which may have more
/// pages of the same disk space.
fn incomplete(step: &Step) -> &'static str {
    match step {
        Step::Copy => UNFILTERED_DUMP_FILE,
        Step::Log | Step::Makedumpfile(_) | Step::Filter(_) => INCOMPLETE_DUMP_FILE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_init::{DumpLevel, Format};

    const BEGAN: u64 = 1_796_000_000;
    const NAME: &str = "2026-11-30T00-53-20Z";
    const DUMP: Dump = Dump { format: Format::Elf, bytes: 4, pages: None };
    const FILTER: Step = Step::Filter(DumpLevel::NoFreeOrZeroes);

    fn files(folder: &Path) -> Vec<String> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    #[test]
    fn dump_gets_its_name_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::create(dir.path(), "var/crash", "vdb1", BEGAN).unwrap();
        let path = dir.path().join("var/crash").join(NAME);
        assert_eq!(folder.name(), format!("/var/crash/{NAME} on vdb1"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, FOLDER_MODE);
        let place = folder.dump_place(&FILTER);
        assert_eq!(place.path, path.join("vmcore.incomplete"));
        assert!(place.room > 0);
        fs::write(&place.path, "dump").unwrap();
        folder.dump_saved(&FILTER, &DUMP).unwrap();
        folder.note(&Record::new(BEGAN, 0)).unwrap();
        assert_eq!(files(&path), ["capture.json", "vmcore"]);
    }

    #[test]
    fn later_record_takes_the_place_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::create(dir.path(), "", "vdb1", BEGAN).unwrap();
        let mut record = Record::new(BEGAN, 0);
        record.troubles = vec!["a trouble".repeat(2000)];
        folder.note(&record).unwrap();
        record.troubles = vec!["the target is full".into()];
        folder.note(&record).unwrap();
        let bytes = fs::read(folder.path.join(RECORD_FILE)).unwrap();
        assert_eq!(bytes.len(), RECORD_ROOM);
        assert_eq!(serde_json::from_slice::<Record>(&bytes).unwrap(), record);
    }

    #[test]
    fn complete_copy_replaces_the_unfinished_dump() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::create(dir.path(), "", "vdb1", BEGAN).unwrap();
        fs::write(folder.dump_place(&FILTER).path, "du").unwrap();
        fs::write(folder.dump_place(&Step::Copy).path, "copy").unwrap();
        assert_eq!(files(&folder.path).len(), 2, "an unfinished copy leaves the dump alone");
        folder.dump_saved(&Step::Copy, &DUMP).unwrap();
        assert_eq!(files(&folder.path), ["vmcore"]);
        assert_eq!(fs::read(folder.path.join("vmcore")).unwrap(), b"copy");
    }

    #[test]
    fn second_capture_in_one_second_has_a_folder_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..2)
            .map(|_| Folder::create(dir.path(), "crash/", "vdb1", BEGAN).unwrap().name)
            .collect();
        assert_eq!(names, [NAME, &format!("{NAME}-2")].map(OsString::from));
    }

    #[test]
    fn path_that_leads_out_of_the_filesystem_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/proc", dir.path().join("crash")).unwrap();
        let error = Folder::create(dir.path(), "crash", "vdb1", BEGAN).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }
}
