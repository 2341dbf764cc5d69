//! Compressions of initrds: magic numbers and decompressors (`compressed_formats`,
//! lib/decompress.c). bzip2, lzma and lzo are only named, because no current distribution defaults
//! to them.

use std::io::{self, BufRead, Cursor, ErrorKind, Read};

use flate2::bufread::GzDecoder;
use lz4_flex::block::decompress_into;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

/// Length of the longest magic number, including cpio's.
pub const LONGEST_MAGIC: usize = 6;

type Packed<'a> = Box<dyn BufRead + 'a>;
/// Wraps compressed data in a decompressor. It reads up to the end of what was compressed at once,
/// and no further: the kernel continues there.
pub type Unpack<'a> = fn(Packed<'a>) -> io::Result<Box<dyn Read + 'a>>;

/// The decompressor for data that starts with these bytes.
pub fn of<'a>(start: &[u8]) -> Option<Unpack<'a>> {
    let formats: [(&[u8], Unpack<'a>); 5] = [
        (b"\x1f\x8b", |packed| Ok(Box::new(GzDecoder::new(packed)))),
        (b"\x28\xb5\x2f\xfd", |packed| {
            Ok(Box::new(StreamingDecoder::new(packed).map_err(io::Error::other)?))
        }),
        (b"\xfd7zXZ\0", |packed| Ok(Box::new(XzReader::new(packed, false)))),
        (LZ4_LEGACY, |packed| Ok(Box::new(Lz4Legacy { packed, block: Cursor::default() }))),
        (b"\x04\x22\x4d\x18", |packed| Ok(Box::new(FrameDecoder::new(packed)))),
    ];
    formats.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, unpack)| unpack)
}

/// The name of a compression that Linux reads and this program does not.
pub fn unread(start: &[u8]) -> Option<&'static str> {
    let formats: [(&[u8], &str); 3] = [(b"BZ", "bzip2"), (b"\x5d\0", "lzma"), (b"\x89L", "lzo")];
    formats.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| name)
}

/// Magic number of `lz4 -l`, the only LZ4 format that the kernel reads (lib/decompress_unlz4.c).
const LZ4_LEGACY: &[u8] = b"\x02\x21\x4c\x18";
/// Largest unpacked block of that format (`LZ4_DEFAULT_UNCOMPRESSED_CHUNK_SIZE`,
/// lib/decompress_unlz4.c).
const LZ4_BLOCK: usize = 8 << 20;
/// Largest packed block, of incompressible data (`LZ4_COMPRESSBOUND`, include/linux/lz4.h).
/// lz4_flex's frame reader rejects blocks that are longer than their unpacked data, so it cannot
/// read this format.
const LONGEST_LZ4_BLOCK: u64 = (LZ4_BLOCK + LZ4_BLOCK / 255 + 16) as u64;

/// Blocks with their lengths, up to the end of the file or a length of 0.
struct Lz4Legacy<'a> {
    packed: Packed<'a>,
    /// The current unpacked block, and the read position in it.
    block: Cursor<Vec<u8>>,
}

impl Lz4Legacy<'_> {
    /// The next unpacked block; an empty one marks the end.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        let len = loop {
            let mut word = Vec::new();
            self.packed.by_ref().take(4).read_to_end(&mut word)?;
            // Each of several concatenated files starts with the magic number.
            if word != LZ4_LEGACY {
                // Fewer than four bytes are padding.
                break word.try_into().map_or(0, u32::from_le_bytes).into();
            }
        };
        if len == 0 {
            return Ok(Vec::new());
        }
        if len > LONGEST_LZ4_BLOCK {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("an LZ4 block of {len} bytes"),
            ));
        }
        let mut packed = Vec::new();
        if self.packed.by_ref().take(len).read_to_end(&mut packed)? as u64 != len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut block = vec![0; LZ4_BLOCK];
        let unpacked = decompress_into(&packed, &mut block).map_err(io::Error::other)?;
        block.truncate(unpacked);
        Ok(block)
    }
}

impl Read for Lz4Legacy<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.block.position() == self.block.get_ref().len() as u64 {
            self.block = Cursor::new(self.next()?);
        }
        self.block.read(into)
    }
}
