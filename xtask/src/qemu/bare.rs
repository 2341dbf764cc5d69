//! `cargo xtask qemu bare`: cases of the fault matrix, by hand.

use anyhow::{Context as _, Result, bail};
use qemu_runner::bare::{self, Case};
use qemu_runner::{Context, bare::cases};
use xshell::Shell;

use crate::build;
use crate::repository::Repository;
use crate::setup;

/// The word that stands for this harness among the scenarios.
pub const NAME: &str = "bare";
/// A bit flipped, found, named, and the machine reset.
const DEFAULT: &str = "initrd-at-leaf-border";

/// Prints the matrix.
pub fn list() {
    let width = cases().map(|case| case.name.len()).max().unwrap_or(0);
    cases().for_each(|case| println!("{:width$}  {}", case.name, case.summary));
}

/// Makes the table in tests/README.md that of the matrix.
pub fn write_table(repo: &Repository) -> Result<()> {
    let path = repo.root.join(bare::README);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = bare::with_table(&text).with_context(|| format!("{} has no markers for the table", path.display()))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Runs the cases whose names begin with one of `names`; the default case when there are none.
pub fn run(sh: &Shell, repo: &Repository, names: &[String], keep: bool) -> Result<()> {
    let wanted = by_names(names)?;
    prepare(sh, repo)?;
    let context = Context::from_repo(&repo.root, None, keep)?;
    let mut failed = Vec::new();
    for case in &wanted {
        match bare::run(case, &context) {
            Ok(outcome) => println!("{outcome}"),
            Err(error) => {
                eprintln!("{}", error.chain());
                failed.push(case.name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("{} of {} cases failed: {}", failed.len(), wanted.len(), failed.join(", "));
    }
    Ok(())
}

/// Brings and builds what a case needs: no kernel, nothing but QEMU and crates.
pub fn prepare(sh: &Shell, repo: &Repository) -> Result<()> {
    setup::linker(sh)?;
    setup::emulator(sh, repo)?;
    build::purgatory(sh, repo)?;
    build::bare::build(sh, repo)
}

fn by_names(names: &[String]) -> Result<Vec<&'static Case>> {
    let default = [DEFAULT.to_owned()];
    let names = if names.is_empty() { &default } else { names };
    let mut wanted = Vec::new();
    for name in names {
        let exact = cases().find(|case| case.name == name);
        let found: Vec<_> =
            exact.map_or_else(|| cases().filter(|case| case.name.starts_with(name.as_str())).collect(), |case| vec![case]);
        if found.is_empty() {
            bail!("there is no case {name}; `cargo xtask qemu bare --list` lists them");
        }
        wanted.extend(found);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_case_exists() {
        assert_eq!(by_names(&[]).unwrap()[0].name, DEFAULT);
    }

    #[test]
    fn a_beginning_names_all_that_begin_so() {
        assert!(by_names(&["block-magic".into()]).unwrap().len() == 1);
        assert!(by_names(&["elfcorehdr-".into()]).unwrap().len() > 20);
        assert_eq!(by_names(&["sound".into()]).unwrap().len(), 1, "an exact name is only itself");
        assert!(by_names(&["soundd".into()]).map(|cases| cases.len()).unwrap_err().to_string().contains("soundd"));
    }
}
