//! What is said of each stretch of memory.

use super::*;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn map(system_ram: &[Range<u64>]) -> Iomem {
    let crash = 512 * MIB..768 * MIB;
    Iomem { system_ram: system_ram.to_vec(), crash_kernel: Vec::from([crash]), kernel_text: 16 * MIB }
}

fn evidence() -> Evidence {
    let before = [4096..640 << 10, MIB..GIB];
    let dimm = 4 * GIB..5 * GIB;
    let after = [before.as_slice(), &[dimm]].concat();
    Evidence {
        at_load: Some(map(&before)),
        before_panic: Some(map(&after)),
        dumped: Some(vec![MIB..512 * MIB, 768 * MIB..GIB, 4 * GIB..5 * GIB]),
        ..Evidence::default()
    }
}

fn marks(evidence: &Evidence) -> Vec<Vec<Mark>> {
    rows(evidence, &stretches(evidence)).into_iter().map(|row| row.marks).collect()
}

#[test]
fn added_memory_crash_region_and_first_mib_are_told_apart() {
    use Mark::{Absent, Added, Crash, Dumped, LeftOut, Ram};
    let expected = [[Ram, Ram, Crash, Ram, Absent], [Ram, Ram, Crash, Ram, Added], [LeftOut, Dumped, LeftOut, Dumped, Dumped]];
    assert_eq!(marks(&evidence()), expected);
}

#[test]
fn memory_that_should_have_been_dumped_is_missing() {
    let mut evidence = evidence();
    evidence.dumped.as_mut().unwrap().pop();
    assert_eq!(marks(&evidence)[2][4], Mark::Missing);
    assert!(chapter("hotplug", &evidence).into_string().contains("missing"));
}

#[test]
fn every_stretch_has_a_number_and_a_row_in_the_table() {
    let text = chapter("hotplug", &evidence()).into_string();
    assert_eq!(text.matches("class=\"stretch\"").count(), 5);
    assert!(text.contains("0x100000000-0x13fffffff") && text.contains("1 GiB"), "{text}");
    assert_eq!(text.matches("<th scope=\"row\">").count(), 5);
}

#[test]
fn maps_that_nobody_recorded_are_not_drawn() {
    assert_eq!(chapter("hotplug", &Evidence::default()).into_string(), "");
    let only = Evidence { before_panic: evidence().before_panic, ..Evidence::default() };
    assert_eq!(marks(&only).len(), 1);
    assert!(marks(&only)[0].iter().all(|mark| *mark != Mark::Added), "nobody knows what was there before");
}
