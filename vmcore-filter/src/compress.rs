//! `[10]` One page becomes the bytes that the dump has of it.

use zstd_safe::{CCtx, CParameter};

use crate::format::ZSTD;
use crate::{PAGE_LEN, Page};

/// zstd's fastest regular level, which makedumpfile uses as well ...
const LEVEL: i32 = 1;
/// ... but with the shortest match of its long inputs. For inputs as short as a page it looks for
/// five bytes (`ZSTD_defaultCParameters`, clevels.h), which costs more time than space.
const SHORTEST_MATCH: u32 = 7;
/// Positions in a page, as a power of two: its table of matches need not be larger.
const HASH_BITS: u32 = 12;
/// At least what `ZSTD_compressBound` says for a page, 4174. zstd is faster if it need not look for
/// the end.
const BOUND: usize = 4352;

/// Compresses pages, one after another, with the same memory.
pub(crate) struct Compressor {
    context: CCtx<'static>,
    /// A private copy: a device that still writes to the page cannot change what is compressed.
    page: Page,
    compressed: [u8; BOUND],
}

impl Compressor {
    /// `None` if there is no memory for it.
    pub fn new() -> Option<Self> {
        let mut context = CCtx::try_create()?;
        for parameter in [
            CParameter::CompressionLevel(LEVEL),
            CParameter::MinMatch(SHORTEST_MATCH),
            CParameter::HashLog(HASH_BITS),
        ] {
            context.set_parameter(parameter).ok()?;
        }
        Some(Self { context, page: [0; PAGE_LEN as usize], compressed: [0; BOUND] })
    }

    /// The data and the descriptor's flags for a page. The data is the page itself if it cannot be
    /// compressed, for lack of memory too.
    pub fn data(&mut self, page: &[u8]) -> (&[u8], u32) {
        self.page.copy_from_slice(page);
        match self.context.compress2(&mut self.compressed[..], &self.page) {
            Ok(len) if len < self.page.len() => (&self.compressed[..len], ZSTD),
            Ok(_) | Err(_) => (&self.page, 0),
        }
    }
}

/// Whether the page is zeroes.
pub(crate) fn is_zero(page: &[u8]) -> bool {
    // Most pages end here. The rest is compared in long pieces, which the compiler vectorizes.
    let (head, _) = page.as_chunks::<8>();
    if head.first().is_some_and(|word| *word != [0; 8]) {
        return false;
    }
    let (pieces, rest) = page.as_chunks::<128>();
    pieces.iter().all(|piece| piece.iter().fold(0, |any, byte| any | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}
