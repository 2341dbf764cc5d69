//! makedumpfile's flattened format (`makedumpfile -F`): a dump as a stream, for targets in which
//! makedumpfile cannot seek.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4096 | `makedumpfile`, then padding (`struct makedumpfile_header`, makedumpfile.h) |
//! | 16 | `offset` and `buf_size`, big-endian (`struct makedumpfile_data_header`); -1: the end |
//! | `buf_size` | data; then the next two numbers |
//!
//! *On entry* the stream. *On exit* the dump that makedumpfile would have written into a file.

use std::io::{self, Read};

use vmcore_filter::Output;

const HEADER_LEN: usize = 4096;
const SIGNATURE: &[u8] = b"makedumpfile\0";
/// `END_FLAG_FLAT_HEADER`.
const END: i64 = -1;
/// Bytes copied at once.
const CHUNK: usize = 256 << 10;

/// Why there is no dump.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream cannot be read, or ends early.
    #[error("makedumpfile's output ends early: {0}")]
    Read(io::Error),
    /// The stream is something else.
    #[error("makedumpfile's output is not in its flattened format: {0}")]
    Format(&'static str),
    /// The target cannot be written.
    #[error("cannot write the dump at offset {offset}: {source}")]
    Write {
        /// Offset in the dump.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
}

/// Writes the dump. Returns its bytes.
pub fn rearrange(mut stream: impl Read, output: &mut dyn Output) -> Result<u64, Error> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).map_err(Error::Read)?;
    if !header.starts_with(SIGNATURE) {
        return Err(Error::Format("its signature is missing"));
    }
    let (mut end, mut buffer) = (0, vec![0; CHUNK]);
    loop {
        let mut record = [0; 16];
        stream.read_exact(&mut record).map_err(Error::Read)?;
        let field = |at: usize| i64::from_be_bytes(std::array::from_fn(|byte| record[at + byte]));
        let (offset, len) = (field(0), field(8));
        if (offset, len) == (END, END) {
            return Ok(end);
        }
        let (Ok(mut offset), Ok(mut left)) = (u64::try_from(offset), u64::try_from(len)) else {
            return Err(Error::Format("an offset or a size is negative"));
        };
        while left > 0 {
            let part = &mut buffer[..(CHUNK as u64).min(left) as usize];
            stream.read_exact(part).map_err(Error::Read)?;
            output.write_at(offset, part).map_err(|source| Error::Write { offset, source })?;
            (offset, left) = (offset + part.len() as u64, left - part.len() as u64);
        }
        end = end.max(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flattened(records: &[(i64, i64, &[u8])]) -> Vec<u8> {
        let mut stream = b"makedumpfile".to_vec();
        stream.resize(HEADER_LEN, 0);
        for (offset, len, data) in records {
            stream.extend(offset.to_be_bytes());
            stream.extend(len.to_be_bytes());
            stream.extend(*data);
        }
        stream
    }

    #[test]
    fn stream_becomes_the_dump_in_whatever_order_it_was_written() {
        let long = vec![7; CHUNK + 1];
        let stream = flattened(&[
            (8, 4, b"page"),
            (100, long.len() as i64, &long),
            (0, 8, b"KDUMP   "),
            (END, END, b""),
        ]);
        let mut output = Vec::new();
        assert_eq!(rearrange(&stream[..], &mut output).unwrap(), 100 + long.len() as u64);
        assert_eq!(&output[..12], b"KDUMP   page");
        assert_eq!(&output[100..], long);
    }

    #[test]
    fn stream_that_ends_early_is_no_dump() {
        let whole = flattened(&[(0, 8, b"KDUMP   "), (END, END, b"")]);
        for len in 0..whole.len() {
            let error = rearrange(&whole[..len], &mut Vec::new()).unwrap_err();
            assert!(matches!(error, Error::Read(_)), "{len}: {error}");
        }
    }

    #[test]
    fn other_streams_are_refused() {
        let elf = [b"\x7fELF".to_vec(), vec![0; HEADER_LEN]].concat();
        let negative = flattened(&[(-2, 8, b"KDUMP   ")]);
        for stream in [elf, negative] {
            let error = rearrange(&stream[..], &mut Vec::new()).unwrap_err();
            assert!(matches!(error, Error::Format(_)), "{error}");
        }
    }
}
