//! (3) The contestants. Each verifies the same segments at the same addresses, told of them as its
//! own loader would tell it.

mod library;
mod ours;
mod peer;

use std::time::Duration;

use anyhow::{Context, Result};
use handoff::EngineId;
use loader::image::{Image, Segment, SegmentKind};
use nix::sys::prctl;
use nix::sys::signal::{Signal, raise};
use nix::time::{ClockId, clock_gettime};

use super::image::input;
use super::memory::Memory;
use super::process::{Answer, Task, Verifier};
use crate::repository::Repository;

/// Our purgatory with symbols, as `cargo xtask build` leaves it.
const OURS: &str = "target/dist/purgatory.debug";

/// A way to verify what is in memory.
trait Verify {
    fn prepare(&mut self, _memory: &mut Memory) {}
    fn verify(&mut self, memory: &Memory);
    /// Whether memory was accepted, and the contestant's own words.
    fn verdict(&self, memory: &Memory) -> (bool, String);
}

/// One verified segment.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u64,
    /// Bytes that came from a file.
    file_len: u64,
    /// Bytes in memory; those after `file_len` are zeros.
    mem_len: u64,
}

pub fn run(repo: &Repository, task: &Task) -> Result<Answer> {
    // A contestant that hangs must not outlive the process that watches it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let engine = match &task.verifier {
        Verifier::Ours { engine } => EngineId::ALL.iter().find(|id| id.word() == engine),
        _ => EngineId::ALL.first(),
    };
    let ours = ours::leaving(input(&repo.root.join(OURS))?)?;
    let request = task.image.request(ours, *engine.context("no such engine")?)?;
    let machine = task.image.machine(repo, &request)?;
    let image = loader::build(&request, &machine)?;
    let mut memory = loaded(&image)?;
    let parts = parts(&image);
    let bytes = |len: fn(&Part) -> u64| parts.iter().map(len).sum::<u64>();
    let (file_bytes, memory_bytes) = (bytes(|part| part.file_len), bytes(|part| part.mem_len));
    let (mut verifier, hashed_bytes): (Box<dyn Verify>, u64) = match &task.verifier {
        Verifier::Ours { .. } => {
            (Box::new(ours::Story::new(&request.purgatory, &image)?), file_bytes)
        }
        Verifier::Peer { object } => {
            (Box::new(peer::Peer::new(&input(object)?, &parts, &memory)?), memory_bytes)
        }
        Verifier::Openssl => (Box::new(library::Openssl::new(&parts, &memory)), file_bytes),
        Verifier::Read => (Box::new(library::Read::new(&parts)), 0),
    };
    if task.flip {
        let is_initrd = |segment: &&Segment<'_>| segment.kind() == SegmentKind::Initrd;
        let initrd = image.segments().iter().find(is_initrd).context("there is no initrd")?;
        let middle = initrd.range().start() + initrd.bytes().len() as u64 / 2 - memory.start();
        memory.bytes_mut()[middle as usize] ^= 1;
    }
    let (mut seconds, mut sound, mut verdict) = (Vec::new(), true, String::new());
    for _ in 0..task.repetitions {
        verifier.prepare(&mut memory);
        let started = cpu_s()?;
        stop_if(task.stop)?;
        verifier.verify(&memory);
        stop_if(task.stop)?;
        seconds.push(cpu_s()? - started);
        let (accepted, words) = verifier.verdict(&memory);
        sound &= accepted;
        verdict = words;
    }
    Ok(Answer { seconds, memory_bytes, hashed_bytes, sound, verdict })
}

/// Seconds of a CPU that this thread has used. No contestant sleeps, so on an idle machine it is
/// the time that passes.
fn cpu_s() -> nix::Result<f64> {
    // getrusage(2) counts in ticks of 4 ms on some kernels.
    let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(Duration::from(used).as_secs_f64())
}

/// Stops this process until it gets SIGCONT: a mark for the counter of instructions.
fn stop_if(asked: bool) -> nix::Result<()> {
    if asked { raise(Signal::SIGSTOP) } else { Ok(()) }
}

/// The segments in memory, with zeros after them.
fn loaded(image: &Image<'_>) -> std::io::Result<Memory> {
    let region = image.crash_region();
    let mut memory = Memory::new(region.start(), region.len())?;
    for segment in image.segments() {
        memory.write(segment.range().start(), segment.bytes());
    }
    Ok(memory)
}

/// What every contestant verifies: all segments but elfcorehdr and purgatory.
fn parts(image: &Image<'_>) -> Vec<Part> {
    let left_out = [SegmentKind::Elfcorehdr, SegmentKind::Purgatory];
    let verified = image.segments().iter().filter(|segment| !left_out.contains(&segment.kind()));
    let mut parts: Vec<Part> = verified
        .map(|segment| Part {
            start: segment.range().start(),
            file_len: segment.bytes().len() as u64,
            mem_len: segment.range().len(),
        })
        .collect();
    parts.sort_by_key(|part| part.start);
    parts
}
