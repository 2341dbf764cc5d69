//! `cargo lab plots`: the pictures of measurements in docs/, drawn from the records beside them.
//!
//! ```text
//! panel.rs   a panel: logarithmic axes, curves with their names at their ends
//! verify.rs  docs/bench/verify.svg
//! storm.rs   docs/storm/storm.svg, full-size.svg
//! ```

mod panel;
mod storm;
mod verify;

use anyhow::Result;

use crate::repository::Repository;
use crate::{bench, panics, record, storm as storms};

/// Draw docs/bench/verify.svg and the pictures of docs/storm, and write the tables beside them
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

        for name in storms::RECORDS {
            let (path, report) = storms::paths(name);
            let (machine, measured) = record::read(repo, &path)?;
            let picture = format!("docs/storm/{name}.svg");
            repo.write(&picture, &storm::svg(&machine, &measured))?;
            let table = storms::table::Table { name: name.to_owned(), machine, measured };
            repo.write(&report, &table.to_string())?;
        }

        for name in panics::RECORDS {
            let (path, table) = panics::paths(name);
            let (machine, panicked) = record::read(repo, &path)?;
            let report = panics::Report { name: name.to_owned(), machine, panicked };
            repo.write(&table, &report.to_string())?;
        }
        Ok(())
    }
}
