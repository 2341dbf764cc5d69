//! (2) One call of a program below a root of its own.
//!
//! *On entry*: a directory that looks like a machine. *On exit*: the program has run there and
//! ended with 0. Whenever it called kexec_load(2), a seccomp filter gave the answer, and the kernel
//! of this machine did nothing.
//!
//! A process of its own enters the root, so that the figures are those of one program.

use std::collections::BTreeMap;
use std::os::unix::fs::chroot;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{getgid, getuid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use serde::{Deserialize, Serialize};

/// kexec_load(2) on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
const KEXEC_LOAD: i64 = 246;

/// What one process took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user space.
    pub user_s: f64,
    /// CPU time in the kernel. That of kexec_load(2) itself is not in it.
    pub system_s: f64,
    /// From its start to its end.
    pub wall_s: f64,
    /// Its peak resident set.
    pub peak_kib: u64,
}

/// Run one program below a root, without loading anything
#[derive(clap::Args)]
pub struct Call {
    /// What kexec_load(2) returns: 0 or an errno
    #[arg(long)]
    answer: u32,
    root: PathBuf,
    #[arg(trailing_var_arg = true, required = true)]
    words: Vec<String>,
}

/// Runs a program in a process below `root`. With `refuse`, kexec_load(2) fails there.
///
/// # Errors
///
/// The program did not end with 0; its words are in the error.
pub fn in_a_process(root: &Path, words: &[String], refuse: Option<Errno>) -> Result<Usage> {
    let answer = refuse.map_or(0, |errno| errno as i32);
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("call").arg("--answer").arg(answer.to_string()).arg(root).args(words);
    let output = command.output().context("cannot start this program again")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{}`: {}", words.join(" "), said.trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}

impl Call {
    pub fn run(&self) -> Result<()> {
        enter(&self.root)?;
        answer_kexec_load(self.answer)?;
        let (program, arguments) = self.words.split_first().context("no program is named")?;
        let began = Instant::now();
        let status = Command::new(program)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("cannot start {program}"))?;
        let wall_s = began.elapsed().as_secs_f64();
        ensure!(status.success(), "{program} ended with {status}");
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
        let usage = Usage {
            user_s: seconds(usage.user_time()),
            system_s: seconds(usage.system_time()),
            wall_s,
            peak_kib: usage.max_rss() as u64,
        };
        println!("{}", serde_json::to_string(&usage)?);
        Ok(())
    }
}

/// Makes `root` the root. Without privileges, as root of a user namespace.
fn enter(root: &Path) -> Result<()> {
    let (user, group) = (getuid(), getgid());
    if !user.is_root() {
        unshare(CloneFlags::CLONE_NEWUSER)
            .context("cannot create a user namespace: run as root, or allow user namespaces")?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    }
    chroot(root).with_context(|| format!("cannot make {} the root", root.display()))?;
    std::env::set_current_dir("/").context("cannot enter the new root")
}

/// From here on, kexec_load(2) does nothing in this process and its children, and returns this.
fn answer_kexec_load(answer: u32) -> Result<()> {
    let (all_calls, other_calls) = (Vec::new(), SeccompAction::Allow);
    let filter = SeccompFilter::new(
        BTreeMap::from([(KEXEC_LOAD, all_calls)]),
        other_calls,
        SeccompAction::Errno(answer),
        TargetArch::x86_64,
    )?;
    let filter: BpfProgram = filter.try_into()?;
    apply_filter(&filter).context("cannot install a seccomp filter")
}
