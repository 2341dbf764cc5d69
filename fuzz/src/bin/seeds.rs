//! Writes the seeds of every target: `seeds DIR` fills `DIR/TARGET/`.
//!
//! It runs each seed through its target first, and fails if the parser's answer is not the required
//! one.

use std::path::PathBuf;
use std::process::ExitCode;

use fuzz_targets::{TARGETS, Target};
// This program is instrumented like the targets, and the instrumentation calls into libFuzzer.
use libfuzzer_sys as _;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds DIR");
        return ExitCode::from(2);
    };
    for Target { name, check, seeds } in TARGETS {
        let dir = dir.join(name);
        for seed in seeds() {
            let answer = check(&seed.bytes);
            if answer != seed.answer {
                eprintln!(
                    "seeds: {} of {name} is {answer:?} instead of {:?}",
                    seed.name, seed.answer
                );
                return ExitCode::FAILURE;
            }
            let path = dir.join(seed.name);
            if let Err(error) =
                std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&path, &seed.bytes))
            {
                eprintln!("seeds: cannot write {}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
