//! (3) The loaded image as it is in the machine's memory. It is damaged here; the differences
//! become the stray writes of a run.

use std::ops::Range;

use handoff::{Block, DIGEST_LEN, PAGE_SIZE, RegionKind};
use loader::image::{ByBlock, Image, SegmentKind, Verification};
use zerocopy::{FromBytes, IntoBytes};

use crate::evidence::armed::{range, regions};
use crate::evidence::purgatory;

/// All segments, each with its zero tail.
#[derive(Clone, Debug)]
pub struct Memory {
    segments: Vec<Loaded>,
    block_at: u64,
    purgatory_elf: Vec<u8>,
    /// Writes outside the crash region.
    outside: Vec<Write>,
}

#[derive(Clone, Debug)]
struct Loaded {
    kind: SegmentKind,
    start: u64,
    before: Vec<u8>,
    now: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub at: u64,
    pub bytes: Vec<u8>,
}

/// What the purgatory of an image was told; the matrix is about ours alone.
pub fn told<'i>(image: &'i Image<'_>) -> &'i ByBlock {
    match image.verification() {
        Verification::ByBlock(told) => told,
        Verification::BySymbols(_) => unreachable!("the request names a purgatory of ours"),
    }
}

/// SHA-256, by the portable engine.
pub fn sha256(bytes: &[u8]) -> digest::Digest {
    let mut hasher = digest::Sha256::new(digest::Engine::soft());
    hasher.update(bytes);
    hasher.finish()
}

/// Differences closer than this are one write.
const GAP: usize = 64;

impl Memory {
    /// The image as the kernel loads it.
    pub fn of(image: &Image<'_>, purgatory_elf: &[u8]) -> Self {
        let segments = image.segments().iter().map(|segment| {
            let mut bytes = segment.bytes().to_vec();
            bytes.resize(segment.range().len() as usize, 0);
            Loaded {
                kind: segment.kind(),
                start: segment.range().start(),
                before: bytes.clone(),
                now: bytes,
            }
        });
        let block_at = told(image).block_at.start();
        let (purgatory_elf, outside) = (purgatory_elf.to_vec(), Vec::new());
        Self { segments: segments.collect(), block_at, purgatory_elf, outside }
    }

    pub fn block(&self) -> Block {
        Block::read_from_bytes(self.read(self.block_at, size_of::<Block>()))
            .expect("a block has no invalid bytes")
    }

    /// Where the purgatory is.
    pub fn purgatory(&self) -> Range<u64> {
        range(&self.block().purgatory)
    }

    /// Changes the block, and nothing that depends on it.
    pub fn edit_block(&mut self, edit: impl FnOnce(&mut Block)) {
        let mut block = self.block();
        edit(&mut block);
        self.at(self.block_at, size_of::<Block>()).copy_from_slice(block.as_bytes());
    }

    /// Changes the block as the loader might have written it: sealed.
    pub fn arrange_block(&mut self, edit: impl FnOnce(&mut Block)) {
        self.edit_block(edit);
        self.reseal();
    }

    /// Makes the seal fit the block and the leaf table as they are now.
    pub fn reseal(&mut self) {
        let block = self.block();
        let table = (block.leaf_table.start.get(), block.leaf_table.len.get() as usize);
        let sealed = block.sealed_bytes().concat();
        let seal = sha256(&[&sealed, self.read(table.0, table.1)].concat());
        self.edit_block(|block| block.seal = seal);
    }

    /// What the purgatory's image has after the block: data that it writes, and its stacks.
    pub fn own_data(&self) -> Range<u64> {
        self.block_at + size_of::<Block>() as u64..self.block().leaf_table.start.get()
    }

    pub fn start(&self, kind: RegionKind) -> u64 {
        self.region_place(kind).0
    }

    /// Bytes of a region that came from a file, then all of it: `file_len`, `mem_len`.
    pub fn lengths(&self, kind: RegionKind) -> (usize, usize) {
        let (_, file, mem) = self.region_place(kind);
        (file, mem)
    }

    pub fn region(&mut self, kind: RegionKind) -> &mut [u8] {
        let (start, _, len) = self.region_place(kind);
        self.at(start, len)
    }

    fn region_place(&self, kind: RegionKind) -> (u64, usize, usize) {
        let block = self.block();
        let region = regions(&block).iter().find(|region| region.kind.get() == kind as u32);
        let region = region.expect("the loader writes every kind");
        (region.start.get(), region.file_len.get() as usize, region.mem_len.get() as usize)
    }

