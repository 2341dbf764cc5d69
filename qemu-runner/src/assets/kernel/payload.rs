//! vmlinux inside of a bzImage: where the setup header says, compressed, with its length after it.
//!
//! arch/x86/boot/compressed/Makefile appends the length to what the compressor made (`size_append`,
//! scripts/Makefile.lib); gzip writes the same by itself.

use std::io::{self, Read};
use std::path::Path;

use loader::kernel;
use loader::kernel::bzimage::SETUP_HEADER_AT;
use loader::request::InputFile;
use object::elf::ELFMAG;

use crate::error::{Error, with_causes};
use crate::host;

/// `payload_offset` and `payload_length`, counted from the beginning of the protected-mode code
/// (boot.rst, offsets in the file).
const PAYLOAD_OFFSET_AT: usize = 0x248;
const PAYLOAD_LENGTH_AT: usize = 0x24c;
const LENGTH_LEN: usize = 4;

/// How a kernel may be compressed: name, how it begins, and how it is unpacked.
type Format = (&'static str, &'static [u8], fn(&[u8], &mut Vec<u8>) -> io::Result<usize>);

/// Those that Debian has used for kernels. To add one: a row.
const FORMATS: &[Format] = &[
    ("zstd", b"\x28\xb5\x2f\xfd", |packed, into| {
        ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?.read_to_end(into)
    }),
    ("xz", b"\xfd7zXZ\0", |packed, into| {
        lzma_rust2::XzReader::new(packed, false).read_to_end(into)
    }),
    ("gzip", b"\x1f\x8b", |packed, into| flate2::read::GzDecoder::new(packed).read_to_end(into)),
];

/// The kernel in a bzImage.
pub fn vmlinux(bzimage: &InputFile) -> Result<Vec<u8>, Error> {
    let kernel = kernel::parse(bzimage).map_err(|error| Error::Host(with_causes(&error, ": ")))?;
    // The loader takes no protocol so old that it does not have the fields (2.08).
    let field = |at: usize| {
        let bytes = kernel.setup_header[at - SETUP_HEADER_AT..]
            .first_chunk()
            .expect("fields before the last that the loader reads");
        u32::from_le_bytes(*bytes) as usize
    };
    let (offset, len) = (field(PAYLOAD_OFFSET_AT), field(PAYLOAD_LENGTH_AT));
    let payload = kernel.payload.get(offset..).and_then(|rest| rest.get(..len));
    let outside = || format!("its payload of {len:#x} bytes at {offset:#x} is not in the file");
    payload.ok_or_else(outside).and_then(unpacked).map_err(Error::Host)
}

/// A kernel module, unpacked if its file is compressed.
pub fn module(path: &Path) -> Result<Vec<u8>, Error> {
    let file = host::read(path)?;
    let Some((.., unpack)) = FORMATS.iter().find(|(_, magic, _)| file.starts_with(magic)) else {
        return Ok(file);
    };
    let mut module = Vec::new();
    unpack(&file, &mut module).map_err(Error::file("unpack", path))?;
    Ok(module)
}

/// The vmlinux that a payload is unpacked to, or why there is none.
fn unpacked(payload: &[u8]) -> Result<Vec<u8>, String> {
    let format = FORMATS.iter().find(|(_, magic, _)| payload.starts_with(magic));
    let (format, _, unpack) = format.ok_or_else(|| {
        let known = FORMATS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
        let found = &payload[..payload.len().min(6)];
        format!("its payload begins with {found:02x?}: it is not compressed with {known}")
    })?;
    let mut vmlinux = Vec::new();
    unpack(payload, &mut vmlinux)
        .map_err(|error| format!("its {format} payload is damaged: {error}"))?;
    let said = payload.last_chunk::<LENGTH_LEN>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if vmlinux.len() != said as usize || !vmlinux.starts_with(&ELFMAG) {
        let len = vmlinux.len();
        return Err(format!(
            "its payload is unpacked to {len} bytes, not to an ELF file of {said}"
        ));
    }
    Ok(vmlinux)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn payload_is_unpacked_only_if_all_of_a_vmlinux_comes_out() {
        let original = [&ELFMAG[..], &[7; 5000]].concat();
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(&original).unwrap();
        let gzip = writer.finish().unwrap();
        assert_eq!(unpacked(&gzip), Ok(original));
        assert!(unpacked(&gzip[..gzip.len() / 2]).unwrap_err().contains("gzip payload is damaged"));
        let wrong = [&gzip[..], &7_u32.to_le_bytes()].concat();
        assert!(unpacked(&wrong).unwrap_err().contains("an ELF file of 7"));
        assert!(unpacked(b"\x02\x21\x4c\x18 of lz4").unwrap_err().contains("zstd, xz, gzip"));
    }
}
