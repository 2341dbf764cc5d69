//! `service install`, `check` and `uninstall` below a root.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::fixture::initrd::archive;
use crate::fixture::unprivileged::Unprivileged;
use crate::fixture::{assert_says, program, run};

#[test]
fn service_is_installed_checked_and_uninstalled_below_a_root() {
    let root = tempfile::tempdir().unwrap();
    let service = |what: &[&str]| {
        let asked: &[&str] =
            if what[0] == "uninstall" { &[] } else { &["--distribution", "debian"] };
        run(program().arg("service").args(what).args(asked).arg("--root").arg(root.path()))
    };
    let check = service(&["check"]);
    assert_eq!(check.code, Some(1));
    assert_says(&check.stdout, &["missing ", "disabled "]);
    assert_says(&check.stderr, &["problems of the service: `kdump-loader service install`"]);
    assert!(!check.stderr.contains("of the config"), "{}", check.stderr);
    let told = service(&["check", "--json"]);
    assert_eq!(told.code, Some(1));
    assert_says(
        &told.stdout,
        &["\"right\": false", "\"code\": \"not_enabled\"", "usr/sbin/kdump-loader\""],
    );
    let dry = service(&["install", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    let done = service(&["install"]);
    assert_eq!((done.code, &done.stdout), (Some(0), &dry.stdout), "{}", done.stderr);
    assert_says(&service(&["install"]).stderr, &["already installed"]);
    // The config's files are checked before they are armed. This machine has no kernel at first,
    // and then no initrd.
    let check = service(&["check"]);
    assert_eq!(check.code, Some(1));
    assert_says(&check.stdout, &["error[file_missing]: the kernel that the config names"]);
    assert_says(&check.stderr, &["2 problems of the config and its files: the findings say"]);
    assert!(!check.stderr.contains("service install"), "nothing of it is missing");
    let boot = root.path().join("boot");
    fs::create_dir(&boot).unwrap();
    fs::write(boot.join("vmlinuz-6.12"), "kernel").unwrap();
    assert_says(
        &service(&["check"]).stdout,
        &["/var/lib/kdump/initrd.img-6.12, is missing", "help: build it"],
    );
    let kdump = root.path().join("var/lib/kdump");
    fs::create_dir_all(&kdump).unwrap();
    let initrd = archive(&[("etc/kdump-loader/saver", b"mine\n")]);
    fs::write(kdump.join("initrd.img-6.12"), initrd).unwrap();
    let check = service(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.stdout);
    assert_says(&service(&["check", "--json"]).stdout, &["\"right\": true"]);
    fs::remove_dir_all(boot).unwrap();
    fs::remove_dir_all(kdump).unwrap();
    let installed = fs::read(root.path().join("usr/sbin/kdump-loader")).unwrap();
    assert!(installed == fs::read(env!("CARGO_BIN_EXE_kdump-loader")).unwrap(), "a copy of itself");
    assert_eq!(service(&["uninstall"]).code, Some(0));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    assert_says(&service(&["uninstall"]).stderr, &["nothing is installed"]);
}

#[test]
fn unload_for_the_service_disarms_at_a_stop_and_not_at_a_restart() {
    // Without privileges, so that the test never disarms this machine.
    let copy = Unprivileged::new();
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let systemctl = directory.path().join("systemctl");
    for (script, code, said) in [
        ("echo 9 $4 restart running", 0, "systemd restarts a.service, so the armed image stays"),
        ("echo 9 $4 stop running", 1, "CAP_SYS_BOOT"),
        ("echo 9 $4 start waiting", 1, "systemd does not say whether it stops or restarts"),
        ("exit 1", 1, "systemd does not say whether it stops or restarts a.service"),
    ] {
        // A shell writes the file, because another test's process could inherit our descriptor.
        let mut sh = Command::new("sh");
        sh.args(["-c", r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod 755 "$0""#]);
        assert!(sh.arg(&systemctl).arg(script).status().unwrap().success());
        let mut unload = copy.program();
        unload.args(["unload", "--if-stopped", "a.service"]).env("PATH", directory.path());
        let result = run(&mut unload);
        assert_eq!(result.code, Some(code), "{script}: {}", result.stderr);
        assert_says(&result.stderr, &[said]);
    }
    fs::remove_file(&systemctl).unwrap();
    let mut unload = copy.program();
    unload.args(["unload", "--if-stopped", "a.service"]).env("PATH", directory.path());
    assert_says(&run(&mut unload).stderr, &["so the armed image stays armed", "No such file"]);
}

#[test]
fn directory_that_cannot_be_written_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o555)).unwrap();
    let copy = Unprivileged::new();
    let install = ["service", "install", "--distribution", "debian", "--root"];
    let result = run(copy.program().args(install).arg(root.path()));
    assert_eq!((result.code, fs::read_dir(root.path()).unwrap().count()), (Some(1), 0));
    assert_says(
        &result.stderr,
        &["cannot create ", root.path().to_str().unwrap(), "Permission denied"],
    );
}
