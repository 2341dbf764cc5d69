//! One test per scenario: real kernels, real panics. A scenario whose parts are not there has failed, unless it may be
//! skipped: then it is reported as ignored, with the reason. Two run at a time unless `--test-threads` says otherwise: each has
//! two virtual CPUs that are emulated. Machines that boot alike do so two or three times, and the others go on from there.

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use qemu_runner::{Context, Scenario, scenarios};

/// What is run by name only, with `cargo xtask qemu`, and why.
const BY_NAME: [(&str, &str); 4] = [
    (
        "debian-service-peer",
        "the control of debian-service, which shows nothing of ours and takes minutes: `cargo xtask qemu debian-service-peer`",
    ),
    ("peer-jump-time", "a measurement, which shows a figure and nothing else: `cargo xtask qemu peer-jump-time`"),
    ("peer-jump-time-soft", "a measurement, which shows a figure and nothing else: `cargo xtask qemu peer-jump-time-soft`"),
    ("storm-per-event", "the control of the other storms, which shows nothing of ours: `cargo xtask qemu storm-per-event`"),
];
/// How many machines run at the same time.
const MACHINES: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(MACHINES));
    assert!(BY_NAME.iter().all(|(name, _)| scenarios().iter().any(|scenario| scenario.name == *name)), "{BY_NAME:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the repository");
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
    };
    libtest_mimic::run(&arguments, scenarios().iter().map(trial).collect()).exit_code()
}

fn run(scenario: &Scenario, context: &Context) -> Result<Completion, Failed> {
    if let Some((_, reason)) = BY_NAME.iter().find(|(name, _)| *name == scenario.name) {
        return Ok(Completion::ignored_with(*reason));
    }
    match scenario.missing(context) {
        Some(reason) if scenario.may_be_skipped => return Ok(Completion::ignored_with(reason)),
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
