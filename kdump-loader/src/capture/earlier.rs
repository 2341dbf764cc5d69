//! The last capture at a target, as its /init has recorded it.
//!
//! *On entry* a target. *On exit* the record of the newest capture there, if there is one that can
//! be read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use capture_init::{RAW_HEADER_LEN, RECORD_FILE, RawHeader, Record};

use super::Place;
use super::disk::Disk;
use crate::health::dump_target::mounts;
use crate::health::files::Files;

/// Limit of a record's file.
const LARGEST: u64 = 1 << 20;

/// The newest record. None if there is none, or if the target cannot be read.
pub fn last(files: Files<'_>, place: &Place) -> Option<Record> {
    match place {
        Place::Directory(path) => {
            let directory = mounts::real_path(files, path.to_str()?).ok()?;
            let records = in_directory(files, &directory).into_iter().map(|(_, record)| record);
            records.max_by_key(|record| record.began)
        }
        Place::Device(path) => in_partition(files, &Disk::at(files, path).ok()?),
        Place::PartUuid(_) | Place::Serial(_) => {
            in_partition(files, &Disk::with_id(files, &place.id()?).ok()?)
        }
    }
}

/// The records in a directory for dumps, each with its folder.
pub fn in_directory(files: Files<'_>, directory: &str) -> Vec<(String, Record)> {
    let with_record = |name| {
        let folder = format!("{}/{name}", directory.trim_end_matches('/'));
        let record = beside(files, &folder)?;
        Some((folder, record))
    };
    files.names(directory).into_iter().filter_map(with_record).collect()
}

/// The record in the folder of a dump.
pub fn beside(files: Files<'_>, folder: &str) -> Option<Record> {
    let text = files.read(format!("{folder}/{RECORD_FILE}"), LARGEST).ok()?;
    serde_json::from_slice(&text).ok()
}

fn in_partition(files: Files<'_>, disk: &Disk) -> Option<Record> {
    Some(header(files, &disk.node())?.record)
}

/// What /init has written at the beginning of the device with this node.
pub fn header(files: Files<'_>, node: &Path) -> Option<RawHeader> {
    let mut start = [0; RAW_HEADER_LEN];
    File::open(files.outside(node)).ok()?.read_exact_at(&mut start, 0).ok()?;
    RawHeader::parse(&start).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::example::Tree;

    fn record(began: u64) -> Record {
        Record::new(began, 2_000)
    }

    #[test]
    fn newest_record_in_a_directory_counts() {
        let tree = Tree::new();
        let place = Place::parse("/var/crash").unwrap();
        assert_eq!(last(tree.files(), &place), None);
        for (folder, began) in [("b", 7), ("a", 9), ("c", 8)] {
            let json = String::from_utf8(record(began).to_json()).unwrap();
            tree.write(&format!("var/crash/{folder}/capture.json"), &json);
        }
        tree.write("var/crash/d/capture.json", "damaged");
        assert_eq!(last(tree.files(), &place), Some(record(9)));
    }

    #[test]
    fn record_in_a_partition_is_found_by_each_of_its_names() {
        let tree = Tree::new();
        let place = |text| Place::parse(text).unwrap();
        assert_eq!(last(tree.files(), &place("/dev/vdb1")), None);
        let header = RawHeader { log: None, dump: None, record: record(7) };
        std::fs::write(tree.path("dev/vdb1"), header.to_bytes()).unwrap();
        for text in ["/dev/vdb1", "PARTUUID=9e2a5c11-01"] {
            assert_eq!(last(tree.files(), &place(text)), Some(record(7)), "{text}");
        }
    }
}
