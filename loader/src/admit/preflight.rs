//! `[12]` Whether this process may load or unload an image. It is checked before the system call,
//! which frees the armed image first.
//!
//! *On entry* nothing. *On exit* the conditions of `kexec_load_permitted` (kernel/kexec_core.c) and
//! of the lockdown module hold, as far as user space can see.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::KexecPermission;

/// Bit of CAP_SYS_BOOT in a capability set (include/uapi/linux/capability.h).
const CAP_SYS_BOOT: u32 = 22;

/// Why the system call would fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process may not load kernels.
    #[error("this process lacks CAP_SYS_BOOT (CapEff {effective:#018x}, user {user}): {remedy}")]
    NotPrivileged {
        /// `CapEff` of /proc/self/status.
        effective: u64,
        /// Its effective user id.
        user: u32,
        /// What to do.
        remedy: &'static str,
    },
    /// Its capabilities are those of a user namespace, which do not permit loading.
    #[error(
        "this process is in a user namespace, as in an unprivileged container, where CAP_SYS_BOOT \
         does not permit loading a kernel: {}",
        ON_HOST
    )]
    UserNamespace,
    /// Loading was disabled.
    #[error(
        "kernel.kexec_load_disabled is 1, which disables loading and unloading until the next \
         boot: reboot"
    )]
    Disabled,
    /// The limit of loads is used up.
    #[error(
        "kernel.kexec_load_limit_panic is 0: no loads or unloads are left (failed ones count) \
         until the next boot; reboot"
    )]
    LimitReached,
    /// The kernel is locked down.
    #[error(
        "the kernel is locked down ({mode}, see /sys/kernel/security/lockdown), as under Secure \
         Boot, which forbids kexec_load: load a signed kernel with kexec_file_load, or boot with \
         Secure Boot off and lockdown=none"
    )]
    LockedDown {
        /// `integrity` or `confidentiality`.
        mode: String,
    },
    /// A file that every process can read cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of /proc is malformed.
    #[error(
        "{} has no line {line} with a number: mount the running kernel's /proc",
        path.display()
    )]
    Garbled {
        /// The file.
        path: PathBuf,
        /// The start of the line that is missing.
        line: &'static str,
    },
}

/// How to get CAP_SYS_BOOT.
const AS_ROOT: &str = "run as root";
const ON_HOST: &str = "run as root on the host, or in a privileged container";
const OUTSIDE_SANDBOX: &str = "root has it on this machine, but the unit (CapabilityBoundingSet=) \
                               or another sandbox took it away; allow it there";

/// Files by which container managers mark a container (systemd's "Container Interface", Podman,
/// Docker).
const CONTAINER_MARKS: [&str; 4] =
    ["run/systemd/container", "run/host/container-manager", "run/.containerenv", ".dockerenv"];

fn in_container(root: &Path) -> bool {
    CONTAINER_MARKS.iter().any(|mark| root.join(mark).exists())
}

/// Whether this process is outside the initial user namespace, which maps every user id to itself
/// (user_namespaces(7)).
fn in_user_namespace(root: &Path) -> bool {
    let map = fs::read_to_string(root.join("proc/self/uid_map"));
    map.is_ok_and(|map| !map.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
}

/// Fails if this process lacks CAP_SYS_BOOT. It is checked first, because without privileges
/// /proc/iomem hides its addresses as well.
pub fn privileged(root: &Path) -> Result<(), Error> {
    let path = root.join("proc/self/status");
    let status =
        fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let field = |line: &'static str, column: usize, radix| {
        let values = status.lines().find_map(|text| text.strip_prefix(line));
        let value = values.and_then(|values| values.split_whitespace().nth(column));
        value
            .and_then(|value| u64::from_str_radix(value, radix).ok())
            .ok_or_else(|| Error::Garbled { path: path.clone(), line })
    };
    let effective = field("CapEff:", 0, 16)?;
    if in_user_namespace(root) {
        return Err(Error::UserNamespace);
    }
    let has = |capabilities: u64| capabilities & (1 << CAP_SYS_BOOT) != 0;
    if has(effective) {
        return Ok(());
    }
    let (user, bounding) = (field("Uid:", 1, 10)? as u32, field("CapBnd:", 0, 16)?);
    // A capability outside the bounding set cannot be gained by any program.
    let remedy = match () {
        () if !has(bounding) || in_container(root) => ON_HOST,
        () if user == 0 => OUTSIDE_SANDBOX,
        () => AS_ROOT,
    };
    Err(Error::NotPrivileged { effective, user, remedy })
}

/// Fails if kexec_load(2) is disabled, its limit is used up, or the kernel is locked down.
pub fn permitted(root: &Path, permission: &KexecPermission) -> Result<(), Error> {
    file_permitted(root, permission)?;
    match permission.lockdown.as_deref() {
        None | Some("none") => Ok(()),
        Some(mode) => Err(Error::LockedDown { mode: mode.to_owned() }),
    }
}

/// Fails if kexec_file_load(2) is disabled, or its limit is used up. Lockdown forbids only unsigned
/// kernels, not the call.
pub fn file_permitted(root: &Path, permission: &KexecPermission) -> Result<(), Error> {
    if permission.load_disabled {
        return Err(Error::Disabled);
    }
    // Absent before Linux 6.3; -1 is no limit.
    let limit = fs::read_to_string(root.join("proc/sys/kernel/kexec_load_limit_panic"));
    if limit.is_ok_and(|limit| limit.trim() == "0") {
        return Err(Error::LimitReached);
    }
    Ok(())
}

