//! General behavior of the program: exit statuses, streams, help, privilege.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::fixture::{Fixture, NONE, Run, assert_says, example, program, run};

/// The user `nobody`.
const NOBODY: u32 = 65534;

#[test]
fn usage_error_has_exit_status_2() {
    for arguments in [
        "",
        "explode",
        "plan",
        "plan --kernel k --leaf-size 3K",
        "plan --kernel k --svg --json",
        "plan --kernel k --console tty0",
        "unload now",
        "last --note-shutdown --json",
        "load --file --kernel k --engine soft",
        "load --file --kernel k --confidential yes",
        "load --file --kernel k --black-box no",
        "load --file --kernel k --signal none",
        "plan --kernel k --black-box yes",
        "plan --kernel k --signal bell",
        "plan --kernel k --confidential sev",
        "reload --removed memory1",
        "reload --queue --removed cpu1",
        "reload --queue --force",
    ] {
        let result = run(program().args(arguments.split_whitespace()));
        assert_eq!(result.code, Some(2), "{arguments:?}: {}", result.stderr);
        assert_eq!(result.stdout, "", "{arguments:?}");
    }
}

#[test]
fn every_subcommand_has_help() {
    let overview = run(program().arg("--help"));
    assert_eq!(overview.code, Some(0));
    for name in [
        "load", "unload", "reload", "status", "watch", "plan", "inspect", "snapshot", "service",
        "last",
    ] {
        assert_says(&overview.stdout, &[name]);
        let help = run(program().args([name, "--help"]));
        assert_eq!(help.code, Some(0), "{name}");
        assert_says(&help.stdout, &["Usage: kdump-loader", name]);
    }
}

#[test]
fn no_command_is_hidden() {
    assert!(kdump_loader::command().get_subcommands().all(|command| !command.is_hide_set()));
}

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
    let (kdump, mut initrd) = (root.path().join("var/lib/kdump"), Vec::new());
    fs::create_dir_all(&kdump).unwrap();
    let name = b"mine\n";
    let mut note =
        cpio::newc::Builder::new("etc/kdump-loader/saver").write(&mut initrd, name.len() as u32);
    note.write_all(name).unwrap();
    note.finish().unwrap();
    cpio::newc::trailer(&mut initrd).unwrap();
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
fn directory_that_cannot_be_written_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = place.path().join("kdump-loader");
    // `cp` writes the file. If this process did, a process that another test starts could inherit
    // the open descriptor, and the copy could not be executed (ETXTBSY).
    assert!(
        Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_kdump-loader"))
            .arg(&copy)
            .status()
            .unwrap()
            .success()
    );
    let mut command = Command::new(&copy);
    command.args(["service", "install", "--distribution", "debian", "--root"]).arg(root.path());
    let result = run(as_nobody(&mut command));
    assert_eq!((result.code, fs::read_dir(root.path()).unwrap().count()), (Some(1), 0));
    assert_says(
        &result.stderr,
        &["cannot create ", root.path().to_str().unwrap(), "Permission denied"],
    );
}

#[test]
fn closed_standard_output_is_no_error() {
    let fixture = Fixture::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let result = run_with_stdout(&mut fixture.plan_command(), writer.into());
    assert_eq!(result.code, Some(0), "{}", result.stderr);
}

