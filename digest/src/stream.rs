//! One message in pieces. The seal is made this way.

use crate::constants::{INITIAL, digest_of, pad};
use crate::{BLOCK_LEN, Block, Digest, Engine, State};

/// An unfinished digest.
#[derive(Clone, Debug)]
pub struct Sha256 {
    engine: Engine,
    state: State,
    /// The first `len % BLOCK_LEN` bytes are those that did not fill a block yet.
    pending: Block,
    len: u64,
}

impl Sha256 {
    /// An empty message.
    pub const fn new(engine: Engine) -> Self {
        Self { engine, state: INITIAL, pending: [0; BLOCK_LEN], len: 0 }
    }

    /// Appends `bytes` to the message.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let filled = (self.len % BLOCK_LEN as u64) as usize;
        self.len += bytes.len() as u64;
        if filled > 0 {
            let taken = bytes.len().min(BLOCK_LEN - filled);
            self.pending[filled..filled + taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if filled + taken < BLOCK_LEN {
                return;
            }
            self.engine.compress_one(&mut self.state, &[self.pending]);
        }
        let (blocks, rest) = bytes.as_chunks();
        self.engine.compress_one(&mut self.state, blocks);
        self.pending[..rest.len()].copy_from_slice(rest);
    }

    /// The digest of the message.
    pub fn finish(mut self) -> Digest {
        let filled = (self.len % BLOCK_LEN as u64) as usize;
        let mut last = [[0; BLOCK_LEN]; 2];
        let count = pad(&self.pending[..filled], self.len, &mut last);
        self.engine.compress_one(&mut self.state, &last[..count]);
        digest_of(&self.state)
    }
}
