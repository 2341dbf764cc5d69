//! `cargo lab open-dump`: a machine crashes after hotplug, and drgn and crash open the dump.
//!
//! *On entry*: nothing; what is missing is brought and built. drgn comes from PyPI, by the machine's
//! own pip.
//!
//! *On exit*: drgn has found the crashed task, a stack for each CPU, the process on the hot-added
//! CPU, and a page in hot-added memory by its virtual address. crash has found the same panic.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use qemu_runner::readers::{self, Crash};
use tempfile::NamedTempFile;

use crate::repository::{Repository, explain};

/// The newest release when the script was written. It reads ELF and kdump-compressed dumps.
const DRGN: &str = "drgn==0.3.0";
/// What the script does with it.
const SCRIPT: &str = "lab/src/open_dump.py";
/// What crash is asked, and what it must answer.
const ASKED: &str = "sys\nbt -a\nquit\n";
const ANSWERED: [&str; 2] = ["sysrq triggered crash", "sysrq_handle_crash"];

/// Crash a machine after hotplug, and open the dump with drgn and crash
///
/// Downloads 320 MB of debug symbols once.
#[derive(clap::Args)]
pub struct Args {
    /// Only drgn
    #[arg(long)]
    without_crash: bool,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        repo.xtask(&["setup", "--only", "readers"])?;
        let context = repo.prepare_guests(None)?;
        let assets = context.readers().map_err(explain)?;
        let python = drgn(&repo.root)?;
        let crash = readers::crash(&context).map_err(explain)?;
        let known = serde_json::to_string(&crash)?;
        let Crash { vmcore, .. } = &crash;
        let mut command = Command::new(python);
        command.arg(repo.root.join(SCRIPT)).arg(&assets.vmlinux).arg(vmcore).arg(known);
        ensure!(
            command.status()?.success(),
            "drgn does not find all of it in {}",
            vmcore.display()
        );
        if !self.without_crash {
            by_crash(assets.crash.on_host(), &assets.vmlinux, vmcore)?;
        }
        Ok(())
    }
}

/// A Python that has drgn, in a virtual environment under target/assets.
fn drgn(root: &Path) -> Result<PathBuf> {
    let directory = root.join("target/assets/drgn");
    let python = directory.join("bin/python");
    if !directory.join("bin/drgn").exists() {
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv"]).arg(&directory))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", DRGN]))?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}

fn by_crash(mut crash: Command, vmlinux: &Path, vmcore: &Path) -> Result<()> {
    let mut questions = NamedTempFile::new()?;
    questions.write_all(ASKED.as_bytes())?;
    let files = [questions.path(), vmlinux, vmcore];
    let output = crash.args(["-s", "-i"]).args(files).output().context("cannot start crash")?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    for words in ANSWERED {
        ensure!(
            said.contains(words),
            "crash does not say {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    println!("ok: crash finds the panic and every CPU's stack");
    Ok(())
}
