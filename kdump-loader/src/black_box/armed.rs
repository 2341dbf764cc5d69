//! `[0]` The file that outlives a panic: where the armed image's black box is, and whose it is.
//!
//! *On entry* an image that the kernel has loaded. *On exit* a file below /var/lib, because a
//! reboot empties /run. The next boot needs it to find the records: the crash region can move.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, result};

use loader::image::SpanSummary;
use serde::{Deserialize, Serialize};

use crate::arm::record::{self, Error, failed, lock, state};

/// The directory of everything that outlives a reboot, below the root.
pub const STATE: &str = "var/lib/kdump-loader";
/// Its parent, which this program does not create: without it, nothing outlives a reboot.
const VAR_LIB: &str = "var/lib";
/// The file's name below [`STATE`].
pub const FILE: &str = "armed.json";
/// Version of the file's format.
pub const VERSION: u32 = 1;

const MACHINE_ID: &str = "etc/machine-id";
const KERNEL_RELEASE: &str = "proc/sys/kernel/osrelease";
/// Its line `btime` has the time of the boot, in seconds since 1970.
const STAT: &str = "proc/stat";

/// The black box of the image that was armed last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedBox {
    /// [`VERSION`].
    pub version: u32,
    /// The boot that armed it.
    #[serde(flatten)]
    pub boot: Boot,
    /// Seconds since 1970.
    pub armed_at: u64,
    /// [`handoff::black_box::BlackBox::generation`].
    pub generation: u64,
    /// The image's identity, the seal of its block, in hexadecimal.
    pub image: String,
    /// The region that the image is in.
    pub crash_region: SpanSummary,
    /// Physical addresses of the record pages; none if the image has no black box.
    pub records: Vec<u64>,
    /// Where the copies of the kernel log go.
    pub log_copies: Vec<SpanSummary>,
    /// The text of the running kernel's VMCOREINFO, which describes its log.
    pub vmcoreinfo: String,
    /// The image was unloaded, so a later reset says nothing.
    #[serde(default)]
    pub disarmed: bool,
    /// When an orderly shutdown or reboot began with this image armed, in seconds since 1970.
    #[serde(default)]
    pub shutdown_at: Option<u64>,
}

/// One boot of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// /etc/machine-id. A disk can move to another machine.
    pub machine_id: Option<String>,
    /// /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
    /// Seconds since 1970.
    pub booted_at: Option<u64>,
    /// The running kernel's release.
    pub kernel_release: String,
}

impl Boot {
    /// The current boot.
    pub fn current(root: &Path) -> Result<Self, Error> {
        let line = |path: &str| {
            let text = fs::read_to_string(root.join(path)).ok()?;
            text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
        };
        let stat = fs::read_to_string(root.join(STAT)).unwrap_or_default();
        let booted_at = stat.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok());
        Ok(Self {
            machine_id: line(MACHINE_ID),
            boot_id: record::boot_id(root)?,
            booted_at,
            kernel_release: line(KERNEL_RELEASE).unwrap_or_default(),
        })
    }
}

impl ArmedBox {
    /// Reads the file; `None` if there is none.
    pub fn read(root: &Path) -> Result<Option<Self>, Error> {
        let path = path(root);
        let text = match state::read(&path) {
            Err(error) if is_absent(&error) => return Ok(None),
            text => text.map_err(failed("read", &path))?,
        };
        serde_json::from_slice(&text).map(Some).map_err(|source| Error::Garbled { path, source })
    }

    /// Replaces the file atomically. Only root can read it, because it has physical addresses.
    pub fn write(&self, root: &Path) -> Result<(), Error> {
        expect_var_lib(root)?;
        record::write_whole(&path(root), self)
    }

    /// Notes that the image was unloaded. Does nothing if another boot armed it.
    pub fn note_unload(root: &Path) -> Result<(), Error> {
        let Some(armed) = Self::read(root)? else { return Ok(()) };
        if armed.disarmed || armed.boot.boot_id != record::boot_id(root)? {
            return Ok(());
        }
        Self { disarmed: true, ..armed }.write(root)
    }

    /// Notes when an orderly shutdown began. With `None`, takes that back: the user space can start
    /// again without a reboot (`systemctl soft-reboot`). Does nothing if another boot armed it.
    pub fn note_shutdown(root: &Path, at: Option<u64>) -> Result<(), Error> {
        let Some(armed) = Self::read(root)? else { return Ok(()) };
        if armed.shutdown_at == at || armed.boot.boot_id != record::boot_id(root)? {
            return Ok(());
        }
        // A load replaces the file, too.
        let _lock = lock::wait_for_arming_lock(root, lock::PATIENCE, || ())?;
        let Some(armed) = Self::read(root)? else { return Ok(()) };
        Self { shutdown_at: at, ..armed }.write(root)
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An error if nothing can outlive a reboot here, as in an initramfs.
pub fn expect_var_lib(root: &Path) -> result::Result<(), Error> {
    let var_lib = root.join(VAR_LIB);
    match fs::metadata(&var_lib) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(failed("use", &var_lib)(ErrorKind::NotADirectory.into())),
        Err(error) => Err(failed("use", &var_lib)(error)),
    }
}

/// Whether an error means that a file or its directory does not exist.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn path(root: &Path) -> PathBuf {
    root.join(STATE).join(FILE)
}

