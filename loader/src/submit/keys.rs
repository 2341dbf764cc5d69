//! [12c] The dm-crypt keys that the kernel is asked to hand over to the capture kernel, looked for
//! before the system call.
//!
//! Since Linux 6.16 (kernel/crash_dump_dm_crypt.c), directories in configfs name keys.
//! kexec_file_load(2) reads them from the keyrings of its caller, after it has freed the armed
//! image, and fails if one is missing. kexec_load(2) hands over none.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::Path;

/// Where the keys are named, one directory for each.
pub(super) const KEYS_DIRECTORY: &str = "/sys/kernel/config/crash_dm_crypt_keys";
/// The type of these keys (`read_key_from_user_keying`).
const LOGON: &std::ffi::CStr = c"logon";

/// Why the kernel would find no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no description.
    #[error("{KEYS_DIRECTORY}/{name} names no key: write the key's description there, or remove the directory")]
    Nameless {
        /// The directory.
        name: String,
    },
    /// It is in no keyring of this process.
    #[error(
        "the kernel would not find the dm-crypt key {description:?} that {KEYS_DIRECTORY}/{name} names ({}), and would \
         free the armed image before it looks: open the volume again with its key linked (link-volume-key= in crypttab); \
         in a service, set KeyringMode=shared; if the armed image has the keys, write 1 to {KEYS_DIRECTORY}/reuse",
        io::Error::from_raw_os_error(*errno)
    )]
    Missing {
        /// The directory.
        name: String,
        /// What it asks for.
        description: String,
        /// ENOKEY, EKEYEXPIRED or EKEYREVOKED.
        errno: i32,
    },
}

/// Refuses if the kernel would not find every key that is named below `root`.
pub fn check(root: &Path) -> Result<(), Error> {
    check_with(&root.join(&KEYS_DIRECTORY[1..]), request)
}

fn check_with(directory: &Path, request: impl Fn(&str) -> Result<(), i32>) -> Result<(), Error> {
    // Then they come from the armed image.
    if fs::read_to_string(directory.join("reuse")).is_ok_and(|reuse| reuse.trim() == "1") {
        return Ok(());
    }
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    let keys = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for key in keys {
        let name = key.file_name().to_string_lossy().into_owned();
        let description = fs::read_to_string(key.path().join("description")).unwrap_or_default();
        // What `sprintf` makes of one that was never written (`config_key_description_show`).
        let description = description.trim_end_matches('\n');
        if description.is_empty() || description == "(null)" {
            return Err(Error::Nameless { name });
        }
        request(description).map_err(|errno| Error::Missing { name, description: description.to_owned(), errno })?;
    }
    Ok(())
}

/// Whether such a key can be found from this process, asked as the kernel asks it. The error is an
/// errno.
fn request(description: &str) -> Result<(), i32> {
    let description = CString::new(description).map_err(|_| libc::EINVAL)?;
    let no_program: *const libc::c_char = std::ptr::null();
    // SAFETY: request_key(2) reads two strings that end in NUL, as every `CStr` does. Without a
    // third, no program is called to make the key; with 0 for a keyring it is linked nowhere.
    let key = unsafe { libc::syscall(libc::SYS_request_key, LOGON.as_ptr(), description.as_ptr(), no_program, 0) };
    if key != -1 {
        return Ok(());
    }
    match io::Error::last_os_error().raw_os_error() {
        // A sandbox without the call, or a kernel without keyrings: then the kernel must answer
        // itself.
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
    fn key_that_is_in_no_keyring_is_named_before_the_armed_image_is_freed() {
        let good = ("a", "cryptsetup:root\n");
        assert_eq!(check_with(named(&[good], "0\n").path(), only_root), Ok(()));
        let error = check_with(named(&[good, ("b", "cryptsetup:data\n")], "0\n").path(), only_root).unwrap_err();
        let message = error.to_string();
        for word in ["cryptsetup:data", "crash_dm_crypt_keys/b", "link-volume-key=", "KeyringMode=shared", "reuse"] {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert_eq!(check_with(named(&[("b", "cryptsetup:data\n")], "1\n").path(), only_root), Ok(()), "the armed image has it");
    }

    #[test]
    fn key_without_a_description_is_refused_as_the_kernel_would() {
        for description in ["", "(null)\n"] {
            let error = check_with(named(&[("a", description)], "0\n").path(), |_| Ok(())).unwrap_err();
            assert_eq!(error, Error::Nameless { name: "a".into() });
        }
    }

    #[test]
    fn machine_that_hands_over_no_keys_passes() {
        assert_eq!(check(tempfile::tempdir().unwrap().path()), Ok(()));
        assert_eq!(check_with(named(&[], "0\n").path(), only_root), Ok(()));
    }

    #[test]
    fn kernel_is_asked_for_the_key_itself() {
        match request("kdump-loader: no such key") {
            Err(errno) => assert_eq!(errno, libc::ENOKEY),
            Ok(()) => eprintln!("skipped: this kernel or sandbox has no request_key"),
        }
    }
}
