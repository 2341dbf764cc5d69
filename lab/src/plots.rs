//! `cargo lab plots`: the pictures of measurements in docs/, drawn from the records beside them.
//!
//! ```text
//! panel.rs   a panel: logarithmic axes, curves with their names at their ends
//! verify.rs  docs/bench/verify.svg
//! storm.rs   docs/storm/storm.svg
//! ```

mod panel;
mod storm;
mod verify;

use anyhow::Result;

use crate::repository::Repository;
use crate::{bench, panics, record, storm as storms};

/// Draw docs/bench/verify.svg and docs/storm/storm.svg, and write the tables beside them
///
/// Measures nothing: the records beside them are read.
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let (machine, measured) = record::read(repo, bench::RECORD)?;
        repo.write("docs/bench/verify.svg", &verify::svg(&machine, &measured))?;
        let report = bench::report::Report { machine, measured };
        repo.write("docs/bench/verify.txt", &report.to_string())?;

        let (machine, measured) = record::read(repo, storms::RECORD)?;
        repo.write("docs/storm/storm.svg", &storm::svg(&machine, &measured))?;
        let table = storms::table::Table { machine, measured };
        repo.write("docs/storm/storm.md", &table.to_string())?;

        let (machine, panicked) = record::read(repo, panics::RECORD)?;
        let report = panics::Report { machine, panicked };
        repo.write("docs/storm/panics.md", &report.to_string())
    }
}
