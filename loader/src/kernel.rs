//! `[2]` The capture kernel: its setup header and its payload, taken out of its file.
//!
//! *On entry*
//! * a file's bytes, in any format.
//!
//! *On exit*
//! * a [`CaptureKernel`], which the 64-bit boot protocol can start at any physical address; or an
//!   error that says what the file is instead.

use std::borrow::Cow;
use std::path::PathBuf;

use object::elf::ELFMAG;

use crate::request::InputFile;

pub mod bzimage;
pub mod uki;
pub mod vmlinux;
pub(crate) mod uapi; // the structures of the boot protocol
mod release;

pub use release::release;

/// A kernel that can be placed. It borrows bytes from the file where the file has them as they are
/// loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureKernel<'a> {
    /// The whole kernel, as kexec_file_load(2) accepts it: the file, or the part of the file that
    /// is a kernel.
    pub file: &'a [u8],
    /// The setup header, which begins at offset 0x1f1 of a bzImage. `boot_params` has it at the
    /// same offset.
    pub setup_header: Cow<'a, [u8]>,
    /// The bytes to load: the protected-mode part of a bzImage, or the segments of a vmlinux.
    pub payload: Cow<'a, [u8]>,
    /// Bytes that the kernel needs at its load address, including the payload (`init_size`).
    pub init_size: u64,
    /// The alignment of its load address (`kernel_alignment`), a power of two.
    pub alignment: u64,
    /// The lowest load address (`pref_address`). Below it, the kernel would move itself up, out of
    /// its segment.
    pub pref_address: u64,
    /// The longest command line that it reads, in bytes without the NUL (`cmdline_size`).
    pub cmdline_size: u32,
    /// The boot protocol's version, 0x020f for 2.15.
    pub version: u16,
    /// `xloadflags`; see [`bzimage`] for the bits.
    pub xloadflags: u16,
    /// Offset of the 64-bit entry point from the load address.
    pub entry_offset: u64,
}

/// A file format of kernels. A new one needs a module beside [`bzimage`], and a row in [`FORMATS`].
pub struct Format {
    /// Its name in messages.
    pub name: &'static str,
    /// Whether a file is, or claims to be, of this format.
    pub probe: fn(&[u8]) -> bool,
    /// Measures a kernel by the head of its file; `None` if the head already shows that it is not
    /// usable.
    pub measure: fn(&[u8]) -> Option<Measure>,
    /// Takes the kernel out of a file for which `probe` is true.
    pub parse: fn(&[u8]) -> Result<CaptureKernel<'_>, Defect>,
}

/// All formats, in the order in which they are tried.
pub const FORMATS: &[Format] = &[uki::FORMAT, vmlinux::FORMAT, bzimage::FORMAT];

/// The name of the format that `bytes` have, or claim to have.
pub fn format_of(bytes: &[u8]) -> Option<&'static str> {
    FORMATS.iter().find(|format| (format.probe)(bytes)).map(|format| format.name)
}

/// The sizes that the head of a kernel's file shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Bytes of the file that must be read; `None` for all.
    pub wanted: Option<u64>,
    /// Bytes of memory that the kernel needs at least.
    pub memory: u64,
    /// Bytes of the embedded initrd.
    pub initrd: u64,
}

/// Measures a kernel by the head of its file. If the file is not a kernel, only the head must be
/// read, because the head suffices for the error.
pub fn measure(head: &[u8]) -> Measure {
    let format = FORMATS.iter().find(|format| (format.probe)(head));
    let measured = format.and_then(|format| (format.measure)(head));
    // Headers of ELF and PE files can be anywhere in the file.
    let elsewhere = format.is_none() && (head.starts_with(&ELFMAG) || head.starts_with(b"MZ"));
    measured.unwrap_or(Measure {
        wanted: (!elsewhere).then_some(head.len() as u64),
        ..Measure::default()
    })
}

/// Takes the kernel out of `file`, in any of [`FORMATS`].
pub fn parse(file: &InputFile) -> Result<CaptureKernel<'_>, Error> {
    let bytes = file.bytes.as_slice();
    let parsed = match FORMATS.iter().find(|format| (format.probe)(bytes)) {
        _ if bytes.is_empty() => Err(Defect::Empty),
        Some(format) => (format.parse)(bytes),
        None => Err(Defect::UnknownFormat { found: describe(bytes), known: known_formats() }),
    };
    parsed.map_err(|defect| Error { path: file.path.clone(), defect })
}

fn known_formats() -> String {
    FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(" or ")
}

/// Files that are passed as a kernel by mistake: signature, what the file is, and what to do.
const FOREIGN: &[(&[u8], &str)] = &[
    (
        &ELFMAG,
        "an ELF file other than a vmlinux for x86-64: no segment is mapped where Linux maps itself",
    ),
    (b"\x1f\x8b", "gzip-compressed data; unpack it with gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data; unpack it with unzstd"),
    (b"\xfd7zXZ\0", "xz-compressed data; unpack it with unxz"),
    (b"BZh", "bzip2-compressed data; unpack it with bunzip2"),
    (b"\x04\x22\x4d\x18", "lz4-compressed data; unpack it with unlz4"),
    (b"070701", "a cpio archive, perhaps the initrd"),
];

/// Offset of the offset of the PE header in an executable that begins with `MZ` (PE/COFF
/// specification, "MS-DOS Stub").
const PE_OFFSET_AT: usize = 0x3c;

