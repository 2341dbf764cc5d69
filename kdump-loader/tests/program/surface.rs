//! General behavior of the program: exit statuses, streams, help, privilege.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::fixture::unprivileged::Unprivileged;
use crate::fixture::{Fixture, NONE, Run, assert_says, example, program, run};

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
        "unload --if-stopped",
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
    let (fixture, copy) = (Fixture::new(), Unprivileged::new());
    let kernel = fixture.path("vmlinuz");
    for arguments in [
        &["load", "--kernel", kernel.to_str().unwrap()][..],
        &["unload"],
        &["snapshot", "/nonexistent/dir"],
    ] {
        let result = run(copy.program().args(arguments));
        assert_eq!((result.code, result.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert_says(&result.stderr, &["kdump-loader: error: ", "CAP_SYS_BOOT", "run as root"]);
    }
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
