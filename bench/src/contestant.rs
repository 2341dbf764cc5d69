//! (3) Who verifies. Each is given the same segments, at the same addresses, in the way that its own loader would give them.

mod library;
mod ours;
mod whole;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use handoff::{EngineId, RegionKind};
use loader::image::{Image, SegmentKind};
use loader::purgatory::foreign::{KEXEC_TOOLS, LINUX};

use crate::answer::Answer;
use crate::image::{Kind, input};
use crate::memory::Memory;

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// This project's purgatory: all of its story, from its first Rust function to the jump.
    Ours,
    /// kexec-tools' purgatory: its function `purgatory`.
    KexecTools,
    /// The kernel's purgatory: the same.
    Linux,
    /// openssl's SHA-256, as `ring` has it, over the bytes that came from files.
    Openssl,
    /// The floor: every byte is read once.
    Read,
}

/// One way to verify what is in memory.
trait Verifier {
    /// Makes ready for another run; not measured.
    fn prepare(&mut self, memory: &mut Memory);
    /// Verifies; measured.
    fn verify(&mut self, memory: &Memory);
    /// What came of it: whether all is sound, and in its own words.
    fn verdict(&self, memory: &Memory) -> (bool, String);
}

/// A contestant and its image.
pub struct Contestant {
    verifier: Box<dyn Verifier>,
    memory: Memory,
    initrd_middle: u64,
    file_bytes: u64,
    memory_bytes: u64,
    hashed_bytes: u64,
}

/// Where a part of the image lies.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Address of its first byte.
    pub start: u64,
    /// Bytes that came from a file.
    pub file_len: u64,
    /// Bytes in memory.
    pub mem_len: u64,
}

impl Contestant {
    /// Builds the image around `ours` and puts it into memory.
    pub fn new(name: Name, ours: &Path, peer: Option<&Path>, engine: EngineId, kind: &Kind) -> Result<Self, Box<dyn Error>> {
        let request = kind.request(ours::leaving(input(ours)?)?, engine)?;
        let machine = kind.machine(&request)?;
        let image = loader::build(&request, &machine)?;
        let memory = loaded(&image)?;
        let parts = parts(&image);
        let (file_bytes, memory_bytes) =
            parts.iter().fold((0, 0), |(file, all), part| (file + part.file_len, all + part.mem_len));
        let initrd = image.segments().iter().find(|segment| segment.kind() == SegmentKind::Initrd).ok_or("there is no initrd")?;
        let initrd_middle = initrd.range().start() + initrd.bytes().len() as u64 / 2;
        let mut hashed_bytes = file_bytes;
        let verifier: Box<dyn Verifier> = match name {
            Name::Ours => Box::new(ours::Story::new(&request.purgatory, &image)?),
            Name::KexecTools | Name::Linux => {
                hashed_bytes = memory_bytes;
                let purgatory = input(peer.ok_or("name the peer's purgatory with --peer")?)?;
                let contract = if name == Name::Linux { &LINUX } else { &KEXEC_TOOLS };
                Box::new(whole::Whole::new(&purgatory, contract, &parts, &memory)?)
            }
            Name::Openssl => Box::new(library::Openssl::new(&parts, &memory)),
            Name::Read => {
                hashed_bytes = 0;
                Box::new(library::Read::new(&parts))
            }
        };
        Ok(Self { verifier, memory, initrd_middle, file_bytes, memory_bytes, hashed_bytes })
    }

    /// Flips a bit in the middle of the initrd.
    pub fn flip(&mut self) {
        let offset = (self.initrd_middle - self.memory.start()) as usize;
        self.memory.bytes_mut()[offset] ^= 1;
    }

    /// Verifies again and again. With `stop`, this process stops itself before and after each time.
    pub fn run(&mut self, repetitions: usize, stop: bool) -> Result<Answer, Box<dyn Error>> {
        let mut seconds = Vec::new();
        let mut sound = true;
        let mut verdict = String::new();
        for _ in 0..repetitions {
            self.verifier.prepare(&mut self.memory);
            crate::call::stop_if(stop);
            let started = Instant::now();
            self.verifier.verify(&self.memory);
            seconds.push(started.elapsed().as_secs_f64());
            crate::call::stop_if(stop);
            let (this_time, words) = self.verifier.verdict(&self.memory);
            sound &= this_time;
            verdict = words;
        }
        let Self { file_bytes, memory_bytes, hashed_bytes, .. } = *self;
        Ok(Answer { seconds, file_bytes, memory_bytes, hashed_bytes, sound, verdict })
    }
}

/// The segments in memory, zeroes behind them.
fn loaded(image: &Image<'_>) -> std::io::Result<Memory> {
    let region = image.crash_region();
    let mut memory = Memory::new(region.start(), region.len())?;
    for segment in image.segments() {
        memory.write(segment.range().start(), segment.bytes());
    }
    Ok(memory)
}

/// What everybody verifies: all segments but elfcorehdr and purgatory.
fn parts(image: &Image<'_>) -> Vec<Part> {
    let verified = |kind: SegmentKind| !matches!(kind, SegmentKind::Elfcorehdr | SegmentKind::Purgatory);
    let part = |segment: &loader::image::Segment<'_>| Part {
        start: segment.range().start(),
        file_len: segment.bytes().len() as u64,
        mem_len: segment.range().len(),
    };
    let mut parts: Vec<Part> = image.segments().iter().filter(|segment| verified(segment.kind())).map(part).collect();
    parts.sort_by_key(|part| part.start);
    debug_assert!(parts.len() < RegionKind::ALL.len());
    parts
}
