//! The drop-ins, run: each verifies an image through its host's symbols, as its host's loader would have it do, and stands still
//! before a flipped bit.
//!
//! On exit: a sentence for each.

use anyhow::Result;
use xshell::Shell;

use super::contestants::{Contestant, refuses_a_flipped_bit};
use crate::build::drop_in::{DROP_INS, DropIn};
use crate::repository::Repository;

/// Runs both, or says why they cannot be run.
pub fn prove(sh: &Shell, repo: &Repository) -> Result<Vec<String>> {
    if !std::arch::is_x86_feature_detected!("sha") {
        // What a CPU lacks they find out by an exception, which would end a process.
        return Ok(vec!["drop-ins: skipped: this CPU has no SHA-NI, and a process has no exception handler of theirs".into()]);
    }
    super::contestant_program(sh, repo)?;
    // Side by side, because each is watched for seconds while it does nothing.
    std::thread::scope(|scope| {
        let running = DROP_INS.each_ref().map(|drop_in| scope.spawn(|| take_and_refuse(repo, drop_in)));
        running.map(|drop_in| drop_in.join().expect("proving does not panic")).into_iter().collect()
    })
}

fn take_and_refuse(repo: &Repository, drop_in: &DropIn) -> Result<String> {
    let name = drop_in.program;
    refuses_a_flipped_bit(repo, &Contestant::drop_in(drop_in, repo))?;
    Ok(format!("drop-ins: {name}: takes an image by its host's symbols, and stands still before a flipped bit"))
}
