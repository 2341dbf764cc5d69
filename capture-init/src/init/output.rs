//! Where a step writes: a new file, or a partition from some offset on.
//!
//! *On entry* a [`Place`]. *On exit* an output that counts offsets from the place's first byte. It
//! never writes more than the place has room for, and never past a partition's room.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rustix::fs::{FallocateFlags, fallocate};
use vmcore_filter::Output;

use crate::alive;
use crate::step::Place;

/// Memory has keys and passwords in it: only root may read a file with a part of it.
pub const FILE_MODE: u32 = 0o600;
/// A partition can be zeroed in whole logical blocks only (`blkdev_fallocate`, block/fops.c). Those
/// of disks have 512 or 4096 bytes.
const BLOCK: u64 = 4096;
/// The descriptors of 12 TiB are 72 GiB, which some disks need minutes to zero. After each part,
/// /init knows that it goes on.
const ZEROED_AT_ONCE: u64 = 256 << 20;

/// An open place.
#[derive(Debug)]
pub struct Target {
    file: File,
    place: Place,
    /// Bytes that were written, those that were written twice counted twice.
    written: u64,
}

impl Target {
    /// Opens it. A file that exists is emptied.
    pub fn open(place: &Place) -> io::Result<Self> {
        let is_file = !place.is_partition;
        let file = File::options()
            .read(true)
            .write(true)
            .create(is_file)
            .truncate(is_file)
            .mode(FILE_MODE)
            .open(&place.path)?;
        Ok(Self { file, place: place.clone(), written: 0 })
    }

    /// Ends the output after `bytes`, and waits until they are on the medium.
    pub fn finish(mut self, bytes: u64) -> io::Result<()> {
        if !self.place.is_partition {
            self.file.set_len(bytes)?;
        }
        self.sync()
    }

    /// Whether a range that was never written reads as zeroes.
    pub fn begins_empty(&self) -> bool {
        !self.place.is_partition
    }

    /// The offset in the file or partition. A file can be longer than its room, because it has
    /// holes.
    fn at(&self, offset: u64, len: u64) -> io::Result<u64> {
        let end = offset.saturating_add(len);
        match self.place.is_partition && end > self.place.room {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(self.place.offset + offset),
        }
    }
}

impl Output for Target {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = self.at(offset, bytes.len() as u64)?;
        self.written += bytes.len() as u64;
        // A partition's room is where it ends.
        if !self.place.is_partition && self.written > self.place.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, at)?;
        alive::sign();
        Ok(())
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let at = self.at(offset, bytes.len() as u64)?;
        self.file.read_exact_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        if self.begins_empty() {
            return self.file.zero(offset, len);
        }
        let mut at = self.at(offset, len)?;
        let end = at + len;
        while at < end {
            let next = end.min((at / ZEROED_AT_ONCE + 1) * ZEROED_AT_ONCE);
            zero(&mut self.file, at, next)?;
            alive::sign();
            at = next;
        }
        Ok(())
    }
}

/// Zeroes a part of a partition.
fn zero(partition: &mut File, from: u64, to: u64) -> io::Result<()> {
    let (first, end) = (from.next_multiple_of(BLOCK), to / BLOCK * BLOCK);
    // Disks do it without moving data. If this one cannot, zeroes are written.
    let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
    if first >= end || fallocate(&*partition, flags, first, end - first).is_err() {
        return partition.zero(from, to - from);
    }
    partition.zero(from, first - from)?;
    partition.zero(end, to - end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn partition(room: u64) -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vdb1");
        fs::write(&path, [0xee; 16384]).unwrap();
        (dir, Place { path, offset: 4096, room, is_partition: true })
    }

    #[test]
    fn partition_keeps_what_is_around_the_dump() {
        let (_dir, place) = partition(8192);
        let mut target = Target::open(&place).unwrap();
        target.write_at(0, b"dump").unwrap();
        target.zero(4, 4).unwrap();
        target.finish(8).unwrap();
        let bytes = fs::read(&place.path).unwrap();
        assert_eq!(bytes.len(), 16384);
        assert!(bytes[..4096].iter().chain(&bytes[4104..]).all(|&byte| byte == 0xee));
        assert_eq!(&bytes[4096..4104], b"dump\0\0\0\0");
    }

    #[test]
    fn zeroes_are_where_they_were_asked_for_in_whole_blocks_and_beside_them() {
        for (offset, len) in [(0, 8192), (1, 8191), (100, 4000), (4090, 4100), (4096, 4095)] {
            let (_dir, place) = partition(8192);
            let mut target = Target::open(&place).unwrap();
            target.zero(offset, len).unwrap();
            let bytes = fs::read(&place.path).unwrap();
            let zeroes = 4096 + offset as usize..4096 + (offset + len) as usize;
            let is_right = |(at, &byte): (usize, &u8)| (byte == 0) == zeroes.contains(&at);
            assert!(bytes.iter().enumerate().all(is_right), "{offset} {len}");
        }
    }

    #[test]
    fn partition_has_room_for_what_is_written_again() {
        let (_dir, place) = partition(8192);
        let mut target = Target::open(&place).unwrap();
        (0..3).for_each(|_| target.write_at(0, &[1; 8192]).unwrap());
    }

    #[test]
    fn write_past_the_room_is_refused_as_full() {
        let (_dir, place) = partition(8192);
        let mut target = Target::open(&place).unwrap();
        target.write_at(8188, b"dump").unwrap();
        for error in [target.write_at(8189, b"dump"), target.zero(0, 8193)] {
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
        assert_eq!(fs::read(&place.path).unwrap()[12288], 0xee);
    }

    #[test]
    fn file_is_full_when_its_room_is_written_and_only_root_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmcore.incomplete");
        let place = Place { path, offset: 0, room: 6, is_partition: false };
        let mut target = Target::open(&place).unwrap();
        // Holes take no room.
        target.write_at(1 << 20, b"dump").unwrap();
        let error = target.write_at(0, b"more").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let mode = fs::metadata(&place.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, FILE_MODE);
    }

    #[test]
    fn file_is_emptied_and_ends_where_the_dump_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmcore.incomplete");
        fs::write(&path, [0xee; 100]).unwrap();
        let place = Place { path, offset: 0, room: 20, is_partition: false };
        let mut target = Target::open(&place).unwrap();
        target.zero(0, 64).unwrap();
        target.write_at(4, b"dump").unwrap();
        target.finish(10).unwrap();
        assert_eq!(fs::read(&place.path).unwrap(), b"\0\0\0\0dump\0\0");
    }
}
