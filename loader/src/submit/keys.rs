//! `[12]` Whether the kernel would find the dm-crypt keys that it passes to the capture kernel.
//!
//! Since Linux 6.16 (kernel/crash_dump_dm_crypt.c), directories in configfs name keys.
//! kexec_file_load(2) reads them from the keyrings of its caller, and fails if one is missing. By
//! then it has freed the armed image, so they are checked before. kexec_load(2) passes no keys.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::Path;

/// The directory with one subdirectory per key.
pub(super) const KEYS_DIRECTORY: &str = "/sys/kernel/config/crash_dm_crypt_keys";
/// The type of these keys (`read_key_from_user_keying`).
const LOGON: &std::ffi::CStr = c"logon";

/// Why the kernel would not find a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its directory has no description.
    #[error(
        "{KEYS_DIRECTORY}/{name} names no key: write the key's description there, or remove the \
         directory"
    )]
    Nameless {
        /// The directory.
        name: String,
    },
    /// No keyring of this process has it.
    #[error(
        "the kernel would not find the dm-crypt key {description:?} that {KEYS_DIRECTORY}/{name} \
         names ({}), and would free the armed image before it looks: open the volume again with \
         its key linked (link-volume-key= in crypttab); in a service, set KeyringMode=shared; if \
         the armed image has the keys, write 1 to {KEYS_DIRECTORY}/reuse",
        io::Error::from_raw_os_error(*errno)
    )]
    Missing {
        /// The directory.
        name: String,
        /// The key's description.
        description: String,
        /// ENOKEY, EKEYEXPIRED or EKEYREVOKED.
        errno: i32,
    },
}

/// Fails if the kernel would not find every key that is named below `root`.
pub fn check(root: &Path) -> Result<(), Error> {
    check_with(&root.join(&KEYS_DIRECTORY[1..]), request)
}

fn check_with(directory: &Path, request: impl Fn(&str) -> Result<(), i32>) -> Result<(), Error> {
    // With `reuse`, the keys come from the armed image.
    if fs::read_to_string(directory.join("reuse")).is_ok_and(|reuse| reuse.trim() == "1") {
        return Ok(());
    }
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    let keys = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for key in keys {
        let name = key.file_name().to_string_lossy().into_owned();
        let description = fs::read_to_string(key.path().join("description")).unwrap_or_default();
        // `(null)` is the output of `sprintf` if no description was written
        // (`config_key_description_show`).
        let description = description.trim_end_matches('\n');
        if description.is_empty() || description == "(null)" {
            return Err(Error::Nameless { name });
        }
        request(description).map_err(|errno| Error::Missing {
            name,
            description: description.to_owned(),
            errno,
        })?;
    }
    Ok(())
}

/// Looks for a key in the keyrings of this process, as the kernel does. The error is an errno.
fn request(description: &str) -> Result<(), i32> {
    let description = CString::new(description).map_err(|_| libc::EINVAL)?;
    let no_program: *const libc::c_char = std::ptr::null();
    // SAFETY: request_key(2) requires two readable strings that end in NUL, and writes neither.
    // Both come from live `CStr`s. The third pointer may be null: then no program is run to make
    // the key. Keyring 0 means that the key is linked nowhere.
    let key = unsafe {
        libc::syscall(libc::SYS_request_key, LOGON.as_ptr(), description.as_ptr(), no_program, 0)
    };
    if key != -1 {
        return Ok(());
    }
    match io::Error::last_os_error().raw_os_error() {
        // A kernel without keyrings, or a sandbox that blocks the call: only kexec_file_load(2) can
        // tell.
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        errno => Err(errno.unwrap_or(libc::ENOKEY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configfs with these keys.
    fn named(keys: &[(&str, &str)], reuse: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("count"), format!("{}\n", keys.len())).unwrap();
        fs::write(root.path().join("reuse"), reuse).unwrap();
        for (name, description) in keys {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("description"), description).unwrap();
        }
        root
    }

    fn only_root(description: &str) -> Result<(), i32> {
        if description == "cryptsetup:root" { Ok(()) } else { Err(libc::ENOKEY) }
    }

    #[test]
    fn missing_key_is_named_before_the_armed_image_is_freed() {
        let good = ("a", "cryptsetup:root\n");
        assert_eq!(check_with(named(&[good], "0\n").path(), only_root), Ok(()));
        let error = check_with(named(&[good, ("b", "cryptsetup:data\n")], "0\n").path(), only_root)
            .unwrap_err();
        let message = error.to_string();
        for word in [
            "cryptsetup:data",
            "crash_dm_crypt_keys/b",
            "link-volume-key=",
            "KeyringMode=shared",
            "reuse",
        ] {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert_eq!(
            check_with(named(&[("b", "cryptsetup:data\n")], "1\n").path(), only_root),
            Ok(()),
            "the armed image has it"
        );
    }

    #[test]
    fn key_without_a_description_is_refused_as_the_kernel_would() {
        for description in ["", "(null)\n"] {
            let error =
                check_with(named(&[("a", description)], "0\n").path(), |_| Ok(())).unwrap_err();
            assert_eq!(error, Error::Nameless { name: "a".into() });
        }
    }

    #[test]
    fn machine_without_keys_passes() {
        assert_eq!(check(tempfile::tempdir().unwrap().path()), Ok(()));
        assert_eq!(check_with(named(&[], "0\n").path(), only_root), Ok(()));
    }

    #[test]
    fn kernel_is_asked_for_the_key_itself() {
        match request("kdump-image: no such key") {
            Err(errno) => assert_eq!(errno, libc::ENOKEY),
            Ok(()) => eprintln!("skipped: this kernel or sandbox has no request_key"),
        }
    }
}
