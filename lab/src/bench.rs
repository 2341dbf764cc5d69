//! `cargo lab bench`: how long each purgatory takes to verify the same image.
//!
//! Each contestant runs in a process of its own and calls the code of a built binary.
//!
//! ```text
//! image.rs         (1) an image as the loader builds it, for a crash region that a process can map
//! memory.rs        (2) its segments at their addresses, as kexec_load(2) leaves them
//! contestant/      (3) ours, a peer's, a library, and the floor: reading every byte once
//! call.rs          (4) their code, called
//! process.rs       (5) the process of one contestant, started and watched
//! instructions.rs  instructions that ours executes, which a busy machine does not change
//! report.rs        medians, ratios and targets
//! ```
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*
//! - A sound image was accepted by every contestant.
//! - An image with a flipped bit was rejected by every contestant that verifies.
//! - A table is on stdout; with `--write` also in docs/bench/, with its record and picture.

mod call;
mod contestant;
mod image;
mod instructions;
mod memory;
mod process;
pub mod report;

use anyhow::{Result, ensure};
use handoff::EngineId;
use qemu_runner::Error;
use qemu_runner::peers::SOURCES;

use crate::load_native;
use crate::machine::Machine;
use crate::record;
use crate::repository::{Repository, explain};
use image::Image;
use process::{Process, Verifier};
use report::{Measured, Report};

pub const RECORD: &str = "docs/bench/verify.jsonl";
/// From this size on, all repetitions run in one process: building the image takes longer.
const LARGE_KIB: u64 = 256 << 10;

/// Measure our purgatory beside kexec-tools', the kernel's, a library, and reading memory once
#[derive(clap::Args)]
pub struct Args {
    /// Repetitions of each contestant with each image
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(7..))]
    turns: u32,
    /// Leave out initrds of up to 4 GiB, which take ten minutes and 10 GiB of memory
    #[arg(long)]
    no_sweep: bool,
    /// Write docs/bench/verify.jsonl and verify.txt
    #[arg(long)]
    write: bool,
    /// Only contestants whose names contain this
    #[arg(long, value_name = "NAME", conflicts_with = "write")]
    only: Option<String>,
    /// Keep the kernel from using large pages
    #[arg(long, conflicts_with = "write")]
    small_pages: bool,
    /// Count instructions instead, and compare with docs/bench/instructions.json; with --write,
    /// replace that file
    #[arg(long, conflicts_with = "no_sweep")]
    instructions: bool,
}

impl Args {
    /// Measures and prints; an error if a contestant accepts a flipped bit.
    pub fn run(&self, repo: &Repository) -> Result<()> {
        repo.xtask(&["setup", "--only", "kernels,kexec"])?;
        repo.xtask(&["build"])?;
        if self.instructions {
            return instructions::count_and_compare(repo, self.write, false);
        }
        if self.small_pages {
            // The contestants' processes inherit it (prctl(2), PR_SET_THP_DISABLE).
            nix::sys::prctl::set_thp_disable(true)?;
        }
        let mut contestants = contestants(repo)?;
        let is_wanted = |name: &str| self.only.as_ref().is_none_or(|only| name.contains(only));
        contestants.retain(|one| is_wanted(&one.name));
        ensure!(!contestants.is_empty(), "no contestant has such a name");
        for contestant in &contestants {
            eprintln!("{}", contestant.rejects_a_flipped_bit()?);
        }
        let mut measured = Vec::new();
        for image in Image::all(repo, !self.no_sweep)? {
            measured.extend(self.measure(&contestants, &image)?);
        }
        let machine = Machine::here(repo)?;
        if self.write {
            record::write(repo, RECORD, &machine, &measured)?;
        }
        let report = Report { machine, measured };
        record::print(repo, "docs/bench/verify.txt", self.write, &report)
    }

    /// Contestants take turns, so a busy minute of this machine slows all of them.
    fn measure(&self, contestants: &[Process], image: &Image) -> Result<Vec<Measured>> {
        let large = image.initrd_kib >= LARGE_KIB;
        let (rounds, repetitions) = if large { (1, self.turns) } else { (self.turns, 1) };
        let mut measured: Vec<Option<Measured>> = contestants.iter().map(|_| None).collect();
        for round in 1..=rounds {
            eprintln!("{}: round {round} of {rounds}", image.name);
            for (contestant, measured) in contestants.iter().zip(&mut measured) {
                let answer = contestant.verify(image, repetitions)?;
                let said = &answer.verdict;
                ensure!(answer.sound, "{} rejects a sound image: {said}", contestant.name);
                measured.get_or_insert_with(|| Measured::new(contestant, image)).add(&answer);
            }
        }
        Ok(measured.into_iter().flatten().collect())
    }
}

/// All contestants. An engine that this CPU lacks, or a missing kernel, is named and left out.
fn contestants(repo: &Repository) -> Result<Vec<Process>> {
    let mut all = Vec::new();
    for engine in EngineId::ALL {
        let ours = Process::ours(*engine);
        match ours.verify(&Image::small(), 1) {
            Ok(_) => all.push(ours),
            Err(error) => eprintln!("note: left out: {}: {error:#}", ours.name),
        }
    }
    let context = repo.context()?;
    for source in &SOURCES {
        match source.bring(&context) {
            Ok(peer) => {
                let verifier = Verifier::Peer { object: peer.object };
                all.push(Process::new(peer.name, &peer.version, verifier));
            }
            Err(Error::Missing(reason)) => eprintln!("note: left out: {}: {reason}", source.name),
            Err(error) => return Err(explain(error)),
        }
    }
    all.push(Process::new(report::LIBRARY, "", Verifier::Openssl));
    all.push(Process::new(report::FLOOR, "", Verifier::Read));
    Ok(all)
}

/// Check what CI keeps of `bench` and `load-native`: drop-ins verify, no engine needs more
/// instructions, both loaders run on the fabricated machine
///
/// Uses target/dist as `cargo xtask build` left it.
#[derive(clap::Args)]
pub struct Check {
    /// Only the drop-ins
    #[arg(long)]
    drop_ins: bool,
}

impl Check {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        drop_ins(repo)?;
        if self.drop_ins {
            return Ok(());
        }
        load_native::check(repo)?.iter().for_each(|line| println!("load-native: {line}"));
        instructions::count_and_compare(repo, false, true)
    }
}

/// Runs both drop-ins as their hosts run their own purgatories.
fn drop_ins(repo: &Repository) -> Result<()> {
    if !std::arch::is_x86_feature_detected!("sha") {
        // A drop-in finds SHA-NI by executing it; its exception handler cannot run in a process.
        println!("drop-ins: skipped: this CPU lacks SHA-NI");
        return Ok(());
    }
    // In parallel: a drop-in that hangs is watched for seconds.
    let lines = std::thread::scope(|scope| {
        let running = ["purgatory-linux", "purgatory-kexec-tools"].map(|name| {
            let object = repo.root.join(format!("target/dist/{name}.ro"));
            let drop_in = Process::new(name, "", Verifier::Peer { object });
            scope.spawn(move || drop_in.rejects_a_flipped_bit())
        });
        running.map(|drop_in| drop_in.join().expect("no thread panics"))
    });
    for line in lines {
        println!("drop-ins: {}", line?);
    }
    Ok(())
}

/// Be one contestant; the task is JSON
#[derive(clap::Args)]
pub struct Contestant {
    task: String,
}

impl Contestant {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let answer = contestant::run(repo, &serde_json::from_str(&self.task)?)?;
        println!("{}", serde_json::to_string(&answer)?);
        Ok(())
    }
}