/// Whether [`crate::submit::file::rehearse`] is harmless: no kernel to reboot into is loaded, and
/// the number of loads is not limited.
pub fn may_rehearse(root: &Path) -> bool {
    let read = |name: &str| fs::read_to_string(root.join(name)).ok();
    let loaded = read("sys/kernel/kexec/loaded").or_else(|| read("sys/kernel/kexec_loaded"));
    let limit = read("proc/sys/kernel/kexec_load_limit_reboot");
    loaded.is_some_and(|loaded| loaded.trim() == "0")
        && limit.is_none_or(|limit| limit.trim() == "-1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const ALL: &str = "000001ffffffffff";
    const ALL_BUT_BOOT: &str = "000001ffffbfffff";
    const NONE: &str = "0000000000000000";

    /// A process with these capabilities and this effective user id; and more files.
    fn process(
        effective: &str,
        bounding: &str,
        user: u32,
        more: &[(&str, &str)],
    ) -> tempfile::TempDir {
        let text = format!(
            "Name:\tkdump-loader\nUid:\t1000\t{user}\t1000\t1000\nCapInh:\t{NONE}\n\
             CapEff:\t{effective}\nCapBnd:\t{bounding}\n"
        );
        root(&[&[("proc/self/status", text.as_str())], more].concat())
    }

    fn status(effective: &str) -> tempfile::TempDir {
        process(effective, ALL, 1001, &[])
    }

    fn open() -> KexecPermission {
        KexecPermission { load_disabled: false, lockdown: Some("none".into()) }
    }

    #[test]
    fn remedy_without_cap_sys_boot_is_root() {
        let error = privileged(status("0000000000000000").path()).unwrap_err().to_string();
        assert!(error.contains("run as root") && error.contains("user 1001"), "{error}");
        assert!(privileged(status(ALL).path()).is_ok());
        assert!(
            privileged(status("0000000000400000").path()).is_ok(),
            "the capability alone is enough"
        );
    }

    #[test]
    fn remedy_for_root_without_the_capability_is_outside_of_its_sandbox() {
        let refusal = |effective, bounding, user, more: &[(&str, &str)]| {
            privileged(process(effective, bounding, user, more).path()).unwrap_err().to_string()
        };
        const HOST: &str = "on the host, or in a privileged container";
        let container = refusal(ALL_BUT_BOOT, ALL_BUT_BOOT, 0, &[]);
        assert!(container.contains(HOST) && !container.ends_with("run as root"), "{container}");
        assert!(refusal(NONE, ALL_BUT_BOOT, 1001, &[]).contains(HOST), "sudo would not help");
        for mark in CONTAINER_MARKS {
            assert!(refusal(NONE, ALL, 1001, &[(mark, "podman")]).contains(HOST), "{mark}");
        }
        let sandbox = refusal(ALL_BUT_BOOT, ALL, 0, &[]);
        assert!(sandbox.contains("CapabilityBoundingSet="), "{sandbox}");
    }

    #[test]
    fn capabilities_of_a_user_namespace_do_not_suffice() {
        let map = |map| privileged(process(ALL, ALL, 0, &[("proc/self/uid_map", map)]).path());
        assert!(map("         0          0 4294967295\n").is_ok());
        for rootless in [
            "         0       1000          1\n",
            "0 100000 65536\n",
            "0 1000 1\n1 100000 65536\n",
            "",
        ] {
            let message = map(rootless).unwrap_err().to_string();
            assert!(
                message.contains("user namespace") && message.contains("on the host"),
                "{message}"
            );
        }
    }

    #[test]
    fn unreadable_status_is_named() {
        assert!(matches!(privileged(root(&[]).path()), Err(Error::Read { .. })));
        let garbled = root(&[("proc/self/status", "CapEff:\tmany\n")]);
        assert!(matches!(privileged(garbled.path()), Err(Error::Garbled { line: "CapEff:", .. })));
    }

    #[test]
    fn rehearsal_costs_no_loaded_kernel_and_no_attempt() {
        let may = |files: &[(&str, &str)]| may_rehearse(root(files).path());
        let limit = "proc/sys/kernel/kexec_load_limit_reboot";
        assert!(may(&[("sys/kernel/kexec_loaded", "0\n")]));
        assert!(may(&[("sys/kernel/kexec/loaded", "0\n"), (limit, "-1\n")]));
        assert!(!may(&[("sys/kernel/kexec_loaded", "1\n")]));
        assert!(!may(&[("sys/kernel/kexec_loaded", "0\n"), (limit, "3\n")]));
        assert!(!may(&[]), "an unknown state is not risked");
    }

    #[test]
    fn switched_off_locked_down_and_used_up_are_refused() {
        let nothing = root(&[]);
        assert!(permitted(nothing.path(), &open()).is_ok());
        assert!(matches!(
            permitted(nothing.path(), &KexecPermission { load_disabled: true, ..open() }),
            Err(Error::Disabled)
        ));
        let locked = KexecPermission { lockdown: Some("integrity".into()), ..open() };
        let refusal = permitted(nothing.path(), &locked).unwrap_err().to_string();
        assert!(refusal.contains("integrity") && refusal.contains("kexec_file_load"), "{refusal}");
        assert!(
            file_permitted(nothing.path(), &locked).is_ok(),
            "the kernel looks at the signature instead"
        );
        let off = KexecPermission { load_disabled: true, ..locked };
        assert!(matches!(file_permitted(nothing.path(), &off), Err(Error::Disabled)));
        let limit = |limit: &str| {
            permitted(root(&[("proc/sys/kernel/kexec_load_limit_panic", limit)]).path(), &open())
        };
        assert!(matches!(limit("0\n"), Err(Error::LimitReached)));
        assert!(limit("-1\n").is_ok() && limit("3\n").is_ok());
    }
}
