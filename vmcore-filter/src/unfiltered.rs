//! Why free pages cannot be told from others.

use std::io;

use printk_ring::vmcoreinfo;

/// Why a dump keeps free pages. It is complete, only larger.
#[derive(Debug, thiserror::Error)]
pub enum Unfiltered {
    /// The vmcore has no note with VMCOREINFO.
    #[error("the vmcore has no VMCOREINFO, so free pages cannot be found")]
    NoVmcoreinfo,
    /// VMCOREINFO lacks a line, or a value is no number.
    #[error(transparent)]
    Vmcoreinfo(#[from] vmcoreinfo::Error),
    /// A value is one that no known kernel has.
    #[error("VMCOREINFO has {key}={value}, which no known kernel has")]
    Unknown {
        /// The line's key.
        key: String,
        /// Its value.
        value: i128,
    },
    /// The page tables do not translate their own address.
    #[error(
        "the page tables at {root:#x} translate their own address {symbol:#x} to {}",
        found.map_or_else(|| "nothing".to_owned(), |found| format!("{found:#x}"))
    )]
    PageTables {
        /// Virtual address of the root, from VMCOREINFO.
        symbol: u64,
        /// Its physical address, computed from `phys_base`.
        root: u64,
        /// Its physical address, from the page tables.
        found: Option<u64>,
    },
    /// The kernel's list of sections does not have the memory of its own page tables.
    #[error("the list of memory sections lacks the one of the page tables at {root:#x}")]
    Sections {
        /// Physical address of the root of the page tables.
        root: u64,
    },
    /// The vmcore cannot be read.
    #[error("cannot read the page tables from the vmcore: {0}")]
    Read(#[from] io::Error),
}

impl Unfiltered {
    pub(crate) fn unknown(key: &str, value: impl Into<i128>) -> Self {
        Self::Unknown { key: key.to_owned(), value: value.into() }
    }
}
