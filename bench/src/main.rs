//! One contestant verifies one image, in a process of its own, so that one that stands still on a bad digest can be ended.
//!
//! ```text
//! image.rs        (1) an image as the loader builds it, for a crash region that this process can map
//! memory.rs       (2) its segments at their addresses, as kexec_load(2) leaves them
//! contestant.rs   (3) who verifies: ours, kexec-tools', Linux', a library, or a reader who does nothing with what he reads
//! call.rs         (4) their code, called
//! ```
//!
//! `memory.rs` and `call.rs` are the only ones that say `unsafe`. `cargo xtask bench` runs this and makes ratios of what it prints.

mod answer;
mod call;
mod contestant;
mod image;
mod memory;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use handoff::EngineId;

use answer::Answer;
use contestant::{Contestant, Name};
use image::Kind;

/// Verify one image in memory, again and again, and say how long it took
#[derive(Parser)]
struct Args {
    /// Who
    #[arg(long, value_enum)]
    contestant: Name,
    /// Our purgatory, around which the image is built
    #[arg(long, value_name = "FILE")]
    ours: PathBuf,
    /// The peer's, where one verifies
    #[arg(long, value_name = "FILE")]
    peer: Option<PathBuf>,
    /// The engine, where it is ours
    #[arg(long, value_name = "NAME", default_value = "sha-ni", value_parser = engine)]
    engine: EngineId,
    /// What is verified
    #[command(flatten)]
    image: Kind,
    /// How often
    #[arg(long, default_value_t = 1)]
    repetitions: usize,
    /// Flip a bit in the middle of the initrd first
    #[arg(long)]
    flip: bool,
    /// Say when the measured code begins and ends, for whoever counts its instructions: two SIGSTOPs
    #[arg(long)]
    stop: bool,
}

fn engine(word: &str) -> Result<EngineId, String> {
    let known = || EngineId::ALL.iter().map(|id| id.word()).collect::<Vec<_>>().join(", ");
    EngineId::ALL.iter().copied().find(|id| id.word() == word).ok_or_else(|| format!("there are: {}", known()))
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(answer) => {
            println!("{}", serde_json::to_string(&answer).expect("numbers and words"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<Answer, Box<dyn std::error::Error>> {
    call::end_with_parent();
    let mut contestant = Contestant::new(args.contestant, &args.ours, args.peer.as_deref(), args.engine, &args.image)?;
    if args.flip {
        contestant.flip();
    }
    contestant.run(args.repetitions, args.stop)
}
