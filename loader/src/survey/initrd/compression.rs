//! Compressions of initrds: the magic number, and what unpacks it (`compressed_formats`, lib/decompress.c). bzip2, lzma and lzo are left out: no
//! distribution of today defaults to them.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

/// As many bytes as the longest magic number has, that of cpio included.
pub const LONGEST_MAGIC: usize = 6;

type Packed<'a> = Box<dyn Read + 'a>;
/// Makes a reader of what is packed.
pub type Unpack<'a> = fn(Packed<'a>) -> io::Result<Packed<'a>>;

/// How to unpack what begins like this.
pub fn of<'a>(start: &[u8]) -> Option<Unpack<'a>> {
    let formats: [(&[u8], Unpack<'a>); 5] = [
        (b"\x1f\x8b", |packed| Ok(Box::new(MultiGzDecoder::new(packed)))),
        (b"\x28\xb5\x2f\xfd", |packed| Ok(Box::new(StreamingDecoder::new(packed).map_err(io::Error::other)?))),
        (b"\xfd7zXZ\0", |packed| Ok(Box::new(XzReader::new(packed, false)))),
        (LZ4_LEGACY, |packed| Ok(Box::new(FrameDecoder::new(packed)))),
        (b"\x04\x22\x4d\x18", |packed| Ok(Box::new(FrameDecoder::new(packed)))),
    ];
    formats.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, unpack)| unpack)
}

/// What `lz4 -l` writes, and the only LZ4 that the kernel reads (lib/decompress_unlz4.c).
const LZ4_LEGACY: &[u8] = b"\x02\x21\x4c\x18";
