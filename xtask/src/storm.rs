//! `cargo xtask storm`: memory comes block after block, and several ways of keeping the crash image true are measured beside each other.
//!
//! On entry: nothing; what is missing is brought and built. On exit: a table on stdout, and with `--write` the same as markdown, JSON and a
//! picture under `docs/storm/`. Every figure is what the guest's kernel says (`qemu-runner/src/storm.rs`); what is extrapolated is called so,
//! with the line it comes from.

mod fit; // a line through what was measured
mod model; // the line carried on to the article's storm
mod plot; // the picture
mod price; // what one load costs
pub mod results; // kept as they come, for `panics`, too
mod series; // which storms, one after another, and those of an earlier run
mod table; // the text

use anyhow::{Result, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use qemu_runner::Context;
use qemu_runner::storm::{Contestant, Size};
use xshell::Shell;

use crate::bench::machine;
use crate::qemu;
use crate::repository::Repository;
use series::Source;

/// Kernel series that storms are run on: the last without the kernel's own updates that Debian still has, and one with.
const SERIES: [&str; 2] = ["6.1", "6.12"];
/// Where the results of a series are kept as they come.
const RESULTS: &str = "target/storm/results.jsonl";

/// Hot-add memory block after block and measure who keeps the crash image true, and at what price
#[derive(clap::Args)]
pub struct Args {
    /// How many blocks of 128 MiB, each number a storm of its own; above 256 several share a DIMM
    #[arg(long, value_delimiter = ',', default_values_t = [8, 32, 128, 512])]
    blocks: Vec<u32>,
    /// Only on this kernel series
    #[arg(long, value_parser = PossibleValuesParser::new(SERIES))]
    kernel: Option<String>,
    /// Only these
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Contestant::ALL.map(Contestant::name)).map(|name| by_name(&name)))]
    contestants: Vec<Contestant>,
    /// Make the capture kernel's initial RAM disk bigger, by so many MiB
    #[arg(long, default_value_t = 1)]
    ballast: usize,
    /// Go on with an interrupted series: keep what it has measured
    #[arg(long)]
    resume: bool,
    /// Measure nothing: report what an interrupted series has measured, and what it has not
    #[arg(long, conflicts_with = "resume")]
    kept: bool,
    /// Write docs/storm/storm.md, storm.json and storm.svg
    #[arg(long)]
    write: bool,
}

impl Args {
    /// Measures and prints.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        let sizes = self.blocks.iter().map(|&blocks| Size::of(blocks)).collect::<Result<Vec<_>, _>>()?;
        ensure!(!sizes.is_empty(), "no number of blocks is given");
        let contestants = if self.contestants.is_empty() { Contestant::ALL.to_vec() } else { self.contestants.clone() };
        let kernels: Vec<_> = SERIES.into_iter().filter(|name| self.kernel.as_ref().is_none_or(|only| only == name)).collect();
        qemu::prepare(sh, repo, false)?;
        let context = Context::from_repo(&repo.root, None, false)?;
        let plan = series::Plan { kernels, sizes, contestants, ballast_mib: self.ballast };
        let source = match (self.resume, self.kept) {
            (_, true) => Source::KeptOnly,
            (true, _) => Source::KeptFirst,
            (false, false) => Source::New,
        };
        let series = series::run(&context, &plan, repo.root.join(RESULTS), source)?;
        ensure!(!series.measured.is_empty(), "nothing of this has been measured");
        let report = table::Report::new(machine::describe(sh)?, series);
        print!("{report}");
        if self.write {
            let files = [
                ("storm.json", serde_json::to_string_pretty(&report)? + "\n"),
                ("storm.md", report.to_string()),
                ("storm.svg", plot::svg(&report)?),
            ];
            results::publish(repo, &files)?;
        }
        Ok(())
    }
}

/// The contestant of this name, which the parser has already compared with the list.
fn by_name(name: &str) -> Contestant {
    Contestant::ALL.into_iter().find(|contestant| contestant.name() == name).unwrap_or(Contestant::InKernel)
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

    fn parsed(words: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(["storm"].into_iter().chain(words.split_whitespace())).map(|line| line.args)
    }

    #[test]
    fn every_contestant_is_known_by_its_name() {
        for contestant in Contestant::ALL {
            assert_eq!(parsed(&format!("--contestants {contestant}")).unwrap().contestants, [contestant]);
        }
        assert!(parsed("--contestants nobody").is_err());
    }

    #[test]
    fn without_options_every_size_of_the_article_s_order_is_measured() {
        let args = parsed("").unwrap();
        assert_eq!(args.blocks, [8, 32, 128, 512]);
        assert!(args.contestants.is_empty() && args.kernel.is_none() && !args.write);
        assert_eq!(parsed("--blocks 8,16 --kernel 6.1").unwrap().blocks, [8, 16]);
        assert!(parsed("--kernel 5.4").is_err());
    }
}
