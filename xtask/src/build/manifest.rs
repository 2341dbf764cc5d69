//! The MANIFEST: every shipped file with its SHA-256 and its size, so that two builds can be
//! compared.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::drop_in::DROP_INS;
use super::write_if_changed;
use crate::repository::Repository;

/// Its name in `target/dist/`.
const NAME: &str = "MANIFEST";

/// Writes it for the files that are in `target/dist/` now.
pub fn write(repo: &Repository) -> Result<()> {
    write_if_changed(of(&repo.dist(), &shipped(repo)?)?.as_bytes(), &repo.dist().join(NAME))
}

/// Its text.
pub fn read(repo: &Repository) -> Result<String> {
    let path = repo.dist().join(NAME);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Every shipped file. Programs with symbols and files for tests are not shipped.
pub fn shipped(repo: &Repository) -> Result<Vec<PathBuf>> {
    let objects = DROP_INS.iter().map(|drop_in| drop_in.object(repo));
    let programs = [repo.loader(), repo.purgatory_elf()].into_iter().chain(objects);
    let texts = files_below(&repo.man())?.into_iter().chain(files_below(&repo.completions())?);
    let packages =
        [repo.debian_package(), repo.rpm_package()].into_iter().filter(|package| package.exists());
    Ok(programs.chain(texts).chain(packages).collect())
}

/// Every file below a directory, in order.
fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// One line per file: digest, size, name relative to `root`.
fn of(root: &Path, files: &[PathBuf]) -> Result<String> {
    let mut manifest = String::new();
    for path in files {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(root).unwrap_or(path);
        for byte in Sha256::digest(&bytes) {
            write!(manifest, "{byte:02x}")?;
        }
        writeln!(manifest, " {:>8} {}", bytes.len(), name.display())?;
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_digest_size_and_name() {
        let directory = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
        let path = directory.path().join("abc");
        fs::write(&path, "abc").unwrap();
        // FIPS 180-4's own example.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of(directory.path(), &[path]).unwrap(), format!("{digest}        3 abc\n"));
    }
}
