//! Whose figures these are.

use anyhow::{Context, Result};
use serde::Serialize;
use xshell::{Shell, cmd};

use crate::command;

/// The machine and what was on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// As /proc/cpuinfo names it.
    pub cpu: String,
    /// How many of them.
    pub cpus: usize,
    /// `uname -r`.
    pub kernel: String,
    /// `rustc --version`.
    pub rustc: String,
    /// The commit, with `-dirty` where files differ from it.
    pub commit: String,
    /// The day.
    pub date: String,
}

/// Asks this machine.
pub fn describe(sh: &Shell) -> Result<Machine> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let cpu =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |(_, name)| name);
    let said = |cmd: xshell::Cmd<'_>| command::read(cmd).map(|text| text.trim().to_owned());
    Ok(Machine {
        cpu: cpu.to_owned(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: said(cmd!(sh, "uname -r"))?,
        rustc: said(cmd!(sh, "rustc --version"))?,
        commit: said(cmd!(sh, "git describe --always --dirty --abbrev=10"))?,
        date: said(cmd!(sh, "date --utc +%Y-%m-%d"))?,
    })
}
