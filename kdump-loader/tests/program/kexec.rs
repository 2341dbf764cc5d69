//! The kexec front end: program names, exit statuses, and calls for reboots.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::fixture::{Run, assert_says, program, run};

const ELSEWHERE: &str = "KDUMP_LOADER_KEXEC";

/// The program under the name kexec.
fn kexec(arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg0("/sbin/kexec").args(arguments).env_remove(ELSEWHERE);
    command
}

#[test]
fn program_name_and_subcommand_do_the_same() {
    for arguments in [&["--help"][..], &["-v"], &["-p"], &["--bogus", "--json"]] {
        let Run { code, stdout, stderr } = run(&mut kexec(arguments));
        let by_word = run(program().arg("kexec").args(arguments));
        assert_eq!(
            (by_word.code, by_word.stdout, by_word.stderr),
            (code, stdout, stderr),
            "{arguments:?}"
        );
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = run(&mut kexec(&["-h"]));
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert_says(&help.stdout, &["Usage: kexec -p", "-s, --kexec-file-syscall", "--append=STRING"]);
    let version = run(&mut kexec(&["--version"]));
    assert_eq!(version.code, Some(0));
    assert_says(&version.stdout, &["kdump-loader", "kexec-tools 2.0.32"]);
}

#[test]
fn usage_error_has_exit_status_1_as_in_kexec_tools() {
    for arguments in [
        &["-p"][..],
        &["--bogus"],
        &["-p", "k", "--real-mode"],
        &["-p", "k", "--serial=com1"],
        &["-t"],
        &[],
    ] {
        let Run { code, stdout, stderr } = run(&mut kexec(arguments));
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
        assert_says(&stderr, &["kdump-loader: error: "]);
    }
}

#[test]
fn reboots_are_rejected_without_another_kexec() {
    for (arguments, word) in
        [(&["-l", "k"][..], "--load"), (&["-e"], "--exec"), (&["k"], "without --load-panic")]
    {
        let Run { code, stderr, .. } = run(&mut kexec(arguments));
        assert_eq!(code, Some(1));
        assert_says(&stderr, &[word, ELSEWHERE]);
    }
}

#[test]
fn reboots_are_passed_on_unchanged() {
    let words = ["-l", "k", "--append=a  b", "--initrd", "i", "-x"];
    let result = run(kexec(&words).env(ELSEWHERE, "/bin/echo"));
    assert_eq!(
        (result.code, result.stdout.as_str()),
        (Some(0), "-l k --append=a  b --initrd i -x\n")
    );
    let result = run(kexec(&["-e"]).env(ELSEWHERE, "/bin/false"));
    assert_eq!(result.code, Some(1), "its exit status");
}

#[test]
fn call_that_returns_to_this_program_is_rejected() {
    let result = run(kexec(&["-l", "k"]).env(ELSEWHERE, env!("CARGO_BIN_EXE_kdump-loader")));
    assert_eq!(result.code, Some(1));
    assert_says(&result.stderr, &["--load", ELSEWHERE]);
}

#[test]
fn missing_other_kexec_is_named() {
    let result = run(kexec(&["-e"]).env(ELSEWHERE, "/nonexistent/kexec"));
    assert_eq!(result.code, Some(1));
    assert_says(&result.stderr, &["/nonexistent/kexec", "No such file"]);
}
