//! Concurrent processes of `service install` and `service uninstall`: in any order, the machine can
//! be restored exactly.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ROUNDS: usize = 6;
/// Processes in each round. Some of them are killed.
const PROCESSES: usize = 4;

fn service(root: &Path, what: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdump-loader"));
    command
        .arg("service")
        .args(what)
        .arg("--root")
        .arg(root)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// The mode of every path, and the content of each file or the target of each link.
fn contents(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut contents = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let bytes = if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if metadata.is_dir() {
                directories.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            contents.insert(path, (metadata.permissions().mode(), bytes));
        }
    }
    contents
}

#[test]
fn concurrent_and_killed_processes_leave_a_machine_that_can_be_restored() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| {
        let whole = root.path().join(path);
        fs::create_dir_all(whole.parent().unwrap()).unwrap();
        whole
    };
    fs::write(at("etc/os-release"), "ID=debian\n").unwrap();
    fs::write(at("usr/sbin/kdump-loader"), "by hand").unwrap();
    fs::write(at("usr/lib/systemd/system/kdump-tools.service"), "[Service]\nExecStart=/bin/true\n")
        .unwrap();
    symlink(
        "/usr/lib/systemd/system/kdump-tools.service",
        at("etc/systemd/system/basic.target.wants/kdump-tools.service"),
    )
    .unwrap();
    fs::create_dir_all(root.path().join("var/lib")).unwrap();
    let before = contents(root.path());
    for round in 0..ROUNDS {
        let start = |process: usize| -> Child {
            let install = ["install", "--mask-conflicts"];
            service(
                root.path(),
                if (process + round).is_multiple_of(2) { &install } else { &["uninstall"] },
            )
            .spawn()
            .unwrap()
        };
        let mut processes: Vec<Child> = (0..PROCESSES).map(start).collect();
        // At an arbitrary point.
        processes[round % PROCESSES].kill().unwrap();
        for (index, process) in processes.into_iter().enumerate() {
            let output = process.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() || index == round % PROCESSES, "round {round}: {told}");
        }
        let output = service(root.path(), &["uninstall"]).output().unwrap();
        assert!(
            output.status.success(),
            "round {round}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            contents(root.path()) == before,
            "round {round}: {:?}",
            contents(root.path()).keys()
        );
    }
}

#[test]
fn setting_that_is_not_taken_over_is_named_by_install() {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("etc/os-release", "ID=debian\n"),
        ("etc/default/kdump-tools", "KDUMP_KERNEL=/boot/mine\n"),
        ("etc/kdump-loader.toml", include_str!("../../src/service/dist/kdump-loader.toml")),
    ] {
        let whole = root.path().join(path);
        fs::create_dir_all(whole.parent().unwrap()).unwrap();
        fs::write(whole, text).unwrap();
    }
    let output = service(root.path(), &["install"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("KDUMP_KERNEL: the config already existed"),
        "{told}"
    );
}

#[test]
fn diversion_that_dpkg_cannot_remove_is_named_and_everything_else_restored() {
    let root = tempfile::tempdir().unwrap();
    let dpkg = root.path().join("var/lib/dpkg");
    for directory in [
        dpkg.join("info"),
        dpkg.join("updates"),
        root.path().join("etc"),
        root.path().join("usr/sbin"),
    ] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(root.path().join("etc/os-release"), "ID=debian\n").unwrap();
    fs::write(dpkg.join("status"), "").unwrap();
    fs::write(dpkg.join("diversions"), "/usr/sbin/kexec\n/usr/sbin/kexec.distrib\n:\n").unwrap();
    if Command::new("dpkg-divert").arg("--version").output().is_err() {
        return eprintln!("skipped: there is no dpkg-divert here");
    }
    let kexec = root.path().join("usr/sbin/kexec");
    fs::write(kexec.with_extension("distrib"), "the package's").unwrap();
    let before = contents(root.path());
    assert!(service(root.path(), &["install"]).output().unwrap().status.success());
    symlink("/usr/sbin/kdump-loader", &kexec).unwrap();
    // dpkg-divert writes a file with this name, and renames it.
    fs::create_dir(dpkg.join("diversions-new")).unwrap();
    let output = service(root.path(), &["uninstall"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("`dpkg-divert "), "{told}");
    fs::remove_dir(dpkg.join("diversions-new")).unwrap();
    fs::rename(&kexec, kexec.with_extension("distrib")).unwrap();
    assert!(contents(root.path()) == before, "{:?}", contents(root.path()).keys());
}
