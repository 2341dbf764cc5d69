//! Which storms, one after another; those of an earlier run are not run again.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use qemu_runner::Context;
use qemu_runner::storm::{self, Contestant, Measured, Request, Size};
use serde::{Deserialize, Serialize};

use super::results::Results;

/// What is to be measured.
pub struct Plan {
    /// Kernel series.
    pub kernels: Vec<&'static str>,
    /// How much memory comes.
    pub sizes: Vec<Size>,
    /// Who keeps the image true.
    pub contestants: Vec<Contestant>,
    /// Size of the file that makes the initial RAM disk bigger, in MiB.
    pub ballast_mib: usize,
}

/// A line of the file of results.
#[derive(Serialize, Deserialize)]
struct Kept {
    ballast_mib: usize,
    measured: Measured,
}

/// What came of a plan.
pub struct Series {
    /// Every storm that was measured, now or earlier.
    pub measured: Vec<Measured>,
    /// How many of them earlier.
    pub earlier: usize,
    /// Those that were not, in words.
    pub unmeasured: Vec<String>,
}

/// Where measurements come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// All of them from storms of this run.
    New,
    /// From an earlier run where it has them.
    KeptFirst,
    /// From an earlier run alone.
    KeptOnly,
}

/// Runs them all, but those that `results` has, if those count.
pub fn run(context: &Context, plan: &Plan, results: PathBuf, source: Source) -> Result<Series> {
    let mut results = Results::<Kept>::open(results, source != Source::New)?;
    let (mut all, mut earlier, mut unmeasured) = (Vec::new(), 0, Vec::new());
    for request in requests(plan) {
        let Request { contestant, series, size, .. } = request;
        if let Some(kept) = results.earlier.iter().find(|kept| kept.answers(&request)) {
            eprintln!("{series} {contestant}, {size}: measured earlier");
            all.push(kept.measured.clone());
            earlier += 1;
            continue;
        }
        if source == Source::KeptOnly {
            unmeasured.push(format!("{series} {contestant}, {size}"));
            continue;
        }
        let began = Instant::now();
        let measured = storm::run(context, &request).map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
        let Measured { reloads, unprotected_s, poll_hz, .. } = measured;
        let took = began.elapsed().as_secs_f64();
        eprintln!(
            "{series} {contestant}, {size}: {reloads} reloads, {unprotected_s:.3} s with nothing armed, polled at {poll_hz:.0} Hz; took {took:.0} s"
        );
        let kept = Kept { ballast_mib: request.ballast_mib, measured };
        results.keep(&kept)?;
        all.push(kept.measured);
    }
    Ok(Series { measured: all, earlier, unmeasured })
}

/// Every storm that is possible, small ones first: an impossible contestant is left out, which the table says.
fn requests(plan: &Plan) -> Vec<Request> {
    let mut requests = Vec::new();
    for &size in &plan.sizes {
        for &series in &plan.kernels {
            let possible = plan.contestants.iter().filter(|contestant| contestant.impossible_on(series).is_none());
            requests.extend(possible.map(|&contestant| Request { contestant, series, size, ballast_mib: plan.ballast_mib }));
        }
    }
    requests
}

impl Kept {
    fn answers(&self, request: &Request) -> bool {
        let Measured { contestant, series, size, .. } = &self.measured;
        (*contestant, series.as_str(), *size) == (request.contestant, request.series, request.size)
            && self.ballast_mib == request.ballast_mib
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_cannot_do_is_not_tried() {
        let sizes = vec![Size::of(8).unwrap(), Size::of(32).unwrap()];
        let plan = Plan { kernels: vec!["6.1", "6.12"], sizes, contestants: Contestant::ALL.to_vec(), ballast_mib: 1 };
        let requests = requests(&plan);
        let impossible = |request: &Request| request.contestant == Contestant::InKernel && request.series == "6.1";
        assert!(!requests.iter().any(impossible));
        assert_eq!(requests.len(), 2 * (2 * Contestant::ALL.len() - 1));
    }
}
