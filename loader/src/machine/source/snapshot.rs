//! `[1h]` Saves a snapshot: a copy of the files that describe a machine. With it, images for the
//! machine can be built elsewhere, and bug reports reproduced.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::machine::source::{
    ALL, CPUID, Found, IOMEM, KCORE, PRINTK_RING, Source, TSC_KHZ, Tree, WITHOUT_RESERVATION,
};
use crate::machine::vmcoreinfo::Vmcoreinfo;
use crate::machine::{Error, Measured, iomem, printk};

/// Only the owner may read a snapshot: /proc/kcore shows where KASLR put the kernel, and a command
/// line may hold credentials.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Copies every file that [`Machine::read`](crate::machine::Machine::read) reads from `root` to
/// `dir`, and adds `measured`. `dir` must be empty or absent. Returns the paths of all files
/// written.
///
/// Malformed files are copied too, because a machine that the loader cannot read is the one that
/// needs a bug report.
///
/// # Errors
///
/// A file exists but cannot be read, /proc/iomem hides its addresses, or `dir` cannot be written.
/// Nothing is left in `dir` then.
pub fn save(root: &Path, dir: &Path, measured: &Measured) -> Result<Vec<PathBuf>, Error> {
    let tree = Tree::new(root);
    let reserved = match iomem::parse(&tree.required(&IOMEM)?) {
        Err(error @ Error::Hidden { .. }) => return Err(error),
        iomem => iomem.map_or(true, |iomem| !iomem.crash_regions.is_empty()),
    };
    let ring = printk_ring(tree)?;
    let mut files = Vec::new();
    for found in everything(tree, if reserved { &[] } else { WITHOUT_RESERVATION })? {
        files.push((
            found.path.strip_prefix(root).expect("a path below the root").to_owned(),
            found.bytes,
        ));
    }
    let made = [
        Some((TSC_KHZ, format!("{}\n", measured.tsc_khz).into_bytes())),
        Some((CPUID, measured.cpuid.text().into_bytes())),
        ring.map(|bytes| (PRINTK_RING, bytes)),
    ];
    for (source, bytes) in made.into_iter().flatten() {
        files.retain(|(path, _)| path != Path::new(source.paths[0]));
        files.push((source.paths[0].into(), bytes));
    }

    let was_there = dir.exists();
    create_directory(dir)?;
    if fs::read_dir(dir).map_err(write_failed(dir))?.next().is_some() {
        return Err(Error::NotEmpty { dir: dir.to_owned() });
    }
    files
        .iter()
        .try_for_each(|(path, bytes)| write(&dir.join(path), bytes))
        .inspect_err(|_| clear(dir, &files, was_there))?;
    Ok(files.into_iter().map(|(path, _)| dir.join(path)).collect())
}

/// The memory of the printk ring buffer's struct, if it can be read.
fn printk_ring(tree: Tree<'_>) -> Result<Option<Vec<u8>>, Error> {
    let Some(kcore) = tree.optional(&KCORE)? else { return Ok(None) };
    let Some(info) = Vmcoreinfo::find(&kcore.bytes) else { return Ok(None) };
    Ok(printk::read_bytes(tree, &kcore.bytes, &info)?.ok())
}

/// Every file of [`ALL`] and of `more` that exists.
fn everything(tree: Tree<'_>, more: &[Source]) -> Result<Vec<Found>, Error> {
    let mut files = Vec::new();
    for source in ALL.iter().chain(more) {
        if source.is_numbered() {
            for number in tree.numbers(source)? {
                files.extend(tree.optional_at(source, number)?);
            }
        } else {
            files.extend(tree.optional(source)?);
        }
    }
    Ok(files)
}

fn create_directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(write_failed(path))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    create_directory(path.parent().expect("a file inside the snapshot"))?;
    let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(write_failed(path))
}

/// Removes everything that was written. Errors are ignored, so that the caller reports the first
/// one.
fn clear(dir: &Path, files: &[(PathBuf, Vec<u8>)], was_there: bool) {
    // The directory was empty, so everything in it was written here.
    for (path, _) in files {
        let _ = fs::remove_dir_all(dir.join(path.iter().next().expect("a path of several parts")));
    }
    if !was_there {
        let _ = fs::remove_dir(dir);
    }
}

fn write_failed(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Write { path, source }
}