fn run_with_stdout(command: &mut Command, stdout: Stdio) -> Run {
    let child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn full_disk_is_an_error() {
    let fixture = Fixture::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let result = run_with_stdout(&mut fixture.plan_command(), full.into());
    assert_eq!(result.code, Some(1));
    assert_says(&result.stderr, &["standard output", "No space left"]);
}

#[test]
fn unprivileged_load_unload_and_snapshot_are_rejected_first() {
    let fixture = Fixture::new();
    // In a directory that the user can access.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = place.path().join("kdump-loader");
    // `cp` writes the file, for the same reason as above (ETXTBSY).
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_kdump-loader")).arg(&copy).status();
    assert!(copied.unwrap().success());
    let kernel = fixture.path("vmlinuz");
    for arguments in [
        &["load", "--kernel", kernel.to_str().unwrap()][..],
        &["unload"],
        &["snapshot", "/nonexistent/dir"],
    ] {
        let mut command = Command::new(&copy);
        command.args(arguments);
        let result = run(as_nobody(&mut command));
        assert_eq!((result.code, result.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert_says(&result.stderr, &["kdump-loader: error: ", "CAP_SYS_BOOT", "run as root"]);
    }
}

/// Drops privileges if the test runs as root.
fn as_nobody(command: &mut Command) -> &mut Command {
    let root = fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .any(|line| line.starts_with("Uid:\t0\t0"));
    if root { command.uid(NOBODY) } else { command }
}

#[test]
fn path_that_is_not_utf_8_can_be_inspected() {
    let fixture = Fixture::new();
    let path = fixture.path("").join(OsStr::from_bytes(b"vmlinuz-\xff"));
    fs::copy(fixture.path("vmlinuz"), &path).unwrap();
    for arguments in [&["--json"][..], &[]] {
        let result = run(program().arg("inspect").arg(&path).args(arguments));
        assert_eq!(result.code, Some(0), "{}", result.stderr);
        assert_says(&result.stdout, &["vmlinuz-\u{fffd}"]);
    }
}

/// Other programs read these keys.
#[test]
fn json_has_these_keys() {
    let fixture = Fixture::new();
    let plan = fixture.plan(["--json"]).stdout;
    assert_eq!(
        keys(&plan),
        "black_box block command_line confidential console_port crash_region dropped engine entry \
         identity leaf_size leaf_table on_corrupt purgatory regions report reset_delay_ms segments \
         signals version"
    );
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["version"], 1);
    assert_eq!(keys(&plan["segments"][0].to_string()), "file_len len name start");
    assert_eq!(
        keys(&plan["regions"][0].to_string()),
        "file_len first_leaf leaf_count len name start"
    );
    for span in ["block", "crash_region", "leaf_table", "report"] {
        assert_eq!(keys(&plan[span].to_string()), "len start");
    }
    for (file, expected) in [
        (
            "vmlinuz",
            "alignment cmdline_size entry_offset file format init_size payload pref_address \
             protocol version xloadflags",
        ),
        (
            "purgatory.elf",
            "block_offset block_size block_version entry_offset file format len text version",
        ),
    ] {
        assert_eq!(
            keys(&run(program().arg("inspect").arg(fixture.path(file)).arg("--json")).stdout),
            expected
        );
    }
}

fn keys(json: &str) -> String {
    let map: std::collections::BTreeMap<String, serde_json::Value> =
        serde_json::from_str(json).unwrap();
    map.into_keys().collect::<Vec<_>>().join(" ")
}

#[test]
fn inspect_describes_kernel_and_purgatory() {
    let fixture = Fixture::new();
    let kernel = run(program().arg("inspect").arg(fixture.path("vmlinuz")).arg("--json"));
    let kernel: serde_json::Value = serde_json::from_str(&kernel.stdout).unwrap();
    assert_eq!((&kernel["format"], &kernel["protocol"]), (&"bzImage".into(), &"2.15".into()));
    assert_eq!((&kernel["init_size"], &kernel["payload"]), (&(4 << 20).into(), &100_000.into()));

    let segment =
        example::VmlinuxSegment { paddr: 0x100_0000, bytes: example::pattern(5000), memsz: 0x3000 };
    fixture.write("vmlinux", &example::vmlinux(0x100_0080, &[segment]));
    let vmlinux = run(program().arg("inspect").arg(fixture.path("vmlinux"))).stdout;
    assert_says(
        &vmlinux,
        &[
            "vmlinux: vmlinux",
            "5000 bytes",
            "12288 bytes at a multiple of 0x200000",
            "load address + 0x80",
        ],
    );

    let purgatory = run(program().arg("inspect").arg(fixture.path("purgatory.elf")).arg("--json"));
    let purgatory: serde_json::Value = serde_json::from_str(&purgatory.stdout).unwrap();
    assert_eq!(
        (&purgatory["format"], &purgatory["block_version"]),
        (&"purgatory".into(), &handoff::block::VERSION.into())
    );
    assert_eq!(
        (&purgatory["block_size"], &purgatory["text"]),
        (&size_of::<handoff::Block>().into(), &5000.into())
    );

    let words = run(program().arg("inspect").arg(fixture.path("vmlinuz")));
    assert_says(&words.stdout, &["boot protocol 2.15", "100000 bytes", "0x200000"]);
}

#[test]
fn program_without_a_purgatory_names_the_remedy() {
    let result = run(program().arg("inspect"));
    match kdump_loader::options::embedded::embedded() {
        Ok(_) => {
            let version = format!("handoff block version {}", handoff::block::VERSION);
            assert_says(&result.stdout, &["embedded purgatory", &version]);
        }
        Err(_) => assert_says(
            &result.stderr,
            &["without a purgatory", "--purgatory FILE", "cargo xtask build"],
        ),
    }
    let fixture = Fixture::new();
    assert_eq!(fixture.plan(NONE).code, Some(0), "--purgatory works either way");
}
