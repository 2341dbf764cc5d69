//! Reads every page of a dump.
//!
//! *On entry* a dump that was found. *On exit* how many of its pages can be read. Only filtered
//! dumps of `--capture` are read: makedumpfile has more compressions, and ELF has none.

use std::fmt;
use std::fs::File;
use std::path::Path;

use capture_init::Format;
use serde::Serialize;
use vmcore_filter::{Checked, DumpFile};

use super::LastDump;
use crate::health::dump_target::device;
use crate::health::files::Files;
use crate::messages::in_full;

/// What reading a dump has shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Check {
    /// Every page can be read.
    Sound {
        /// How many pages the dump has.
        pages: u64,
    },
    /// Pages are missing or damaged.
    Damaged {
        /// Pages that can be read.
        readable: u64,
        /// Pages that cannot.
        damaged: u64,
    },
    /// It cannot be opened as a dump.
    Unreadable {
        /// Why.
        why: String,
    },
    /// It is no filtered dump of `--capture`.
    NotChecked,
}

impl Check {
    /// Whether the dump is known to be damaged.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Unreadable { .. })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound { pages } => write!(out, "each of its {pages} pages can be read"),
            Self::Damaged { readable, damaged } => {
                write!(out, "{damaged} pages are missing or damaged, {readable} can be read")
            }
            Self::Unreadable { why } => write!(out, "it cannot be read: {why}"),
            Self::NotChecked => write!(out, "not read: only filtered dumps of --capture are"),
        }
    }
}

impl LastDump {
    /// Reads it, if it is complete.
    pub fn check(&mut self, root: &Path) {
        let Self::Saved { path, offset, capture, check, .. } = self else { return };
        let dump = capture.as_ref().and_then(|record| record.dump);
        *check = Some(match dump.map(|dump| dump.format) {
            Some(Format::KdumpCompressed) => {
                read(root, path, *offset).unwrap_or_else(|why| Check::Unreadable { why })
            }
            Some(Format::Elf | Format::Makedumpfile) | None => Check::NotChecked,
        });
    }
}

fn read(root: &Path, path: &str, offset: u64) -> Result<Check, String> {
    let files = Files::new(root);
    // A partition has its identifier for a path.
    let device = device::block_device(files, path);
    let node = device.as_deref().and_then(|block| Path::new(block).file_name());
    let path = node.map_or_else(|| path.into(), |node| Path::new("/dev").join(node));
    let file = File::open(files.outside(path)).map_err(|error| in_full(&error))?;
    let dump = DumpFile::open(file, offset).map_err(|error| in_full(&error))?;
    let Checked { saved, missing, damaged } = dump.check().map_err(|error| in_full(&error))?;
    Ok(match missing + damaged {
        0 if dump.is_complete() => Check::Sound { pages: saved },
        damaged => Check::Damaged { readable: saved, damaged },
    })
}

#[cfg(test)]
#[path = "../../../../vmcore-filter/tests/dump/kernel.rs"]
#[allow(dead_code, reason = "the filter's tests use more of it")]
mod made_up;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::ops::ControlFlow;

    use capture_init::{Dump, Record};
    use vmcore_filter::{Level, Vmcore, dump};

    use super::made_up::{KINDS, Kernel, PAGES};
    use super::*;

    /// A complete dump at an offset of a file, and what is known of it.
    fn saved(root: &Path, offset: u64, format: Format) -> LastDump {
        let core = Vmcore::from_bytes(Kernel::new(KINDS[2]).core()).unwrap();
        let mut bytes = Vec::new();
        let go_on = &mut |_| ControlFlow::Continue(());
        let summary = dump(&core, Level::NoFreeOrZeroes, &mut bytes, go_on).unwrap();
        bytes.truncate(summary.bytes as usize);
        let len = bytes.len() as u64;
        let file = [vec![0; offset as usize], bytes].concat();
        fs::write(root.join("vmcore"), file).unwrap();
        let mut record = Record::new(1000, 2000);
        record.dump = Some(Dump { format, bytes: len, pages: None });
        let capture = Some(Box::new(record));
        LastDump::Saved { path: "/vmcore".into(), len, offset, capture, check: None }
    }

    fn checked(root: &Path, mut dump: LastDump) -> Check {
        dump.check(root);
        let LastDump::Saved { check, .. } = dump else { panic!("{dump:?}") };
        check.expect("a check")
    }

    #[test]
    fn sound_dump_is_read_to_its_end() {
        let root = tempfile::tempdir().unwrap();
        for offset in [0, 4096] {
            let dump = saved(root.path(), offset, Format::KdumpCompressed);
            let expected = Check::Sound { pages: PAGES as u64 };
            assert_eq!(checked(root.path(), dump), expected, "{offset}");
        }
    }

    #[test]
    fn damaged_page_and_shortened_dump_are_bad() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("vmcore");
        let dump = saved(root.path(), 0, Format::KdumpCompressed);
        let sound = fs::read(&path).unwrap();
        let mut damaged = sound.clone();
        let last = damaged.len() - 40..damaged.len() - 8;
        damaged[last].fill(0xff);
        fs::write(&path, damaged).unwrap();
        let found = checked(root.path(), dump.clone());
        assert!(matches!(found, Check::Damaged { damaged: 1.., .. }), "{found:?}");
        for len in [sound.len() / 2, 100] {
            fs::write(&path, &sound[..len]).unwrap();
            assert!(checked(root.path(), dump.clone()).is_bad(), "{len}");
        }
        fs::remove_file(&path).unwrap();
        assert!(checked(root.path(), dump).is_bad());
    }

    #[test]
    fn dump_of_another_format_is_not_called_sound() {
        let root = tempfile::tempdir().unwrap();
        let dump = saved(root.path(), 0, Format::Makedumpfile);
        assert_eq!(checked(root.path(), dump), Check::NotChecked);
    }
}
