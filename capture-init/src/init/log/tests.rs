//! The log of a made-up kernel, through its page tables.

use std::fs;

use printk_ring::writer::{VMCOREINFO, Writer};

use super::*;
use crate::made_up::{KINDS, Kernel};

/// Physical addresses in memory that the made-up kernel does not use, and where it maps them.
const PRB: usize = 0x20_0000;
const RINGBUFFER: usize = 0x20_0100;
const DESCRIPTORS: usize = 0x21_0000;
const INFOS: usize = 0x22_0000;
const TEXT: usize = 0x28_0000;

fn address(physical: usize) -> u64 {
    0xffff_ffff_8000_0000 + physical as u64
}

/// A vmcore whose kernel printed `texts`, one a second.
fn vmcore(texts: &[&str]) -> Vec<u8> {
    let mut kernel = Kernel::new(KINDS[0]);
    let mut ring = Writer::new(8, 14);
    ring.addresses = [DESCRIPTORS, INFOS, TEXT].map(address);
    for (second, text) in (0..).zip(texts) {
        ring.print(second * 1_000_000_000, 6, text.as_bytes());
    }
    let memory = ring.memory();
    for (at, bytes) in [
        (PRB, &address(RINGBUFFER).to_le_bytes()[..]),
        (RINGBUFFER, &ring.ringbuffer()),
        (DESCRIPTORS, memory.ring().descriptors.bytes),
        (INFOS, memory.ring().infos.bytes),
        (TEXT, memory.ring().text.bytes),
    ] {
        kernel.memory[at..at + bytes.len()].copy_from_slice(bytes);
    }
    kernel.vmcoreinfo += &format!("SYMBOL(prb)={:x}\n", address(PRB));
    let lines = VMCOREINFO
        .lines()
        .filter(|line| ["SIZE(p", "SIZE(a", "OFFSET("].iter().any(|start| line.starts_with(start)));
    kernel.vmcoreinfo.extend(lines.flat_map(|line| [line, "\n"]));
    kernel.core()
}

fn saved(vmcore: &[u8]) -> (Result<Done, Trouble>, String) {
    let dir = tempfile::tempdir().unwrap();
    let (from, path) = (dir.path().join("vmcore"), dir.path().join("dmesg.txt"));
    fs::write(&from, vmcore).unwrap();
    let place = Place { path: path.clone(), offset: 0, room: 1 << 20, is_partition: false };
    (save(&from, &place), fs::read_to_string(path).unwrap_or_default())
}

#[test]
fn log_of_the_crashed_kernel_becomes_text() {
    let panic = "Kernel panic - not syncing: sysrq triggered crash";
    let (done, text) = saved(&vmcore(&["Linux version 6.12.0", panic, "---[ end Kernel panic ]"]));
    assert_eq!(
        text,
        format!(
            "[    0.000000] Linux version 6.12.0\n[    1.000000] {panic}\n\
             [    2.000000] ---[ end Kernel panic ]\n"
        )
    );
    let (kernel, crash) = (Some("6.12.0".to_owned()), Some(panic.to_owned()));
    assert_eq!(done, Ok(Done::Log { bytes: text.len() as u64, kernel, crash }));
}

#[test]
fn log_that_went_around_its_ring_is_whole() {
    let lines: Vec<_> = (0..2000).map(|line| format!("line {line} of a long log")).collect();
    let (done, text) = saved(&vmcore(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    done.unwrap();
    let first = text.lines().next().unwrap();
    assert!(text.lines().count() > 100 && !first.ends_with(" 0 of a long log"), "{first}");
    assert!(text.ends_with("line 1999 of a long log\n"), "{}", &text[text.len() - 200..]);
    assert!(!text.contains("not shown"), "{text}");
}

#[test]
fn vmcore_without_a_description_has_no_log() {
    let whole = vmcore(&["Linux version 6.12.0"]);
    let name = whole.windows(10).position(|name| name == b"VMCOREINFO").unwrap();
    let mut damaged = whole.clone();
    damaged[name] = b'X';
    let (done, text) = saved(&damaged);
    assert_eq!(done, Err(Trouble::of_step("the vmcore has no VMCOREINFO")));
    assert_eq!(text, "");
}

#[test]
fn log_that_does_not_fit_is_the_targets_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("vmcore");
    fs::write(&from, vmcore(&["Linux version 6.12.0"])).unwrap();
    let path = dir.path().join("vdb");
    fs::write(&path, []).unwrap();
    let place = Place { path, offset: 0, room: 10, is_partition: true };
    assert!(save(&from, &place).unwrap_err().is_target);
}
