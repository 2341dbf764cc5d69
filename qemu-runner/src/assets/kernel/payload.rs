//! vmlinux inside of a bzImage: where the setup header says, compressed, with its length after it.
//!
//! arch/x86/boot/compressed/Makefile appends the length to what the compressor made (`size_append`,
//! scripts/Makefile.lib); gzip writes the same by itself.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use loader::kernel;
use loader::kernel::bzimage::SETUP_HEADER_AT;
use loader::request::InputFile;
use object::elf::ELFMAG;

/// `payload_offset` and `payload_length`, counted from the beginning of the protected-mode code
/// (boot.rst, offsets in the file).
const PAYLOAD_OFFSET_AT: usize = 0x248;
const PAYLOAD_LENGTH_AT: usize = 0x24c;
/// Bytes of the length after the payload.
const LENGTH_LEN: usize = 4;

/// How a kernel may be compressed: name, how it begins, and how it is unpacked.
type Format = (&'static str, &'static [u8], fn(&[u8], &mut Vec<u8>) -> io::Result<()>);

/// Those that Debian has used for kernels. To add one: a row.
const FORMATS: &[Format] = &[
    ("zstd", b"\x28\xb5\x2f\xfd", |packed, into| {
        let mut frame =
            ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?;
        frame.read_to_end(into).map(drop)
    }),
    ("xz", b"\xfd7zXZ\0", |packed, into| {
        lzma_rust2::XzReader::new(packed, false).read_to_end(into).map(drop)
    }),
    ("gzip", b"\x1f\x8b", |packed, into| {
        flate2::read::GzDecoder::new(packed).read_to_end(into).map(drop)
    }),
];

/// Why there is no vmlinux.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The loader does not take the bzImage.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The setup header is wrong about the payload.
    #[error("its payload of {len:#x} bytes at {offset:#x} is not in the file")]
    Outside {
        /// `payload_offset`.
        offset: u32,
        /// `payload_length`.
        len: u32,
    },
    /// It is compressed in a way that is not known here.
    #[error("its payload begins with {found:02x?}: it is not compressed with {known}")]
    Compression {
        /// First bytes of the payload.
        found: Vec<u8>,
        /// What could be unpacked.
        known: String,
    },
    /// It cannot be unpacked.
    #[error("its {format} payload is damaged")]
    Damaged {
        /// How it is compressed.
        format: &'static str,
        /// What the unpacker says.
        #[source]
        source: io::Error,
    },
    /// What came out is not what went in.
    #[error("its payload is unpacked to {found} bytes, but its trailer says {said}")]
    Length {
        /// What came out.
        found: usize,
        /// What the kernel's build wrote.
        said: u32,
    },
    /// What came out is no vmlinux.
    #[error("its payload is no ELF file: it begins with {found:02x?}")]
    NotElf {
        /// First bytes.
        found: Vec<u8>,
    },
}

/// The kernel in a bzImage.
pub fn vmlinux(bzimage: &InputFile) -> Result<Vec<u8>, Error> {
    let kernel = kernel::parse(bzimage)?;
    // The loader takes no protocol so old that it does not have the fields (2.08).
    let field = |at: usize| {
        let bytes = kernel.setup_header[at - SETUP_HEADER_AT..]
            .first_chunk()
            .expect("fields before the last that the loader reads");
        u32::from_le_bytes(*bytes)
    };
    let (offset, len) = (field(PAYLOAD_OFFSET_AT), field(PAYLOAD_LENGTH_AT));
    let payload = kernel.payload.get(offset as usize..).and_then(|rest| rest.get(..len as usize));
    unpack(payload.ok_or(Error::Outside { offset, len })?)
}

/// A kernel module, unpacked if its file is compressed.
pub fn module(path: &Path) -> Result<Vec<u8>, crate::Error> {
    let file = fs::read(path).map_err(crate::Error::file("read", path))?;
    let Some((.., unpack)) = FORMATS.iter().find(|(_, magic, _)| file.starts_with(magic)) else {
        return Ok(file);
    };
    let mut module = Vec::new();
    unpack(&file, &mut module).map_err(crate::Error::file("unpack", path))?;
    Ok(module)
}

fn unpack(payload: &[u8]) -> Result<Vec<u8>, Error> {
    let beginning = |bytes: &[u8]| bytes[..bytes.len().min(6)].to_vec();
    let Some((format, _, unpack)) = FORMATS.iter().find(|(_, magic, _)| payload.starts_with(magic))
    else {
        let known = FORMATS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
        return Err(Error::Compression { found: beginning(payload), known });
    };
    let mut vmlinux = Vec::new();
    unpack(payload, &mut vmlinux).map_err(|source| Error::Damaged { format, source })?;
    let said = payload.last_chunk::<LENGTH_LEN>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if vmlinux.len() != said as usize {
        return Err(Error::Length { found: vmlinux.len(), said });
    }
    if !vmlinux.starts_with(&ELFMAG) {
        return Err(Error::NotElf { found: beginning(&vmlinux) });
    }
    Ok(vmlinux)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn original() -> Vec<u8> {
        ELFMAG
            .into_iter()
            .chain((0..50_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 27) as u8))
            .collect()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// As the kernel's build does: CRC32, a filter for x86 code.
    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.check_type = lzma_rust2::CheckType::Crc32;
        options.prepend_pre_filter(lzma_rust2::FilterType::BcjX86, 0);
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn with_length(mut packed: Vec<u8>, len: usize) -> Vec<u8> {
        packed.extend((len as u32).to_le_bytes());
        packed
    }

    #[test]
    fn every_compression_is_undone() {
        let original = original();
        for payload in [
            with_length(zstd(&original), original.len()),
            with_length(xz(&original), original.len()),
            gzip(&original),
        ] {
            assert!(unpack(&payload).unwrap() == original, "{:02x?}", &payload[..4]);
        }
    }

    #[test]
    fn unknown_compression_is_told_with_what_it_begins_with() {
        let error = unpack(b"\x02\x21\x4c\x18 of lz4").unwrap_err();
        assert!(
            matches!(&error, Error::Compression { found, .. } if found.starts_with(&[2, 0x21]))
        );
        assert!(error.to_string().contains("zstd, xz, gzip"), "{error}");
    }

    #[test]
    fn payload_that_is_cut_or_has_another_length_is_refused() {
        let original = original();
        for (packed, format) in
            [(zstd(&original), "zstd"), (xz(&original), "xz"), (gzip(&original), "gzip")]
        {
            let cut = unpack(&packed[..packed.len() / 2]).unwrap_err();
            assert!(
                matches!(cut, Error::Damaged { format: f, .. } if f == format),
                "{format}: {cut}"
            );
        }
        let wrong = unpack(&with_length(zstd(&original), 7)).unwrap_err();
        assert!(
            matches!(wrong, Error::Length { said: 7, found } if found == original.len()),
            "{wrong}"
        );
    }

    #[test]
    fn payload_that_is_no_elf_file_is_refused() {
        let error = unpack(&gzip(b"MZ and so on")).unwrap_err();
        assert!(matches!(&error, Error::NotElf { found } if found == b"MZ and"), "{error}");
    }
}
