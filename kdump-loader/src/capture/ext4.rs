//! `[2b]` What an ext4 needs besides its own module.
//!
//! *On entry* the device with the filesystem, which is mounted. *On exit* the modules that the
//! kernel requests through modprobe(8) while it mounts it for writing: the initrd has no modprobe,
//! so /init must load them before. An ext4 whose journal is on another device is refused, because
//! no list of mounts shows that.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::disk::Disk;
use super::error::{Error, Refused};
use super::modules::Index;
use crate::health::files::Files;

/// Where the superblock is, and where its fields are in it (`struct ext4_super_block`,
/// fs/ext4/ext4.h).
pub const SUPERBLOCK: u64 = 1024;
pub const MAGIC_AT: usize = 0x38;
pub const COMPATIBLE_AT: usize = 0x5c;
pub const INCOMPATIBLE_AT: usize = 0x60;
pub const READ_ONLY_COMPATIBLE_AT: usize = 0x64;
pub const JOURNAL_INODE_AT: usize = 0xe0;
const LEN: usize = 1024;
/// `EXT4_SUPER_MAGIC`.
pub const MAGIC: u16 = 0xef53;
/// `EXT4_FEATURE_COMPAT_HAS_JOURNAL`.
pub const HAS_JOURNAL: u32 = 0x4;
/// `EXT4_FEATURE_RO_COMPAT_QUOTA`: the kernel keeps quotas, and does so from the mount on.
pub const QUOTA: u32 = 0x100;
/// `EXT4_FEATURE_INCOMPAT_CASEFOLD`: names are compared without regard to case.
pub const CASEFOLD: u32 = 0x2_0000;

/// The format of ext4's quotas (`module_names`, include/linux/quota.h), with which a kernel that
/// lacks it refuses to mount.
const QUOTA_FORMAT: &str = "quota_v2";
/// The tables of Unicode (`utf8_load`, fs/unicode/utf8-core.c). Before Linux 5.17 they are part of
/// the kernel, and no list of depmod has them.
const UNICODE: &str = "utf8data";

/// The modules, with what each is in messages.
pub fn modules(
    files: Files<'_>,
    disk: &Disk,
    index: &Index,
) -> Result<Vec<(&'static str, &'static str)>, Error> {
    let path = files.outside(disk.node());
    let mut superblock = [0; LEN];
    File::open(&path)
        .and_then(|device| device.read_exact_at(&mut superblock, SUPERBLOCK))
        .and_then(|()| expect_magic(&superblock))
        .map_err(|source| Error::Read { path, source })?;
    let field = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| superblock[at + byte]));
    if field(COMPATIBLE_AT) & HAS_JOURNAL != 0 && field(JOURNAL_INODE_AT) == 0 {
        return Err(Refused::ExternalJournal { device: disk.node() }.into());
    }
    let mut modules = Vec::new();
    if field(READ_ONLY_COMPATIBLE_AT) & QUOTA != 0 {
        modules.push(("quota format", QUOTA_FORMAT));
    }
    if field(INCOMPATIBLE_AT) & CASEFOLD != 0 && index.has(UNICODE) {
        modules.push(("table of Unicode", UNICODE));
    }
    Ok(modules)
}

fn expect_magic(superblock: &[u8]) -> io::Result<()> {
    if superblock[MAGIC_AT..].starts_with(&MAGIC.to_le_bytes()) {
        return Ok(());
    }
    let words = "it is mounted as ext4, and has no superblock of ext4";
    Err(io::Error::new(io::ErrorKind::InvalidData, words))
}
