//! Records: JSON Lines, first the machine, then one measurement a line.
//!
//! A record is written anew after each measurement, so an interrupted series keeps what it has.
//! Tables and pictures are drawn from records, without a new measurement.

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::machine::Machine;
use crate::repository::Repository;

/// Writes a record.
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

/// Reads a record.
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
