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
    /// Other machines that earlier parts are from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

/// What a record holds. It decides which machine may add to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figures {
    /// Times. Those of two machines, or of two host kernels, cannot be compared.
    Times,
    /// How often something happened in emulated guests. The host only decides how long it takes.
    Counts,
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
            others: Vec::new(),
        })
    }

    /// This machine, adding to a record that `earlier` began. Times of two machines do not belong
    /// in one record.
    pub fn after(self, earlier: Self, figures: Figures) -> Result<Self> {
        let (here, there) = (self.hardware(), earlier.hardware());
        ensure!(
            here == there || figures == Figures::Counts,
            "the record has times of another machine ({earlier}); measure all of it anew"
        );
        let first = format!("commit {}; {}", earlier.commit, earlier.date);
        let mut others = earlier.others;
        others.push(there);
        others.sort_unstable();
        others.dedup();
        others.retain(|other| *other != here);
        Ok(Self { since: Some(earlier.since.unwrap_or(first)), others, ..self })
    }

    /// What times depend on.
    fn hardware(&self) -> String {
        let Self { cpu, cpus, kernel, .. } = self;
        format!("{cpu}, {cpus} CPUs, Linux {kernel}")
    }

    /// A list of all machines, as Markdown; empty if there is only one.
    pub fn took_part(&self) -> String {
        if self.others.is_empty() {
            return String::new();
        }
        let all = self.others.iter().cloned().chain([self.hardware()]);
        let lines: String = all.map(|one| format!("* {one}\n")).collect();
        format!("Parts of the series ran on each of these machines:\n\n{lines}\n")
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, date, since, .. } = self;
        write!(out, "{}; ", self.hardware())?;
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
        Machine { cpu, cpus: 2, kernel, rustc, commit, date, since: None, others: Vec::new() }
    }

    #[test]
    fn times_of_another_machine_or_host_kernel_are_refused() {
        let (earlier, later) = (machine(), Machine { commit: "decade".into(), ..machine() });
        let both = later.after(earlier, Figures::Times).unwrap();
        let words = "begun at commit c0ffee; 2026-11-28, last measured at commit decade";
        assert!(both.to_string().contains(words), "{both}");
        assert_eq!(both.took_part(), "");
        let others =
            [Machine { cpus: 64, ..machine() }, Machine { kernel: "6.19".into(), ..machine() }];
        for other in others {
            assert!(other.after(machine(), Figures::Times).is_err());
        }
    }

    #[test]
    fn counts_go_on_anywhere_and_every_machine_is_listed_once() {
        let on = |kernel: &str| Machine { kernel: kernel.into(), ..machine() };
        let after = |later: Machine, earlier| later.after(earlier, Figures::Counts).unwrap();
        let third = after(on("6.18"), after(on("6.19"), after(on("6.19"), on("6.18"))));
        let lines = "* CPU, 2 CPUs, Linux 6.19\n* CPU, 2 CPUs, Linux 6.18\n";
        assert!(third.took_part().contains(lines), "{}", third.took_part());
        let fourth = after(on("7.0"), third);
        assert_eq!(fourth.took_part().matches("* CPU").count(), 3, "{}", fourth.took_part());
        assert!(fourth.since.unwrap().contains("c0ffee"));
    }
}
