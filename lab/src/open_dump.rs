//! `cargo lab open-dump`: a machine crashes after hotplug, and drgn, crash and makedumpfile open
//! the dump: /proc/vmcore as it is, and what the /init of `load --capture` has saved.
//!
//! *On entry*: nothing; what is missing is brought and built. drgn comes from PyPI, by the
//! machine's own pip.
//!
//! *On exit*: the debug symbols are those of the crashed kernel, by its build id. drgn has found
//! the crashed task, a stack for each CPU, the process on the hot-added CPU, and a page in
//! hot-added memory by its virtual address. crash has found the same panic, and a stack for each
//! CPU. makedumpfile has found it in the log, and has filtered the dump once more.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use object::{Object, ReadCache};
use qemu_runner::readers::{self, Crash, Kind};
use tempfile::NamedTempFile;
use vmcore_filter::{Checked, DumpFile};

use crate::makedumpfile::Makedumpfile;
use crate::repository::{Repository, explain};

/// The newest release when the script was written. It reads ELF and kdump-compressed dumps.
const DRGN: &str = "drgn==0.3.0";
/// What the script does with it.
const SCRIPT: &str = "lab/src/open_dump.py";
/// What crash is asked, and what it must answer.
const ASKED: &str = "sys\nbt -a\nquit\n";
const ANSWERED: [&str; 2] = ["sysrq triggered crash", "sysrq_handle_crash"];
/// What begins the stack of each CPU.
const STACK: &str = "PID: ";
/// The level at which makedumpfile filters the dump once more: all that it can leave out.
const LEVEL: u32 = 31;

/// Crash a machine after hotplug, and open the dump with drgn, crash and makedumpfile
///
/// Downloads 320 MB of debug symbols once.
#[derive(clap::Args)]
pub struct Args {
    /// Only one of the two dumps
    #[arg(long, value_enum)]
    only: Option<Dump>,
    /// Without crash
    #[arg(long)]
    without_crash: bool,
}

/// Where a dump comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dump {
    /// /proc/vmcore as it is
    Vmcore,
    /// A partition, to which the /init of `load --capture` has saved it
    Saved,
}

impl Dump {
    fn kind(self) -> Kind {
        match self {
            Self::Vmcore => Kind::Vmcore,
            Self::Saved => Kind::Saved,
        }
    }
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        repo.xtask(&["setup", "--only", "readers"])?;
        Makedumpfile::fetch(repo)?;
        let context = repo.prepare_guests(None)?;
        let makedumpfile = Makedumpfile::find(&context)?;
        let assets = context.readers().map_err(explain)?;
        let python = drgn(&repo.root)?;
        let build_id = build_id(&assets.vmlinux)?;
        for of in Dump::value_variants().iter().filter(|of| self.only.is_none_or(|it| it == **of)) {
            let crash = readers::crash(&context, of.kind()).map_err(explain)?;
            let known = serde_json::to_string(&crash)?;
            let Crash { dump, cpus, .. } = &crash;
            println!("{}:", dump.display());
            let mut command = Command::new(&python);
            command.arg(repo.root.join(SCRIPT)).arg(&assets.vmlinux).arg(dump);
            command.args([&known, &build_id]);
            ensure!(command.status()?.success(), "drgn does not find all of it");
            if !self.without_crash {
                by_crash(assets.crash.on_host(), &assets.vmlinux, dump, *cpus)?;
            }
            by_makedumpfile(&makedumpfile, dump)?;
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

/// The build id of an ELF file, in hexadecimal digits.
fn build_id(path: &Path) -> Result<String> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let cache = ReadCache::new(file);
    let id = object::File::parse(&cache)?.build_id()?.map(<[u8]>::to_vec);
    let id = id.with_context(|| format!("{} has no build id", path.display()))?;
    Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}

fn by_crash(mut crash: Command, vmlinux: &Path, dump: &Path, cpus: usize) -> Result<()> {
    let mut questions = NamedTempFile::new()?;
    questions.write_all(ASKED.as_bytes())?;
    let files = [questions.path(), vmlinux, dump];
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
    let stacks = said.lines().filter(|line| line.starts_with(STACK)).count();
    ensure!(stacks == cpus, "crash shows the stacks of {stacks} CPUs instead of {cpus}");
    println!("ok: crash finds the panic and every CPU's stack");
    Ok(())
}

fn by_makedumpfile(makedumpfile: &Makedumpfile, dump: &Path) -> Result<()> {
    let [log, filtered] = ["dmesg", "filtered"].map(|name| dump.with_file_name(name));
    makedumpfile.write_log(dump, &log)?;
    let log = fs::read(&log)?;
    ensure!(
        String::from_utf8_lossy(&log).contains(ANSWERED[0]),
        "the log that makedumpfile reads has no {:?}",
        ANSWERED[0]
    );
    println!("ok: makedumpfile finds the panic in the log: {} bytes", log.len());
    makedumpfile.filter(LEVEL, dump, &filtered)?;
    let again = DumpFile::open(File::open(&filtered)?, 0)?;
    let Checked { saved, missing, damaged } = again.check()?;
    ensure!(
        saved > 0 && saved == again.pages(),
        "filtered by makedumpfile, {missing} pages are missing and {damaged} damaged"
    );
    let sizes = [fs::metadata(dump)?.len(), fs::metadata(&filtered)?.len()];
    println!("ok: makedumpfile filters it at level {LEVEL}: {} bytes of {}", sizes[1], sizes[0]);
    Ok(())
}
