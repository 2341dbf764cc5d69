//! Calls as `kexec` for a reboot: another kexec gets the same arguments, and two programs cannot
//! call each other without end.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// A directory with this program as kexec, and a script as kexec.distrib.
fn directory(script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_kdump-loader"), directory.path().join("kexec")).unwrap();
    let distrib = directory.path().join("kexec.distrib");
    fs::write(&distrib, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&distrib, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn kexec(directory: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(directory.join("kexec"));
    command
        .args(words)
        .env("PATH", directory)
        .env_remove("KDUMP_LOADER_KEXEC")
        .env_remove("KDUMP_LOADER_PASSED_ON");
    command.output().unwrap()
}

#[test]
fn reboots_go_to_the_other_kexec_unchanged_with_its_exit_status() {
    let directory = directory(r#"printf '<%s>' "$@"; exit 7"#);
    let calls: [&[&str]; 4] = [
        &["-l", "/boot/vm linuz", "--initrd=/boot/i", "--append=a  b"],
        &["-e"],
        &["-u"],
        &["-f", "-y", "-x"],
    ];
    for words in calls {
        let output = kexec(directory.path(), words);
        let expected: String = words.iter().map(|word| format!("<{word}>")).collect();
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()),
            (Some(7), expected)
        );
    }
}

#[test]
fn other_kexec_that_calls_back_is_rejected() {
    let directory = directory(r#"exec "${0%.distrib}" "$@""#);
    let output = kexec(directory.path(), &["-e"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("KDUMP_LOADER_KEXEC=FILE"), "{told}");
}

#[test]
fn without_another_kexec_the_error_says_what_to_install() {
    let directory = directory("");
    fs::remove_file(directory.path().join("kexec.distrib")).unwrap();
    let output = kexec(directory.path(), &["-l", "/boot/vmlinuz"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("install kexec-tools"), "{told}");
}
