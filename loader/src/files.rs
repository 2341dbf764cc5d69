//! `[0b]` Reads the capture kernel and its initrd, if they can fit the crash region.
//!
//! *On entry*
//! * two paths and the crash region.
//!
//! *On exit*
//! * each file's bytes, as they were at one moment;
//! * the initrd begins like an initramfs.
//!
//! Sizes come first. The first 64 KiB of the kernel and the length of the initrd suffice to reject
//! files that are too large.

pub mod identity; // which file it is
#[allow(unsafe_code)]
pub mod writers; // whether a process has it open for writing
pub mod read; // its bytes, as they were at one moment
pub mod initrd; // how an initrd must begin

use std::path::Path;

use crate::kernel::{self, Measure, uki};
use crate::phys::PhysRange;
use crate::place::suggested_mib;
use read::{Content, Opened, all};

/// Bytes at the start of a kernel's file that hold every header with a size, in any format.
pub(crate) const HEAD: u64 = 64 << 10;
/// Bytes that no kernel's file exceeds, not even with all its debug information.
const LARGEST_KERNEL: u64 = 2 << 30;

/// How many bytes of a kernel's file to read, from its start; `None` for all of them.
pub fn wanted(kernel: &Opened) -> Result<Option<u64>, read::Error> {
    Ok(kernel::measure(&kernel.head(HEAD)?).wanted)
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of them cannot be read.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// The initrd's file is not an initrd.
    #[error(transparent)]
    Initrd(#[from] initrd::Error),
    /// They cannot fit the crash region.
    #[error(
        "the crash region {region} is too small: the capture kernel needs {kernel} bytes ({} MiB) \
         and its initrd {initrd} bytes ({} MiB), but the region has {} bytes ({} MiB); boot this \
         kernel with crashkernel={suggested_mib}M or more, or use a smaller initrd",
        kernel.div_ceil(1 << 20), initrd.div_ceil(1 << 20), region.len(), region.len() >> 20
    )]
    TooLarge {
        /// The crash region.
        region: PhysRange,
        /// Bytes of memory that the kernel needs at least.
        kernel: u64,
        /// Bytes of the initrd.
        initrd: u64,
        /// A size for `crashkernel=`, in MiB.
        suggested_mib: u64,
    },
}

/// Both files, read.
#[derive(Debug)]
pub struct Files {
    /// The capture kernel.
    pub kernel: Content,
    /// The initrd, if one was named.
    pub initrd: Option<Content>,
}

impl Files {
    /// Reads both files. `region` is the crash region.
    pub fn read(kernel: &Path, initrd: Option<&Path>, region: PhysRange) -> Result<Self, Error> {
        let kernel = Opened::new("capture kernel", kernel)?;
        let initrd = initrd.map(|path| Opened::new("initrd", path)).transpose()?;
        let Measure { memory, initrd: inside, .. } = kernel::measure(&kernel.head(HEAD)?);
        let initrd_len = initrd.as_ref().map_or(inside, Opened::len);
        let needed = memory.saturating_add(initrd_len);
        if needed > region.len() {
            let suggested_mib = suggested_mib(needed);
            return Err(Error::TooLarge {
                region,
                kernel: memory,
                initrd: initrd_len,
                suggested_mib,
            });
        }
        let initrd = initrd.map(|initrd| initrd.read(all, region.len())).transpose()?;
        let files = Self { kernel: kernel.read(wanted, LARGEST_KERNEL)?, initrd };
        match (&files.initrd, uki::defaults(&files.kernel.input.bytes).initrd) {
            (Some(Content { input, .. }), _) => initrd::check(&input.path, &input.bytes)?,
            (None, Some(inside)) => initrd::check(&files.kernel.input.path, inside)?,
            (None, None) => {}
        }
        Ok(files)
    }
}
