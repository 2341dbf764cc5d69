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
    let manifest = of(&repo.dist(), &shipped(repo)?)?;
    write_if_changed(manifest.as_bytes(), &repo.dist().join(NAME), 0o644)
}

pub fn print(repo: &Repository) -> Result<()> {
    let text = crate::repository::read(&repo.dist().join(NAME))?;
    print!("{}", String::from_utf8_lossy(&text));
    Ok(())
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
    let listing = || format!("cannot list {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(listing)? {
        let path = entry.with_context(listing)?.path();
        files.extend(if path.is_dir() { files_below(&path)? } else { vec![path] });
    }
    files.sort();
    Ok(files)
}

/// One line per file: digest, size, name relative to `root`.
fn of(root: &Path, files: &[PathBuf]) -> Result<String> {
    let mut manifest = String::new();
    for path in files {
        let bytes = crate::repository::read(path)?;
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
