//! One test per case of the fault matrix: a bare-metal kernel crashes, and what comes of it is judged. Two run at a time unless
//! `--test-threads` says otherwise.

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use qemu_runner::{Context, bare};

/// How many machines run at the same time.
const MACHINES: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(MACHINES));
    let trials = bare::cases().map(|case| Trial::test(case.name, move || run(case)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn run(case: &'static bare::Case) -> Result<(), Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the repository");
    let context = Context::from_repo(root, None, false).map_err(|error| error.chain())?;
    let outcome = bare::run(case, &context, &bare::Options::default()).map_err(|error| error.chain())?;
    // Standard output is the test runner's, which writes a line in pieces.
    eprintln!("{outcome}");
    Ok(())
}
