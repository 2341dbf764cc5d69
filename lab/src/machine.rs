//! The machine that figures are from.

use std::fmt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::repository::Repository;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// As /proc/cpuinfo names it.
    pub cpu: String,
    pub cpus: usize,
    /// `uname -r`.
    pub kernel: String,
    /// `rustc --version`.
    pub rustc: String,
    /// The commit, with `-dirty` if files differ from it.
    pub commit: String,
    /// The day, as in ISO 8601.
    pub date: String,
    /// Commit and day of an earlier part of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

impl Machine {
    pub fn here(repo: &Repository) -> Result<Self> {
        let cpuinfo =
            std::fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let model = |line: &str| Some(line.strip_prefix("model name")?.split_once(": ")?.1.into());
        let printed_by = |line: &str| {
            let mut words = line.split(' ');
            let mut command = Command::new(words.next().unwrap_or_default());
            let output = command.args(words).current_dir(&repo.root).output();
            let output = output.with_context(|| format!("cannot start `{line}`"))?;
            anyhow::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        Ok(Self {
            cpu: cpuinfo.lines().find_map(model).unwrap_or_else(|| "unknown".into()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: printed_by("uname -r")?,
            rustc: printed_by("rustc --version")?,
            commit: printed_by("git describe --always --dirty --abbrev=10")?,
            date: printed_by("date --utc +%Y-%m-%d")?,
            since: None,
        })
    }

    /// This machine, where a record goes on that `earlier` began. Figures of two machines do not
    /// belong into one record.
    pub fn after(self, earlier: Self) -> Result<Self> {
        let first = format!("commit {}; {}", earlier.commit, earlier.date);
        let same = |one: &Self| (one.cpu.clone(), one.cpus, one.kernel.clone());
        ensure!(
            same(&self) == same(&earlier),
            "the record is of another machine ({earlier}); measure all of it anew"
        );
        Ok(Self { since: Some(earlier.since.unwrap_or(first)), ..self })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cpus, kernel, rustc: _, commit, date, since } = self;
        write!(out, "{cpu}, {cpus} CPUs, Linux {kernel}; ")?;
        if let Some(since) = since {
            write!(out, "begun at {since}, last measured at ")?;
        }
        write!(out, "commit {commit}; {date}")
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A machine for tests of what is printed.
    pub fn machine() -> Machine {
        let [cpu, kernel, rustc, commit, date] =
            ["CPU", "6.18", "rustc 1", "c0ffee", "2026-11-28"].map(String::from);
        Machine { cpu, cpus: 2, kernel, rustc, commit, date, since: None }
    }

    #[test]
    fn a_record_goes_on_only_on_the_machine_that_began_it() {
        let (earlier, later) = (machine(), Machine { commit: "decade".into(), ..machine() });
        let both = later.after(earlier).unwrap();
        let words = "begun at commit c0ffee; 2026-11-28, last measured at commit decade";
        assert!(both.to_string().contains(words), "{both}");
        let other = Machine { cpus: 64, ..machine() };
        assert!(other.after(machine()).is_err());
    }
}
