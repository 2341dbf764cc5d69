//! [0b] The capture kernel and its initrd: measured against the crash region, then read.
//!
//! *On entry* two paths and the crash region. *On exit* both files, each as it was at one moment,
//! and sure to begin an initramfs; or an error. Sizes come first: what cannot fit is refused from
//! the first 64 KiB of the kernel and the initrd's length.

pub mod read; // a file as it was at one moment, and which file that was
pub mod identity; // which file it was
pub mod initrd; // what an initrd must begin with

use std::path::Path;

use crate::kernel::{self, Measure, uki};
use crate::phys::PhysRange;
use crate::place::suggested_mib;
use read::{Content, Opened, all};

/// Enough for every header that tells how large a kernel is.
pub(crate) const HEAD: u64 = 64 << 10;
/// More than any kernel's file, one with all its debug information included.
const LARGEST_KERNEL: u64 = 2 << 30;

/// How many first bytes of a kernel's file are of use, all of it if it does not say.
pub fn wanted(kernel: &Opened) -> Result<Option<u64>, read::Error> {
    Ok(kernel::measure(&kernel.head(HEAD)?).wanted)
}

/// Why there are no files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One cannot be read.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// The initrd is none.
    #[error(transparent)]
    Initrd(#[from] initrd::Error),
    /// They cannot fit.
    #[error(
        "the crash region {region} is too small: the capture kernel needs {kernel} bytes ({} MiB) and its initrd \
         {initrd} bytes ({} MiB), but the region has {} bytes ({} MiB); boot this kernel with \
         crashkernel={suggested_mib}M or more, or use a smaller initrd",
        kernel.div_ceil(1 << 20), initrd.div_ceil(1 << 20), region.len(), region.len() >> 20
    )]
    TooLarge {
        /// The crash region.
        region: PhysRange,
        /// Bytes of memory that the kernel takes.
        kernel: u64,
        /// Bytes of the initrd.
        initrd: u64,
        /// A size to reserve, in MiB.
        suggested_mib: u64,
    },
}

/// Both files.
#[derive(Debug)]
pub struct Files {
    /// The capture kernel.
    pub kernel: Content,
    /// The initrd that was named.
    pub initrd: Option<Content>,
}

impl Files {
    /// Reads them, if they can fit into `region`.
    pub fn read(kernel: &Path, initrd: Option<&Path>, region: PhysRange) -> Result<Self, Error> {
        let kernel = Opened::new("capture kernel", kernel)?;
        let initrd = initrd.map(|path| Opened::new("initrd", path)).transpose()?;
        let Measure { memory, initrd: inside, .. } = kernel::measure(&kernel.head(HEAD)?);
        let initrd_len = initrd.as_ref().map_or(inside, Opened::len);
        let needed = memory.saturating_add(initrd_len);
        if needed > region.len() {
            let suggested_mib = suggested_mib(needed);
            return Err(Error::TooLarge { region, kernel: memory, initrd: initrd_len, suggested_mib });
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
