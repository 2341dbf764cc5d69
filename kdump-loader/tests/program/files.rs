//! Files that the user names: none is trusted, blocks the program, or is read beyond its useful
//! part.

use std::fs;
use std::io::Write;
use std::process::Command;

use loader::image::Summary;

use crate::fixture::initrd::archive;
use crate::fixture::status::kernel_of;
use crate::fixture::{Fixture, NONE, Run, assert_says, example, program, run};

fn identity(fixture: &Fixture) -> String {
    let Run { code, stdout, stderr } = fixture.plan(["--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str::<Summary>(&stdout).unwrap().identity
}

#[test]
fn initrd_larger_than_the_crash_region_is_rejected_before_it_is_read() {
    let fixture = Fixture::new();
    // Sparse, and larger than any address space, so reading it would fail.
    fs::File::create(fixture.path("initrd")).unwrap().set_len(1 << 42).unwrap();
    assert_says(
        &fixture.refusal(NONE),
        &["crash region", "too small", "4194304 MiB", "192 MiB", "crashkernel="],
    );
}

#[test]
fn kernel_larger_than_the_crash_region_is_rejected_by_its_headers() {
    let fixture = Fixture::new();
    fixture
        .spoil("vmlinuz", |bytes| bytes[0x260..0x264].copy_from_slice(&(3u32 << 30).to_le_bytes()));
    assert_says(&fixture.refusal(NONE), &["too small", "3072 MiB", "192 MiB"]);
    // A file of two hundred bytes whose headers claim a gibibyte.
    let mut vmlinux = example::vmlinux(
        0x100_0000,
        &[example::VmlinuxSegment {
            paddr: 0x100_0000,
            bytes: example::pattern(8),
            memsz: 1 << 30,
        }],
    );
    vmlinux[0x48..0x50].copy_from_slice(&(64u64 + 56).to_le_bytes()); // p_offset
    vmlinux.truncate(184);
    fixture.write("vmlinuz", &vmlinux);
    assert_says(&fixture.refusal(NONE), &["too small", "1024 MiB", "192 MiB"]);
}

#[test]
fn kernel_from_a_partition_or_padded_for_signing_is_the_same_kernel() {
    let fixture = Fixture::new();
    let plain = identity(&fixture);
    for padding in [vec![0; 512], vec![0; 200 << 20], vec![0xff; 100], b"not a signature".to_vec()]
    {
        let len = fs::metadata(fixture.path("vmlinuz")).unwrap().len();
        fixture.spoil("vmlinuz", |bytes| bytes.extend(&padding));
        assert_eq!(identity(&fixture), plain, "{} bytes after it", padding.len());
        fixture.spoil("vmlinuz", |bytes| bytes.truncate(len as usize));
    }
    let len = fs::metadata(fixture.path("vmlinuz")).unwrap().len();
    let kernel = fs::OpenOptions::new().write(true).open(fixture.path("vmlinuz")).unwrap();
    // Sparse, and larger than any address space, so only the useful part can be read.
    kernel.set_len(1 << 42).unwrap();
    drop(kernel);
    assert_eq!(identity(&fixture), plain, "on a large partition");
    let inspected = run(program().arg("inspect").arg(fixture.path("vmlinuz")));
    assert_says(&inspected.stdout, &["bzImage, boot protocol 2.15", "100000 bytes"]);
    let kernel = fs::OpenOptions::new().write(true).open(fixture.path("vmlinuz")).unwrap();
    kernel.set_len(len - 1).unwrap();
    drop(kernel);
    assert_says(&fixture.refusal(NONE), &["truncated"]);
}

#[test]
fn file_that_the_kernel_cannot_unpack_is_rejected_as_initrd() {
    let fixture = Fixture::new();
    fixture.write("initrd", &example::pattern(30_000));
    assert_says(&fixture.refusal(NONE), &["initrd", "cpio archive, plain or compressed"]);
    fs::copy(fixture.path("vmlinuz"), fixture.path("initrd")).unwrap();
    assert_says(&fixture.refusal(NONE), &["initrd", "unknown format"]);
    let linux = fs::read(fixture.path("vmlinuz")).unwrap();
    fixture.write("vmlinuz", &example::uki(&[(".linux", &linux), (".initrd", b"#!/bin/sh")]));
    let mut command = program();
    command
        .arg("plan")
        .arg("--snapshot")
        .arg(fixture.path("snapshot"))
        .arg("--kernel")
        .arg(fixture.path("vmlinuz"));
    assert_says(&run(&mut command).stderr, &["vmlinuz cannot be the initrd", "unknown format"]);
}

#[test]
fn initrd_that_is_still_being_written_is_rejected() {
    let fixture = Fixture::new();
    let mut writer = fs::OpenOptions::new().append(true).open(fixture.path("initrd")).unwrap();
    let reader = fs::File::open(fixture.path("initrd")).unwrap();
    if loader::files::writers::any(&reader).is_none() {
        eprintln!("skipped: this file system has no leases");
        return;
    }
    assert_says(&fixture.refusal(NONE), &["initrd", "open for writing", "try again"]);
    writer.write_all(b"the rest").unwrap();
    drop(writer);
    identity(&fixture);
}

#[test]
fn irregular_file_is_rejected_by_its_type_without_blocking() {
    for name in ["vmlinuz", "initrd", "purgatory.elf"] {
        let fixture = Fixture::new();
        let path = fixture.path(name);
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_says(&fixture.refusal(NONE), &[name, "is a FIFO", "regular file"]);
        let inspected = run(program().arg("inspect").arg(&path));
        assert_eq!(inspected.code, Some(1));
        assert_says(&inspected.stderr, &[name, "is a FIFO"]);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_says(&fixture.refusal(NONE), &[name, "is a character device"]);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_says(&fixture.refusal(NONE), &[name, "is a directory"]);
    }
}

#[test]
fn initrd_for_another_kernel_is_planned_with_a_warning() {
    let fixture = Fixture::new();
    let initrd = |release: &str| {
        let module = format!("usr/lib/modules/{release}/kernel/fs/ext4/ext4.ko.xz");
        archive(&[(&module, b""), ("etc/kdump-loader/saver", b"mine\n")])
    };
    fixture.write("vmlinuz", &kernel_of("6.12.43"));
    fixture.write("initrd", &initrd("6.12.43"));
    let Run { code, stderr, .. } = fixture.plan(NONE);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("modules"), "{stderr}");
    fixture.write("initrd", &initrd("6.1.0-9-amd64"));
    let Run { code, stderr, .. } = fixture.plan(NONE);
    assert_eq!(code, Some(0), "{stderr}");
    let words = [
        "kdump-loader: warning: ",
        "is Linux 6.12.43, but the initrd has modules of 6.1.0-9-amd64",
        "build an initrd for 6.12.43",
    ];
    assert_says(&stderr, &words);
}
