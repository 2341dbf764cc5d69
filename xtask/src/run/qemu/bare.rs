//! `cargo xtask qemu bare`: the fault matrix by hand. No kernel of a distribution is needed for it.
//!
//! On exit: the story of each case that was asked for, and how to look at it under gdb; or what
//! went otherwise than it must.

use std::io::{ErrorKind, Write};

use anyhow::{Context as _, Result, bail, ensure};
use qemu_runner::Context;
use qemu_runner::bare::debugger::{GDBINIT, SCRIPT};
use qemu_runner::bare::{self, Case, FAMILIES, Machines, Start, cases};
use xshell::Shell;

use super::tell::{End, Teller};
use crate::build;
use crate::command;
use crate::gate;
use crate::repository::Repository;
use crate::setup;

/// A bit flipped, found, named, and the machine reset.
const DEFAULT: &str = "initrd-at-leaf-border";

/// Crash a kernel of our own whose purgatory or memory is damaged in one of many ways, and show
/// what comes of it
///
/// Brings and builds what is needed first: QEMU and crates, no kernel of a distribution. What a
/// case leaves is under target/qemu/bare-CASE/.
#[derive(clap::Args)]
pub struct Args {
    /// Which cases, by name or by the beginning of their names
    #[arg(default_value = DEFAULT, conflicts_with_all = ["list", "all", "write_table"])]
    case: Vec<String>,
    /// List the cases and when each is
    #[arg(long, conflicts_with_all = ["all", "gdb", "keep", "write_table"])]
    list: bool,
    /// Run every case, as many at a time as there are CPUs
    #[arg(long, conflicts_with_all = ["gdb", "keep", "write_table"])]
    all: bool,
    /// Stop before the first instruction until gdb connects to this port of localhost, 1234 if none
    /// is named; no deadline
    // qemu_runner::bare::debugger::PORT, as a test shows.
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true,
          default_missing_value = "1234")]
    pub gdb: Option<u16>,
    /// Keep the guest's memory and RAM disk too
    #[arg(long)]
    keep: bool,
    /// Print TAP version 14 on stdout
    #[arg(long, conflicts_with_all = ["list", "gdb", "write_table"])]
    tap: bool,
    /// Write the table of cases into tests/README.md
    #[arg(long)]
    write_table: bool,
}

impl Args {
    /// Does it, and fails if a case does.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        if self.list {
            return list();
        }
        if self.write_table {
            return write_table(repo);
        }
        if self.all && !self.tap {
            prepare(sh, repo)?;
            return command::show(gate::harness(sh, repo, "bare", &None));
        }
        // Names first: a typing error must not cost a build.
        let wanted = if self.all { cases().collect() } else { by_names(&self.case)? };
        ensure!(
            self.gdb.is_none() || wanted.len() == 1,
            "gdb looks at one case at a time, not at {}",
            wanted.len()
        );
        let mut teller = Teller::new(self.tap);
        let prepared =
            prepare(sh, repo).and_then(|()| Ok(Context::from_repo(&repo.root, None, self.keep)?));
        let prepared = prepared.and_then(|context| Ok((Machines::new(&context)?, context)));
        let (machines, context) =
            prepared.map_err(|error| teller.bail_out(format!("{error:#}")))?;
        if self.gdb.is_some() {
            println!("{} waits for gdb", wanted[0].name);
        }
        teller.plan(wanted.len());
        self.run_in_turn(repo, &wanted, &context, &machines, &mut teller)?;
        teller.finish()
    }

    /// Runs cases one after the other and tells their stories.
    fn run_in_turn(
        &self,
        repo: &Repository,
        wanted: &[&'static Case],
        context: &Context,
        machines: &Machines,
        teller: &mut Teller,
    ) -> Result<()> {
        for case in wanted {
            teller.remark(&format!("when {}", case.summary));
            let start = if self.all { Start::Booted } else { Start::Boots { debugger: self.gdb } };
            let result = bare::run(case, context, machines, start);
            teller.tell(case.name, &End::of(result.map(|outcome| outcome.to_string())));
            if self.gdb.is_none() && !self.tap {
                println!("{}", again(repo, case)?);
            }
        }
        Ok(())
    }
}

/// Brings and builds what a case needs.
fn prepare(sh: &Shell, repo: &Repository) -> Result<()> {
    setup::linker(sh)?;
    setup::emulator(sh, repo)?;
    build::purgatory(sh, repo)?;
    build::bare::build(sh, repo)
}

/// Prints the matrix, family by family.
fn list() -> Result<()> {
    let width = cases().map(|case| case.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (family, cases) in FAMILIES {
        text += &format!("{family}:\n");
        for Case { name, summary, .. } in *cases {
            text += &format!("  {name:width$}  {summary}\n");
        }
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        // It is long: a reader of its beginning may close the pipe.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to stdout"),
    }
}

/// Makes the table in tests/README.md that of the matrix.
fn write_table(repo: &Repository) -> Result<()> {
    let path = repo.root.join(bare::README);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let text = bare::with_table(&text)
        .with_context(|| format!("{} has no markers for the table", path.display()))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{} cases in the table of {}", cases().count(), path.display());
    Ok(())
}

/// How to look at a case that has been run; empty when it failed before there was anything to look
/// at.
fn again(repo: &Repository, case: &Case) -> Result<String> {
    let directory = repo.run(&bare::directory_name(case.name));
    let script = directory.join(SCRIPT);
    if !script.is_file() {
        return Ok(String::new());
    }
    let line = std::fs::read_to_string(&script)
        .with_context(|| format!("cannot read {}", script.display()))?;
    let gdb = format!("gdb -x {}", directory.join(GDBINIT).display());
    let name = case.name;
    Ok(format!(
        "under gdb: cargo xtask qemu bare {name} --gdb\n\
         or without it, in two terminals (Ctrl-A C is QEMU's monitor, which plugs in CPUs and \
         memory):\n{line}{gdb}\n"
    ))
}

/// The cases with these names, or else with names that begin so.
fn by_names(names: &[String]) -> Result<Vec<&'static Case>> {
    let mut wanted: Vec<&'static Case> = Vec::new();
    for name in names {
        // A trailing * is what people write who think of files.
        let beginning = name.trim_end_matches('*');
        let mut found: Vec<_> = cases().filter(|case| case.name == name).collect();
        if found.is_empty() {
            found = cases().filter(|case| case.name.starts_with(beginning)).collect();
        }
        if found.is_empty() {
            bail!("no case is called {name}; `cargo xtask qemu bare --list` lists them");
        }
        found.retain(|case| wanted.iter().all(|other| other.name != case.name));
        wanted.extend(found);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<Vec<&'static str>> {
        Ok(by_names(&[name.to_owned()])?.iter().map(|case| case.name).collect())
    }

    #[test]
    fn a_name_names_its_case_and_a_beginning_all_that_begin_so() {
        let all: Vec<_> =
            cases().map(|case| case.name).filter(|name| name.starts_with("elfcorehdr-")).collect();
        assert!(all.len() > 1);
        assert_eq!(named("elfcorehdr-*").unwrap(), all);
        assert_eq!(named("sound").unwrap(), ["sound"]);
        assert_eq!(named(DEFAULT).unwrap(), [DEFAULT]);
        let twice = by_names(&["sound".to_owned(), "sound*".to_owned()]).unwrap();
        assert_eq!(twice.iter().filter(|case| case.name == "sound").count(), 1);
        assert!(named("soundd").unwrap_err().to_string().contains("soundd"));
    }
}
