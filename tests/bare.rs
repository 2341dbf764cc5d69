//! One test per case of the fault matrix: a bare-metal kernel crashes, and what comes of it is
//! judged. Two run at a time unless `--test-threads` says otherwise.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use qemu_runner::Context;
use qemu_runner::bare::{self, Case, Machines, Start};

/// How many machines run at the same time.
const MACHINES: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(MACHINES));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in the repository");
    let context = Context::from_repo(root, None, false)
        .and_then(|context| Ok((Machines::new(&context)?, context)));
    let (machines, context) = match context {
        Ok((machines, context)) => (Arc::new(machines), context),
        Err(error) => {
            eprintln!("{}", error.chain());
            return ExitCode::FAILURE;
        }
    };
    let trial = |case: &'static Case| {
        let (machines, context) = (Arc::clone(&machines), context.clone());
        Trial::test(case.name, move || run(case, &context, &machines))
    };
    libtest_mimic::run(&arguments, bare::cases().map(trial).collect()).exit_code()
}

fn run(case: &'static Case, context: &Context, machines: &Machines) -> Result<(), Failed> {
    let outcome =
        bare::run(case, context, machines, Start::Booted).map_err(|error| error.chain())?;
    // Standard output is the test runner's, which writes a line in pieces.
    eprintln!("{outcome}");
    Ok(())
}
