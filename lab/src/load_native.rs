//! `cargo lab load-native`: how much CPU time and memory kdump-loader and kexec-tools take to arm
//! the same files on the same machine, on the bare CPU.
//!
//! ```text
//! root.rs    (1) a directory that looks like one machine to both programs
//! call.rs    (2) one call of a program below that directory; kexec_load(2) is answered for it
//! report.rs  (3) medians and ratios
//! ```
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*: every call of both programs succeeded, and failed where kexec_load(2) did. A table is
//! on stdout; with `--write` also in docs/bench/.

pub mod call;
mod report;
mod root;

use anyhow::{Result, ensure};
use nix::errno::Errno;

use crate::machine::Machine;
use crate::record;
use crate::repository::{Repository, explain};
use call::Usage;
use report::{Compared, Report, Spread};
use root::Root;

const TABLE: &str = "docs/bench/load-native.md";
/// The kernel that is armed.
const SERIES: &str = "6.12";
/// For both programs.
const APPEND: &str = "console=ttyS0 nr_cpus=1 reset_devices acpi_no_memhotplug";

/// Measure `load` and `reload` beside kexec-tools, on the bare CPU; kexec_load(2) is only pretended
#[derive(clap::Args)]
pub struct Args {
    /// Pairs of calls; the programs take turns in going first
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(3..))]
    pairs: u32,
    /// Write docs/bench/load-native.md
    #[arg(long)]
    write: bool,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        repo.xtask(&["setup", "--only", "kernels,kexec"])?;
        repo.xtask(&["build", "--guests"])?;
        let context = repo.context()?;
        let kernel = context.kernel(SERIES).map_err(explain)?;
        let kexec = context.kexec().map_err(explain)?;
        let root = Root::plant(repo, kernel, kexec)?;
        let mut compared = Vec::new();
        for what in whats(&kexec.program) {
            what.expect_calls(&root)?;
            compared.push(self.compare(&root, what)?);
        }
        let machine = Machine::here(repo)?;
        let files = root.describe();
        let report =
            Report { machine, pairs: self.pairs, peer: kexec.version.clone(), files, compared };
        record::print(repo, TABLE, self.write, &report)
    }

    /// Both programs in turns, so a busy minute of this machine slows both.
    fn compare(&self, root: &Root, what: What) -> Result<Compared> {
        let What { name, theirs, ours, .. } = what;
        let (mut their_usage, mut our_usage) = (Vec::new(), Vec::new());
        for pair in 0..self.pairs {
            let mut turns = [(&theirs, &mut their_usage), (&ours, &mut our_usage)];
            if pair % 2 == 1 {
                turns.reverse();
            }
            for (words, usage) in turns {
                usage.push(root.call(words, None)?);
            }
        }
        eprintln!("{name}: {} pairs", self.pairs);
        let [theirs, ours] = [their_usage, our_usage].map(|usage| Spread::of(&usage));
        Ok(Compared { name, theirs, ours })
    }
}

/// A call of each program, which do the same.
struct What {
    name: &'static str,
    theirs: Vec<String>,
    ours: Vec<String>,
    /// Whether ours arms.
    arms: bool,
}

/// The part that the gate runs: every call of both programs, without measuring. Returns a line for
/// each.
pub fn check(repo: &Repository) -> Result<Vec<String>> {
    let context = repo.context()?;
    let (kernel, kexec) = match (context.kernel(SERIES), context.kexec()) {
        (Ok(kernel), Ok(kexec)) => (kernel, kexec),
        (Err(error), _) | (_, Err(error)) => return Ok(vec![format!("skipped: {error}")]),
    };
    let root = Root::plant(repo, kernel, kexec)?;
    // A sandbox may forbid both a new root and user namespaces.
    if let Err(error) = root.call(&[root::LOADER.into(), "--version".into()], None) {
        return Ok(vec![format!("skipped: {error}")]);
    }
    let mut lines = Vec::new();
    for what in whats(&kexec.program) {
        what.expect_calls(&root)?;
        lines.push(format!("{}: both programs end as kexec_load(2) does", what.name));
    }
    Ok(lines)
}

/// In an order in which each finds what it needs: a reload, the record of a load.
fn whats(kexec: &str) -> Vec<What> {
    let words = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (kernel, initrd, loader) = (root::KERNEL, root::INITRD, root::LOADER);
    let (initrd_option, append_option) =
        (format!("--initrd={initrd}"), format!("--append={APPEND}"));
    let theirs = words(&[kexec, "-p", "-c", "--hotplug", kernel, &initrd_option, &append_option]);
    let load = ["load", "--kernel", kernel, "--initrd", initrd, "--append", APPEND];
    let ours = |arguments: &[&str]| words(&[&[loader], arguments].concat());
    let what = |name, arguments: &[&str], arms| What {
        name,
        theirs: theirs.clone(),
        ours: ours(arguments),
        arms,
    };
    vec![
        what("load", &load, true),
        what("reload that arms", &["reload", "--force"], true),
        what("reload when the image is up to date", &["reload"], false),
    ]
}

impl What {
    /// Checks that a program that arms asks the kernel and believes the answer: if kexec_load(2)
    /// fails, so must the program.
    fn expect_calls(&self, root: &Root) -> Result<()> {
        for (words, arms) in [(&self.theirs, true), (&self.ours, self.arms)] {
            root.call(words, None)?;
            let refused = root.call(words, Some(Errno::ENOMEM));
            let expected = if arms { "an error" } else { "no call of it" };
            ensure!(
                refused.is_err() == arms,
                "`{}` with a failing kexec_load(2): expected {expected}, found {refused:?}",
                words.join(" ")
            );
        }
        Ok(())
    }
}

impl Root {
    fn call(&self, words: &[String], refuse: Option<Errno>) -> Result<Usage> {
        call::in_a_process(self.path(), words, refuse)
    }
}
