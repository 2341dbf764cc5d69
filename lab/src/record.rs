//! Records: JSON Lines, first the machine, then one measurement a line.
//!
//! A record is written anew after each measurement, so an interrupted series keeps what it has.
//! Tables and pictures are drawn from records, without a new measurement.

use std::fmt::Display;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::machine::{Figures, Machine};
use crate::repository::Repository;

pub fn write<T: Serialize>(
    repo: &Repository,
    path: &str,
    machine: &Machine,
    measured: &[T],
) -> Result<()> {
    let mut text = serde_json::to_string(machine)? + "\n";
    for one in measured {
        text += &(serde_json::to_string(one)? + "\n");
    }
    repo.write(path, &text)
}

/// How a series is recorded.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Write the record and its table below docs/
    #[arg(long)]
    pub write: bool,
    /// Keep what the record has, and measure only what it lacks
    #[arg(long, requires = "write")]
    resume: bool,
    /// Stop after so many measurements, for a machine with other work; --resume goes on from there
    #[arg(long, value_name = "N", requires = "write")]
    at_most: Option<usize>,
}

impl Options {
    /// Measures what is `wanted`, one after the other, and says how long each took. With --write,
    /// writes the record at `path` after each. With --resume, the record goes on, without what it
    /// has: `is_of` says of what a measurement is.
    pub fn series<T: Serialize + DeserializeOwned, R>(
        &self,
        repo: &Repository,
        (path, figures): (&str, Figures),
        wanted: impl IntoIterator<Item = R>,
        is_of: impl Fn(&T, &R) -> bool,
        measure: impl Fn(R) -> Result<(T, String)>,
    ) -> Result<(Machine, Vec<T>)> {
        // Without a record, everything is lacking.
        let goes_on = self.resume && repo.root.join(path).exists();
        let (earlier, mut measured) = match goes_on {
            true => read(repo, path).map(|(machine, measured)| (Some(machine), measured))?,
            false => (None, Vec::new()),
        };
        let lacks = |request: &R| !measured.iter().any(|one| is_of(one, request));
        let lacked = wanted.into_iter().filter(lacks).take(self.at_most.unwrap_or(usize::MAX));
        let lacked: Vec<R> = lacked.collect();
        let machine = match earlier {
            // This machine adds nothing.
            Some(earlier) if lacked.is_empty() => earlier,
            Some(earlier) => Machine::here(repo)?.after(earlier, figures)?,
            None => Machine::here(repo)?,
        };
        for request in lacked {
            let began = Instant::now();
            let (one, line) = measure(request)?;
            eprintln!("{line}; took {} s", began.elapsed().as_secs());
            measured.push(one);
            if self.write {
                write(repo, path, &machine, &measured)?;
            }
        }
        Ok((machine, measured))
    }
}

/// Prints a report, and writes it too if that is wanted.
pub fn print(repo: &Repository, path: &str, write: bool, report: &impl Display) -> Result<()> {
    print!("{report}");
    if write { repo.write(path, &report.to_string()) } else { Ok(()) }
}

pub fn read<T: DeserializeOwned>(repo: &Repository, path: &str) -> Result<(Machine, Vec<T>)> {
    let text = repo.read(path)?;
    parse(&text).with_context(|| format!("{path} is not a record of this version"))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<(Machine, Vec<T>)> {
    let (machine, rest) = text.split_once('\n').context("the first line is missing")?;
    let measured = rest.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((serde_json::from_str(machine)?, measured))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::machine;

    #[test]
    fn a_record_is_read_back_and_a_torn_one_is_an_error() {
        let text = serde_json::to_string(&machine()).unwrap() + "\n7\n8\n";
        assert_eq!(parse::<u32>(&text).unwrap(), (machine(), vec![7, 8]));
        assert!(parse::<u32>(&(text + "{\"contest")).is_err());
        assert!(parse::<u32>("").is_err());
    }
}
