//! [1f] A snapshot: the files that describe this machine, copied, so that `plan` works elsewhere and a bug report can be replayed.

use std::fs;
use std::path::{Path, PathBuf};

use super::source::{ALL, Found, IOMEM, TSC_KHZ, Tree};
use super::{Error, iomem};

/// Copies every file that [`Machine::read`](super::Machine::read) looks at from `root` into `dir`, which must be empty or absent, and
/// notes the time-stamp counter's frequency. Returns what was written.
///
/// The copies are taken as they are: the snapshot of a machine that the loader cannot make sense of is the one that is needed most.
/// Only hidden addresses are refused, since such a copy would say nothing.
pub fn save(root: &Path, dir: &Path, tsc_khz: u32) -> Result<Vec<PathBuf>, Error> {
    let tree = Tree::new(root);
    if let Err(error @ Error::Hidden { .. }) = iomem::parse(&tree.required(&IOMEM)?) {
        return Err(error);
    }
    let write_failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    fs::create_dir_all(dir).map_err(write_failed(dir))?;
    if fs::read_dir(dir).map_err(write_failed(dir))?.next().is_some() {
        return Err(Error::NotEmpty { dir: dir.to_owned() });
    }
    let mut written = Vec::new();
    for found in everything(root)? {
        let relative = found.path.strip_prefix(root).expect("a path below the root").to_owned();
        written.push((dir.join(relative), found.bytes));
    }
    written.retain(|(path, _)| !path.ends_with(TSC_KHZ.paths[0]));
    written.push((dir.join(TSC_KHZ.paths[0]), format!("{tsc_khz}\n").into_bytes()));
    for (path, bytes) in &written {
        let parent = path.parent().expect("a file inside the snapshot");
        fs::create_dir_all(parent).map_err(write_failed(parent))?;
        fs::write(path, bytes).map_err(write_failed(path))?;
    }
    Ok(written.into_iter().map(|(path, _)| path).collect())
}

/// Every file of the table that is there and may be read. One that may not is absent from the snapshot, which says so when replayed.
fn everything(root: &Path) -> Result<Vec<Found>, Error> {
    let tree = Tree::new(root);
    let mut files = Vec::new();
    for source in ALL {
        if source.is_numbered() {
            for number in tree.numbers(source)? {
                files.extend(tree.required_at(source, number).ok());
            }
        } else {
            files.extend(tree.optional(source).ok().flatten());
        }
    }
    Ok(files)
}
