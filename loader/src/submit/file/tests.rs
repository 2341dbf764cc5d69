//! The message for each errno.

use std::os::fd::AsFd;

use super::super::retry::script::script;
use super::*;

fn refusal(errno: i32) -> String {
    submit(&mut script(|_, _| Err(errno)), KEXEC_FILE_ON_CRASH, 42).unwrap_err().to_string()
}

#[test]
fn flags_are_those_of_the_kernel_header() {
    let mut kernel = script(|_, _| Ok(()));
    assert_eq!(submit(&mut kernel, KEXEC_FILE_ON_CRASH | KEXEC_FILE_NO_INITRAMFS, 1), Ok(()));
    assert_eq!(submit(&mut kernel, KEXEC_FILE_ON_CRASH | KEXEC_FILE_UNLOAD, 1), Ok(()));
    assert_eq!(kernel.calls, [6, 3]);
}

#[test]
fn every_errno_has_a_message_with_a_remedy() {
    for (errno, word) in [
        (libc::ENOSYS, "CONFIG_KEXEC_FILE"),
        (libc::EPERM, "signed with a key"),
        (libc::EPERM, "copy the file again"),
        (libc::EINVAL, "command line of 42 bytes"),
        (libc::EACCES, "ima_policy"),
        (libc::ENODATA, "it has none"),
        (libc::ENOKEY, "enroll the key"),
        (libc::EKEYREJECTED, "revoked"),
        (libc::EKEYREJECTED, "changed after it was signed"),
        (libc::EKEYREVOKED, "dm-crypt key"),
        (libc::EKEYEXPIRED, "link-volume-key="),
        (libc::ENOPKG, "algorithm"),
        (libc::EBADMSG, "malformed"),
        (libc::ELIBBAD, "PE file"),
        (libc::ENOEXEC, "use kexec_load"),
        (libc::ENOMEM, "crashkernel="),
        (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
        (libc::ETXTBSY, "open for writing"),
        (libc::EBUSY, "kexec lock"),
        (libc::EIO, "error 5"),
    ] {
        let message = refusal(errno);
        assert!(message.contains(word), "{errno}: {message}");
    }
}

#[test]
fn file_in_memory_is_read_from_its_beginning() {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::from(in_memory(b"a kernel").unwrap());
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"a kernel");
    assert!(file.as_fd().as_raw_fd() > 2);
}