#[cfg(test)]
pub(super) mod tests {
    use loader::machine::example::plant;

    use super::*;

    /// A machine that has booted as `boot`.
    pub fn boot(root: &Path, boot: &str) {
        plant(
            root,
            &[
                ("proc/sys/kernel/random/boot_id".to_owned(), format!("{boot}\n").into_bytes()),
                ("proc/sys/kernel/osrelease".to_owned(), b"6.12.43\n".to_vec()),
                ("proc/stat".to_owned(), b"cpu 1 2\nbtime 1790000000\n".to_vec()),
                ("etc/machine-id".to_owned(), b"0123456789abcdef\n".to_vec()),
            ]
            .into(),
        );
        fs::create_dir_all(root.join(VAR_LIB)).unwrap();
    }

    /// The black box of an image that this boot has armed.
    pub fn armed(root: &Path) -> ArmedBox {
        ArmedBox {
            version: VERSION,
            boot: Boot::current(root).unwrap(),
            armed_at: 1_790_000_060,
            generation: 7,
            image: "ab".repeat(32),
            crash_region: SpanSummary { start: 0x10_0000, len: 0x40_0000 },
            records: vec![0x10_0000, 0x20_0000, 0x30_0000],
            log_copies: Vec::new(),
            vmcoreinfo: String::new(),
            disarmed: false,
            shutdown_at: None,
        }
    }

    #[test]
    fn file_is_read_as_it_was_written() {
        let root = tempfile::tempdir().unwrap();
        boot(root.path(), "one");
        assert_eq!(ArmedBox::read(root.path()).unwrap(), None);
        let armed = armed(root.path());
        assert_eq!(armed.boot.booted_at, Some(1_790_000_000));
        armed.write(root.path()).unwrap();
        assert_eq!(ArmedBox::read(root.path()).unwrap().as_ref(), Some(&armed));
    }

    #[test]
    fn unload_is_noted_in_the_boot_that_armed() {
        let root = tempfile::tempdir().unwrap();
        boot(root.path(), "one");
        ArmedBox::note_unload(root.path()).unwrap();
        armed(root.path()).write(root.path()).unwrap();
        boot(root.path(), "two");
        ArmedBox::note_unload(root.path()).unwrap();
        assert!(!ArmedBox::read(root.path()).unwrap().unwrap().disarmed);
        boot(root.path(), "one");
        ArmedBox::note_unload(root.path()).unwrap();
        assert!(ArmedBox::read(root.path()).unwrap().unwrap().disarmed);
    }

    #[test]
    fn shutdown_is_noted_in_the_boot_that_armed_and_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let noted = || ArmedBox::read(root.path()).unwrap().and_then(|armed| armed.shutdown_at);
        boot(root.path(), "one");
        ArmedBox::note_shutdown(root.path(), Some(1)).unwrap();
        assert_eq!(ArmedBox::read(root.path()).unwrap(), None);
        armed(root.path()).write(root.path()).unwrap();
        boot(root.path(), "two");
        ArmedBox::note_shutdown(root.path(), Some(2)).unwrap();
        assert_eq!(noted(), None);
        boot(root.path(), "one");
        ArmedBox::note_shutdown(root.path(), Some(3)).unwrap();
        assert_eq!(noted(), Some(3));
        boot(root.path(), "two");
        ArmedBox::note_shutdown(root.path(), None).unwrap();
        assert_eq!(noted(), Some(3), "the reboot");
        boot(root.path(), "one");
        ArmedBox::note_shutdown(root.path(), None).unwrap();
        assert_eq!(noted(), None, "the user space started again");
    }

    #[test]
    fn machine_without_var_lib_gets_none() {
        let root = tempfile::tempdir().unwrap();
        boot(root.path(), "one");
        let armed = armed(root.path());
        fs::remove_dir(root.path().join(VAR_LIB)).unwrap();
        assert!(armed.write(root.path()).unwrap_err().to_string().contains("var/lib"));
        assert!(!root.path().join("var/lib").exists());
    }

    #[test]
    fn garbled_file_is_an_error_and_not_an_absent_one() {
        let root = tempfile::tempdir().unwrap();
        boot(root.path(), "one");
        plant(root.path(), &[(format!("{STATE}/{FILE}"), b"{".to_vec())].into());
        assert!(matches!(ArmedBox::read(root.path()), Err(Error::Garbled { .. })));
    }
}
