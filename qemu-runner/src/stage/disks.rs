//! The images of a machine's disks.
//!
//! * On exit: each has a GPT and one partition, which is empty or has a new filesystem.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::SetupDisk;
use crate::assets::GuestProgram;
use crate::context::Context;
use crate::error::Error;
use crate::guest::setup::Content;
use crate::machine::disk::{self, Disk, PARTITION_AT};

/// Disks of a machine at most.
pub(super) const MOST: usize = 4;
/// Bytes at a time. Where all of them are zero, the image has a hole.
const CHUNK: usize = 1 << 16;

/// The image of a disk in its machine's directory.
pub(crate) fn name(number: usize) -> String {
    format!("disk{number}")
}

/// Makes them.
pub(super) fn make(
    context: &Context,
    wanted: &[SetupDisk],
    directory: &Path,
) -> Result<Vec<Disk>, Error> {
    let disk = |(number, wanted): (usize, &SetupDisk)| {
        let image = directory.join(name(number));
        let partition = disk::partitioned(&image, number, wanted.mib)?;
        let make: Option<(&GuestProgram, &[&str])> = match wanted.content {
            Content::Nothing => None,
            Content::Ext4 => Some((context.mke2fs()?, &["-q", "-F", "-t", "ext4"])),
            Content::Ext4Quota => {
                Some((context.mke2fs()?, &["-q", "-F", "-t", "ext4", "-O", "quota"]))
            }
            Content::Xfs => Some((context.mkfs_xfs()?, &["-q"])),
        };
        if let Some((program, arguments)) = make {
            fill(&image, partition, program, arguments)?;
        }
        let broken_at = wanted.broken_at.map(|at| PARTITION_AT + at);
        Ok(Disk { image, bus: wanted.bus, serial: format!("disk-{number}"), broken_at })
    };
    wanted.iter().enumerate().map(disk).collect()
}

/// Makes a filesystem in a file of its own, and puts it into the partition.
fn fill(image: &Path, len: u64, program: &GuestProgram, arguments: &[&str]) -> Result<(), Error> {
    let path = image.with_extension("partition");
    let made = File::create(&path).and_then(|file| file.set_len(len));
    made.map_err(Error::file("create", &path))?;
    let output = program.on_host().args(arguments).arg(&path).output();
    let output = output.map_err(Error::file("run", Path::new(&program.program)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Host(format!("{}: {}", program.program, said.trim())));
    }
    copy(&path, image).map_err(Error::file("write", image))?;
    fs::remove_file(&path).map_err(Error::file("remove", &path))
}

/// Copies a filesystem into the partition of an image.
pub(super) fn copy(from: &Path, image: &Path) -> io::Result<()> {
    let (mut from, to) = (File::open(from)?, File::options().write(true).open(image)?);
    let (mut chunk, mut offset) = (vec![0; CHUNK], PARTITION_AT);
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        if chunk[..read].iter().any(|&byte| byte != 0) {
            to.write_all_at(&chunk[..read], offset)?;
        }
        offset += read as u64;
    }
}
