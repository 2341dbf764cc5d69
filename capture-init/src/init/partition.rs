//! `[4]` A raw partition: header, log, dump.
//!
//! *On entry* a device that holds nothing but zeroes or an earlier dump. *On exit* of each step the
//! header says what is where.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use capture_init::disks::Device;
use capture_init::signatures;
use capture_init::{DUMP_ALIGN, Dump, Extent, Keep, LOG_OFFSET, RawHeader, Record};

use crate::step::{Place, Step};
use crate::target::Target;

/// Why a partition cannot have a dump.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be opened or read.
    #[error("{device} cannot be opened: {source}")]
    Open {
        /// The device.
        device: String,
        /// The cause.
        source: io::Error,
    },
    /// It holds something else.
    #[error(
        "{device} holds {content}, which a dump would destroy; if it may be destroyed, run \
         `wipefs --all` and `dd if=/dev/zero bs=1M count=1` on it"
    )]
    InUse {
        /// The device.
        device: String,
        /// What it holds.
        content: &'static str,
    },
    /// It cannot even have a log.
    #[error("{device} has {bytes} bytes, which are too few for a dump")]
    TooSmall {
        /// The device.
        device: String,
        /// Its size.
        bytes: u64,
    },
}

/// A partition that may be overwritten.
#[derive(Debug)]
pub struct Partition {
    file: File,
    device: Device,
    header: RawHeader,
}

impl Partition {
    /// Opens it, and makes sure that nothing but an earlier dump is lost.
    pub fn open(device: &Device, record: &Record) -> Result<Self, Unusable> {
        let name = || device.path.display().to_string();
        let open = |source| Unusable::Open { device: name(), source };
        let file = File::options().read(true).write(true).open(&device.path).map_err(open)?;
        if device.bytes <= DUMP_ALIGN {
            return Err(Unusable::TooSmall { device: name(), bytes: device.bytes });
        }
        if let Some(content) = signatures::content(&file).map_err(open)? {
            return Err(Unusable::InUse { device: name(), content });
        }
        let header = RawHeader { log: None, dump: None, record: record.clone() };
        Ok(Self { file, device: device.clone(), header })
    }

    fn place(&self, offset: u64) -> Place {
        Place {
            path: self.device.path.clone(),
            offset,
            room: self.device.bytes.saturating_sub(offset),
            is_partition: true,
        }
    }

    fn write_header(&self) -> io::Result<()> {
        let write = || {
            self.file.write_all_at(&self.header.to_bytes(), 0)?;
            self.file.sync_data()
        };
        // An error of the dump's own writes is reported here, too, once.
        write().or_else(|_| write())
    }
}

impl Target for Partition {
    fn name(&self) -> String {
        self.device.path.display().to_string()
    }

    fn log_place(&self) -> Place {
        self.place(LOG_OFFSET)
    }

    fn log_saved(&mut self, bytes: u64) -> io::Result<()> {
        self.header.log = Some(Extent { offset: LOG_OFFSET, len: bytes });
        self.write_header()
    }

    fn dump_place(&mut self, _: &Step) -> Place {
        let log = self.header.log.map_or(LOG_OFFSET, |log| log.offset + log.len);
        let place = self.place(log.next_multiple_of(DUMP_ALIGN));
        self.header.dump = Some(Extent { offset: place.offset, len: place.room });
        place
    }

    fn dump_saved(&mut self, _: &Step, dump: &Dump) -> io::Result<()> {
        if let Some(extent) = &mut self.header.dump {
            extent.len = dump.bytes;
        }
        // The record, which follows, says that it is complete.
        Ok(())
    }

    fn note(&mut self, record: &Record) -> io::Result<()> {
        self.header.record = record.clone();
        self.write_header()
    }

    fn remove_earlier(&mut self, _: Keep) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture_init::{Format, RAW_HEADER_LEN, State};
    use std::fs;

    fn device(bytes: u64) -> (tempfile::TempDir, Device) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vdb1");
        File::create(&path).unwrap().set_len(bytes).unwrap();
        (dir, Device { name: "vdb1".into(), path, bytes })
    }

    fn header(device: &Device) -> RawHeader {
        RawHeader::parse(&fs::read(&device.path).unwrap()[..RAW_HEADER_LEN]).unwrap()
    }

    #[test]
    fn header_leads_to_log_and_dump() {
        let (_dir, device) = device(8 << 20);
        let mut record = Record::new(7, 0);
        let mut partition = Partition::open(&device, &record).unwrap();
        partition.note(&record).unwrap();
        assert_eq!(partition.log_place().offset, LOG_OFFSET);
        partition.log_saved(DUMP_ALIGN).unwrap();
        let place = partition.dump_place(&Step::Copy);
        assert_eq!((place.offset, place.room), (2 << 20, 6 << 20), "after the log, aligned");
        partition.note(&record).unwrap();
        assert_eq!(header(&device).dump, Some(Extent { offset: 2 << 20, len: 6 << 20 }));
        record.state = State::Complete;
        partition
            .dump_saved(&Step::Copy, &Dump { format: Format::Elf, bytes: 5, pages: None })
            .unwrap();
        partition.note(&record).unwrap();
        let header = header(&device);
        assert_eq!(header.log, Some(Extent { offset: LOG_OFFSET, len: DUMP_ALIGN }));
        assert_eq!(header.dump, Some(Extent { offset: 2 << 20, len: 5 }));
        assert_eq!(header.record, record);
    }

    #[test]
    fn partition_with_a_filesystem_is_refused_and_unchanged() {
        let (_dir, device) = device(8 << 20);
        let file = File::options().write(true).open(&device.path).unwrap();
        file.write_all_at(b"\x53\xef", 0x438).unwrap();
        let before = fs::read(&device.path).unwrap();
        let error = Partition::open(&device, &Record::new(7, 0)).unwrap_err();
        assert!(error.to_string().contains("ext4 filesystem"), "{error}");
        assert_eq!(fs::read(&device.path).unwrap(), before);
    }

    #[test]
    fn earlier_dump_is_overwritten() {
        let (_dir, device) = device(8 << 20);
        let record = Record::new(7, 0);
        Partition::open(&device, &record).unwrap().note(&record).unwrap();
        let later = Record::new(8, 0);
        Partition::open(&device, &later).unwrap().note(&later).unwrap();
        assert_eq!(header(&device).record, later);
    }

    #[test]
    fn partition_that_is_too_small_is_refused() {
        let (_dir, device) = device(DUMP_ALIGN);
        let error = Partition::open(&device, &Record::new(7, 0)).unwrap_err();
        assert!(matches!(error, Unusable::TooSmall { .. }), "{error}");
    }
}
