//! The dump as a file on the host, for its readers: crash, drgn, makedumpfile.
//!
//! *On entry*: a capture kernel whose vmcore has been read as far as its headers; or a disk to
//! which the /init of `load --capture` has saved a dump.
//!
//! *On exit*: `vmcore` in the scenario's directory. It has the bytes of /proc/vmcore: headers and
//! notes as the capture kernel shows them, and the memory that it would read, which QEMU saves
//! faster than an emulated machine could send it. Or `dump`, the saved one.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::capture::Crashed;
use super::saved::Saved;
use crate::error::Error;
use crate::evidence::elfcore::ElfCore;

/// The file.
const VMCORE: &str = "vmcore";
/// The saved one.
const DUMP: &str = "dump";
/// One PT_LOAD, on its way into the file.
const PART: &str = "vmcore.part";
/// Bytes at a time. Where all of them are zero, the file has a hole.
const CHUNK: usize = 1 << 20;

impl Crashed<'_, '_> {
    /// Writes the dump with these headers, and returns its path.
    pub fn keep_vmcore(&mut self, core: &ElfCore) -> Result<PathBuf, Error> {
        let (path, part) = (self.stage.directory.join(VMCORE), self.stage.directory.join(PART));
        let mut file = File::create(&path).map_err(Error::file("create", &path))?;
        let head = self.read_vmcore(0, core.first_load_offset() as usize)?;
        file.write_all(&head).map_err(Error::file("write", &path))?;
        for load in &core.loads {
            let len = load.physical.end - load.physical.start;
            self.vm.monitor.save_memory(load.physical.start, len, &part)?;
            let mut saved = File::open(&part).map_err(Error::file("open", &part))?;
            let (mut chunk, mut offset) = (vec![0; CHUNK], load.offset);
            loop {
                let read = saved.read(&mut chunk).map_err(Error::file("read", &part))?;
                if read == 0 {
                    break;
                }
                if chunk[..read].iter().any(|&byte| byte != 0) {
                    let write = file.write_all_at(&chunk[..read], offset);
                    write.map_err(Error::file("write", &path))?;
                }
                offset += read as u64;
            }
        }
        file.set_len(core.vmcore_len()).map_err(Error::file("write", &path))?;
        fs::remove_file(&part).map_err(Error::file("remove", &part))?;
        self.stage.outcome.now(format!("vmcore kept: {}", path.display()));
        Ok(path)
    }

    /// Writes the dump in the partition of a disk's image, and returns its path.
    pub fn keep_saved(&mut self, image: &Path) -> Result<PathBuf, Error> {
        let path = self.stage.directory.join(DUMP);
        Saved::extract_from_partition(image, &path)?;
        self.stage.outcome.now(format!("dump kept: {}", path.display()));
        Ok(path)
    }
}
