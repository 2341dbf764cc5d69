//! The calls to a kernel that is busy, old or unwilling.

use super::retry::script::script;
use super::*;

fn armed(system: &mut impl System, hotplug: bool) -> Result<Armed, Error> {
    arm(system, hotplug).map_err(|(failure, flags)| explain(failure, flags, 0x1000, 6))
}

#[test]
fn flags_are_those_of_the_kernel_header() {
    let mut kernel = script(|_, _| Ok(()));
    assert_eq!(armed(&mut kernel, true), Ok(Armed { hotplug: true }));
    assert_eq!(armed(&mut kernel, false), Ok(Armed { hotplug: false }));
    assert_eq!(kernel.calls, [0x3e_0005, 0x3e_0001]);
}

#[test]
fn unknown_hotplug_flag_is_dropped_and_reported() {
    let mut kernel = script(|flags, _| if flags & 4 == 0 { Ok(()) } else { Err(libc::EINVAL) });
    assert_eq!(armed(&mut kernel, true), Ok(Armed { hotplug: false }));
    assert_eq!(kernel.calls, [0x3e_0005, 0x3e_0001]);
}

#[test]
fn einval_without_the_hotplug_flag_is_an_error() {
    let mut kernel = script(|_, _| Err(libc::EINVAL));
    assert_eq!(armed(&mut kernel, true), Err(Error::Invalid { flags: 0x3e_0001, segments: 6 }));
}

#[test]
fn other_errors_are_not_retried() {
    for (errno, word) in [
        (libc::EPERM, "kexec_load_disabled"),
        (libc::EACCES, "IMA"),
        (libc::EADDRNOTAVAIL, "0x1000"),
        (libc::ENOMEM, "crashkernel="),
        (libc::EFAULT, "EFAULT"),
        (libc::ENOSYS, "CONFIG_KEXEC"),
        (libc::EIO, "error 5"),
    ] {
        let mut kernel = script(|_, _| Err(errno));
        let message = armed(&mut kernel, true).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
        assert_eq!(kernel.calls.len(), 1, "errno {errno}");
    }
}
