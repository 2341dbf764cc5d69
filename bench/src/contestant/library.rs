//! What a library makes of the same bytes, and the floor under everybody.

use std::hint::black_box;

use ring::digest::{Context, Digest, SHA256};

use super::{Part, Verifier};
use crate::call;
use crate::memory::Memory;

/// One digest over what came from files, by openssl's assembler.
pub struct Openssl {
    parts: Vec<Part>,
    expected: Digest,
    found: Option<Digest>,
}

impl Openssl {
    /// Remembers the digest of what is in memory now.
    pub fn new(parts: &[Part], memory: &Memory) -> Self {
        Self { parts: parts.to_vec(), expected: digest(parts, memory), found: None }
    }
}

fn digest(parts: &[Part], memory: &Memory) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&memory.bytes()[(part.start - memory.start()) as usize..][..part.file_len as usize]);
    }
    context.finish()
}

impl Verifier for Openssl {
    fn prepare(&mut self, _: &mut Memory) {
        self.found = None;
    }

    fn verify(&mut self, memory: &Memory) {
        self.found = Some(digest(&self.parts, memory));
    }

    fn verdict(&self, _: &Memory) -> (bool, String) {
        let found = self.found.as_ref().expect("verified");
        (found.as_ref() == self.expected.as_ref(), format!("{found:?}"))
    }
}

/// Reads, and nothing else.
pub struct Read {
    parts: Vec<Part>,
}

impl Read {
    /// All of these.
    pub fn new(parts: &[Part]) -> Self {
        Self { parts: parts.to_vec() }
    }
}

impl Verifier for Read {
    fn prepare(&mut self, _: &mut Memory) {}

    fn verify(&mut self, memory: &Memory) {
        for part in &self.parts {
            black_box(call::read(&memory.bytes()[(part.start - memory.start()) as usize..][..part.mem_len as usize]));
        }
    }

    fn verdict(&self, _: &Memory) -> (bool, String) {
        (true, "read".into())
    }
}
