//! `cargo lab storm`: memory comes block after block, and several ways to keep the crash image up
//! to date are measured beside one another.
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*: a table on stdout; with `--write` also in docs/storm/, with its record. Every figure
//! is from the guest's kernel (qemu-runner/src/storm.rs).

pub mod table;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::builder::PossibleValuesParser;
use qemu_runner::storm::{self, Contestant, Measured, Request, Size};

use crate::machine::Figures;
use crate::record;
use crate::repository::{Repository, explain};
use table::Table;

/// Kernel series of Debian: the last without the kernel's own updates, and two with them.
pub const SERIES: [&str; 3] = ["6.1", "6.12", "7"];
/// Records of storms: docs/storm/NAME.jsonl, with NAME.md beside it.
pub const RECORDS: [&str; 2] = ["storm", "full-size"];

/// Hot-add memory block after block, and measure which way keeps the crash image up to date
#[derive(clap::Args)]
pub struct Args {
    /// Numbers of 128 MiB blocks, one storm each; above 256, several blocks share a DIMM
    #[arg(long, value_delimiter = ',', default_values_t = [8, 32, 128, 512])]
    blocks: Vec<u32>,
    /// Only this kernel series
    #[arg(long, value_parser = PossibleValuesParser::new(SERIES))]
    kernel: Option<String>,
    /// Boot this kernel instead, which must update the elfcorehdr itself (6.6 or newer)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "write"])]
    bzimage: Option<PathBuf>,
    /// Only these contestants
    #[arg(long, value_delimiter = ',',
          value_parser = PossibleValuesParser::new(Contestant::OF_STORMS.map(Contestant::name)))]
    contestants: Vec<String>,
    /// MiB that are added to the capture kernel's initrd
    #[arg(long, default_value_t = 1)]
    ballast: usize,
    /// Which record: `storm` up to 512 blocks, `full-size` with the article's 3840
    #[arg(long, default_value = RECORDS[0], value_parser = PossibleValuesParser::new(RECORDS))]
    record: String,
    #[command(flatten)]
    recorded: record::Options,
}

/// A record, and the table beside it.
pub fn paths(name: &str) -> (String, String) {
    (format!("docs/storm/{name}.jsonl"), format!("docs/storm/{name}.md"))
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let (path, report) = paths(&self.record);
        let context = repo.prepare_guests(self.bzimage.as_deref())?;
        let measure = |request: Request| {
            let storm = storm::run(&context, &request).map_err(explain)?;
            let Measured { contestant, series, size, reloads, unprotected_s, .. } = &storm;
            let line = format!(
                "{series} {contestant}, {size}: {reloads} reloads, nothing armed for \
                 {unprotected_s:.3} s"
            );
            Ok((storm, line))
        };
        let is_of = |storm: &Measured, request: &Request| request.is_of(storm);
        let record = (path.as_str(), Figures::Times);
        let (machine, measured) =
            self.recorded.series(repo, record, self.requests()?, is_of, measure)?;
        let name = self.record.clone();
        record::print(repo, &report, self.recorded.write, &Table { name, machine, measured })
    }

    /// Whether storms of this series are wanted. The user's own kernel takes the last one's place.
    fn wants(&self, series: &str) -> bool {
        let only = self.bzimage.as_ref().map(|_| SERIES[1]).or(self.kernel.as_deref());
        only.is_none_or(|only| only == series)
    }

    /// Every storm that is possible, small ones first.
    fn requests(&self) -> Result<Vec<Request>> {
        let mut requests = Vec::new();
        for &blocks in &self.blocks {
            let (size, ballast_mib) = (Size::of(blocks)?, self.ballast);
            for series in SERIES.into_iter().filter(|series| self.wants(series)) {
                let wanted = |one: &Contestant| {
                    let is_named = self.contestants.iter().any(|name| name == one.name());
                    (is_named || self.contestants.is_empty()) && one.impossible_on(series).is_none()
                };
                let all = Contestant::OF_STORMS.into_iter().filter(wanted);
                requests.extend(all.map(|contestant| Request {
                    contestant,
                    series,
                    size,
                    ballast_mib,
                }));
            }
        }
        ensure!(!requests.is_empty(), "no storm is left; name another contestant or kernel");
        Ok(requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn requests(words: &str) -> Vec<Request> {
        let line = Line::try_parse_from(["storm"].into_iter().chain(words.split_whitespace()));
        line.unwrap().args.requests().unwrap()
    }

    #[test]
    fn by_default_every_contestant_meets_every_size_on_every_kernel_that_allows_it() {
        let all = requests("");
        assert_eq!(all.len(), 4 * (3 * Contestant::OF_STORMS.len() - 1));
        let in_kernel = |one: &Request| one.contestant == Contestant::InKernel;
        assert!(!all.iter().any(|one| in_kernel(one) && one.series == "6.1"));
        let one = requests("--blocks 8 --kernel 6.12 --contestants in-kernel");
        assert!(one.len() == 1 && in_kernel(&one[0]), "{}", Contestant::InKernel);
    }
}