    pub fn elfcorehdr(&mut self) -> &mut [u8] {
        let segment =
            self.segments.iter_mut().find(|segment| segment.kind == SegmentKind::Elfcorehdr);
        &mut segment.expect("every image has an elfcorehdr").now
    }

    pub fn leaf_table(&mut self) -> &mut [u8] {
        let block = self.block();
        self.at(block.leaf_table.start.get(), block.leaf_table.len.get() as usize)
    }

    /// The digest of one leaf, by its place in the table.
    pub fn leaf(&mut self, position: usize) -> &mut [u8] {
        &mut self.leaf_table()[position * DIGEST_LEN..][..DIGEST_LEN]
    }

    /// Physical address of a function of the purgatory, by part of its mangled name.
    pub fn function(&self, name: &str) -> u64 {
        let function = purgatory::function(&self.purgatory_elf, name)
            .expect("the purgatory has this function");
        self.block().purgatory.start.get() + function.offset
    }

    /// Flips the lowest bit of a byte of a region.
    pub fn flip(&mut self, kind: RegionKind, offset: usize) {
        self.region(kind)[offset] ^= 1;
    }

    /// Writes `code` over the beginning of a function, by part of its mangled name.
    pub fn overwrite(&mut self, function: &str, code: &[u8]) {
        let at = self.function(function);
        self.at(at, code.len()).copy_from_slice(code);
    }

    /// Physical address of a symbol of the purgatory.
    pub fn symbol(&self, name: &str) -> u64 {
        let offset =
            purgatory::symbol(&self.purgatory_elf, name).expect("the purgatory has this symbol");
        self.block().purgatory.start.get() + offset
    }

    /// `len` bytes from a physical address.
    pub fn at(&mut self, physical: u64, len: usize) -> &mut [u8] {
        let place = self.position(physical, len);
        let segment = &mut self.segments[place];
        &mut segment.now[(physical - segment.start) as usize..][..len]
    }

    /// The same, to look at.
    pub fn read(&self, physical: u64, len: usize) -> &[u8] {
        let segment = &self.segments[self.position(physical, len)];
        &segment.now[(physical - segment.start) as usize..][..len]
    }

    fn position(&self, physical: u64, len: usize) -> usize {
        let end = physical + len as u64;
        let holds = |segment: &Loaded| {
            segment.start <= physical && end <= segment.start + segment.now.len() as u64
        };
        self.segments
            .iter()
            .position(holds)
            .unwrap_or_else(|| panic!("{physical:#x}-{end:#x} is in no segment"))
    }

    /// Puts `bytes` outside the crash region, where the crash kernel's log is.
    pub fn put_outside(&mut self, at: u64, bytes: Vec<u8>) {
        self.outside.push(Write { at, bytes });
    }

    /// What was put outside the crash region.
    pub fn outside(&self) -> &[Write] {
        &self.outside
    }

    /// Address and bytes of each segment as it is now, ascending.
    pub fn segments(&self) -> Vec<(u64, &[u8])> {
        let mut segments: Vec<_> =
            self.segments.iter().map(|segment| (segment.start, &segment.now[..])).collect();
        segments.sort_by_key(|(start, _)| *start);
        segments
    }

    /// Pages of the crash region that no segment covers, ascending.
    pub fn holes(&self) -> Vec<Range<u64>> {
        let crash_region = range(&self.block().crash_region);
        let mut at = crash_region.start;
        let mut holes = Vec::new();
        for (start, bytes) in self.segments() {
            holes.push(at..start);
            at = (start + bytes.len() as u64).next_multiple_of(PAGE_SIZE);
        }
        holes.push(at..crash_region.end);
        holes.retain(|hole| !hole.is_empty());
        holes
    }

    /// All stray writes: the damage, and what was put outside the crash region.
    pub fn writes(&self) -> Vec<Write> {
        let mut writes = self.outside.clone();
        for Loaded { start, before, now, .. } in &self.segments {
            let mut differing =
                (0..now.len()).filter(|&index| before[index] != now[index]).peekable();
            while let Some(first) = differing.next() {
                let mut last = first;
                while let Some(next) = differing.next_if(|next| next - last <= GAP) {
                    last = next;
                }
                writes.push(Write { at: start + first as u64, bytes: now[first..=last].to_vec() });
            }
        }
        writes
    }
}
