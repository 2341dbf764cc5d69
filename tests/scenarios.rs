//! One test per scenario: real kernels, real panics. Those of the laboratory are ignored, unless
//! `--ignored` or `--include-ignored` is given. A scenario whose parts are not there has failed,
//! unless it may be skipped: then it is reported as ignored, with the reason. Two run at a time
//! unless `--test-threads` says otherwise: each has two virtual CPUs that are emulated. Machines
//! that boot alike do so two or three times, and the others go on from there.

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use qemu_runner::{Context, Scenario, scenarios};

/// How many machines run at the same time.
const MACHINES: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(MACHINES));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in the repository");
    let context = match Context::from_repo(root, None, false).and_then(Context::with_checkpoints) {
        Ok(context) => context,
        Err(error) => {
            eprintln!("{}", error.chain());
            return ExitCode::FAILURE;
        }
    };
    let trial = |scenario: &'static Scenario| {
        let context = context.clone();
        Trial::ignorable_test(scenario.name, move || run(scenario, &context))
            .with_ignored_flag(scenario.lab.is_some())
    };
    libtest_mimic::run(&arguments, scenarios().iter().map(trial).collect()).exit_code()
}

fn run(scenario: &Scenario, context: &Context) -> Result<Completion, Failed> {
    match scenario.missing(context) {
        Some(reason) if scenario.may_be_skipped() => return Ok(Completion::ignored_with(reason)),
        Some(reason) => return Err(format!("cannot be run here: {reason}").into()),
        None => {}
    }
    match scenario.run(context) {
        Ok(outcome) => {
            // Standard output is the test runner's, which writes a line in pieces.
            eprintln!("{outcome}");
            Ok(Completion::Completed)
        }
        Err(error) => Err(error.chain().into()),
    }
}