fn describe(bytes: &[u8]) -> &'static str {
    if let Some((_, found)) = FOREIGN.iter().find(|(signature, _)| bytes.starts_with(signature)) {
        return found;
    }
    let pe_offset = bytes
        .get(PE_OFFSET_AT..)
        .and_then(|rest| rest.first_chunk())
        .map(|offset| u32::from_le_bytes(*offset) as usize);
    let pe_header =
        pe_offset.and_then(|offset| bytes.get(offset..)).filter(|_| bytes.starts_with(b"MZ"));
    if pe_header.is_some_and(|header| header.starts_with(b"PE\0\0")) {
        return "an EFI program that is not a unified kernel image: it has no section .linux";
    }
    "data of an unknown format"
}

/// A file that is not a usable kernel.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be the capture kernel", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub defect: Defect,
}

/// What is wrong with a kernel file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// It has no bytes.
    #[error("the file is empty: copy it again")]
    Empty,
    /// It ends in the middle of a part.
    #[error(
        "it is truncated, or not a bzImage: the file ends at {len:#x}, but {part} ends at \
         {end:#x}; copy it again"
    )]
    Truncated {
        /// Its length in bytes.
        len: usize,
        /// The part that is cut.
        part: &'static str,
        /// Offset of that part's end.
        end: u64,
    },
    /// It is of no format that the loader reads.
    #[error("it is not a {known}, but {found}")]
    UnknownFormat {
        /// What it is instead.
        found: &'static str,
        /// The formats that were tried.
        known: String,
    },
    /// kexec_file_load(2) does not accept its format.
    #[error(
        "kexec_file_load accepts bzImages only: use kexec_load, or the bzImage of the same kernel"
    )]
    NotForKernel,
    /// The segments of a vmlinux cannot be loaded as they are.
    #[error(
        "{what} ({at:#x}): it is damaged, or not a kernel that can run at any address; use the \
         bzImage of the same kernel"
    )]
    Segments {
        /// What is wrong.
        what: &'static str,
        /// The physical address concerned.
        at: u64,
    },
    /// The segments of a vmlinux hold no code.
    #[error(
        "its entry point ({entry:#x}) holds no code: the file has debug information only, as after \
         objcopy --only-keep-debug; use the kernel that it belongs to"
    )]
    WithoutCode {
        /// The entry point.
        entry: u64,
    },
    /// Something is wrong with the kernel that is embedded in it.
    #[error("in its {section} section: {defect}")]
    Inside {
        /// The section that holds the kernel.
        section: &'static str,
        /// What is wrong with its content.
        defect: Box<Defect>,
    },
    /// A field whose value is the same in every kernel has another value.
    #[error(
        "its {field} at offset {offset:#x} is {found:#x} instead of {expected:#x}: it is damaged, \
         or not a bzImage; copy it again"
    )]
    Damaged {
        /// Name in boot.rst.
        field: &'static str,
        /// File offset.
        offset: usize,
        /// What it should be.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// The boot protocol is too old.
    #[error(
        "its boot protocol is {}.{:02}, but the loader needs {}.{:02} (Linux 3.8) or newer: use a \
         newer kernel",
        found >> 8, found & 0xff, needed >> 8, needed & 0xff
    )]
    OldProtocol {
        /// `version`.
        found: u16,
        /// The oldest that the loader accepts.
        needed: u16,
    },
    /// It is a zImage.
    #[error(
        "it is a zImage, which must be loaded below 1 MiB (loadflags {loadflags:#04x} lack \
         LOADED_HIGH): use a bzImage"
    )]
    LoadedLow {
        /// `loadflags`.
        loadflags: u8,
    },
    /// It has no 64-bit entry point.
    #[error(
        "it is a 32-bit kernel (xloadflags {xloadflags:#06x} lack XLF_KERNEL_64): use a 64-bit one \
         (amd64)"
    )]
    Only32Bit {
        /// `xloadflags`.
        xloadflags: u16,
    },
    /// It runs only where it was linked, or only below 4 GiB.
    #[error(
        "it cannot run at any address, as a capture kernel must (it lacks {lacks}): use one built \
         with CONFIG_RELOCATABLE"
    )]
    NotRelocatable {
        /// The missing property, by its name in boot.rst.
        lacks: &'static str,
    },
    /// Its alignment is not a power of two.
    #[error(
        "its kernel_alignment is {found:#x}, which is not a power of two: it is damaged; copy it \
         again"
    )]
    Alignment {
        /// `kernel_alignment`.
        found: u32,
    },
    /// Its setup header has an impossible length.
    #[error(
        "its setup header ends at {end:#x}, outside {least:#x} to {most:#x}: it is damaged; copy \
         it again"
    )]
    HeaderLength {
        /// 0x202 plus the byte at 0x201.
        end: usize,
        /// The end of the last field that the loader needs.
        least: usize,
        /// The start of the next field in `struct boot_params`.
        most: usize,
    },
    /// It says that it needs less memory than its payload takes.
    #[error(
        "its init_size is {init_size:#x}, less than its payload of {payload:#x} bytes: it is \
         damaged; copy it again"
    )]
    InitSize {
        /// `init_size`.
        init_size: u64,
        /// Bytes of its payload.
        payload: u64,
    },
}

#[cfg(test)]
mod tests;
