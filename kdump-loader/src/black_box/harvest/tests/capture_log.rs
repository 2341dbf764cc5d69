//! The capture kernel's log: found, out of reach, of an earlier panic.

use super::*;

/// Puts a capture kernel into memory: its VMCOREINFO page, its page tables, its log.
fn capture_kernel(machine: &mut Machine, base: u64, writer: &Writer) {
    const VIRTUAL: u64 = 0xffff_ffff_8000_0000;
    const DIRECT: u64 = 0xffff_8880_0000_0000;
    let (pages, ring) = (base + 0x1000, base + 0x10_000);
    let vmcoreinfo = VMCOREINFO
        .replace("ffffffff8a020000", &format!("{:x}", VIRTUAL + pages))
        .replace("ffffffff8a665be0", &format!("{:x}", VIRTUAL + ring))
        .replace("-16777216", "0");
    machine.put(base, &[vmcoreinfo.as_bytes(), b"\0"].concat());
    // Two branches: the kernel's image and the direct map. Both map the first GiB as itself.
    let mut table = vec![[0u64; 512]; 3];
    table[0][511] = (pages + 0x1000) | 3;
    table[0][(DIRECT >> 39 & 511) as usize] = (pages + 0x2000) | 3;
    table[1][510] = 3 | 1 << 7;
    table[2][0] = 3 | 1 << 7;
    for (index, entries) in table.iter().enumerate() {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        machine.put(pages + 0x1000 * index as u64, &bytes);
    }
    let mut writer = writer.clone();
    let memory = writer.memory();
    let descriptors = ring + 0x1000;
    let infos = descriptors + memory.descriptors.len() as u64;
    let text = infos + memory.infos.len() as u64;
    writer.addresses = [DIRECT + descriptors, DIRECT + infos, DIRECT + text];
    machine.put(ring, &(VIRTUAL + ring + 0x100).to_le_bytes());
    machine.put(ring + 0x100, &writer.ringbuffer());
    machine.put(descriptors, &memory.descriptors);
    machine.put(infos, &memory.infos);
    machine.put(text, &memory.text);
}

fn captured() -> Writer {
    let mut writer = Writer::new(6, 12);
    writer.print(0, 5, b"Linux version 6.12.43");
    writer.print(4_000_000_000, 3, b"kdump: dump target /dev/vdb is missing");
    writer
}

#[test]
fn capture_kernels_log_is_found_by_its_vmcoreinfo_page() {
    let mut machine = Machine::new();
    machine.record(0, |record| {
        record.stage = (Stage::Jumped as u32).into();
        record.verdict = 0.into();
        record.corrupt_places = 0.into();
    });
    capture_kernel(&mut machine, 0x40_0000, &captured());
    let saved = machine.harvest().unwrap();
    let summary = saved.panic.capture_log.as_ref().unwrap();
    assert_eq!((summary.release.as_str(), summary.records), ("6.12.43", 2));
    let story = story::tell(&saved.panic, Some(&saved), None);
    assert!(story.contains("dump target /dev/vdb is missing"), "{story}");
}

#[test]
fn error_of_the_capture_kernel_is_told_although_it_said_more_afterwards() {
    let mut machine = Machine::new();
    machine.record(0, |record| record.stage = (Stage::Jumped as u32).into());
    let mut writer = captured();
    writer.print(4_100_000_000, 4, b"a warning");
    (0..20).for_each(|line| writer.print(5_000_000_000 + line, 6, b"clocksource: tsc"));
    capture_kernel(&mut machine, 0x40_0000, &writer);
    let saved = machine.harvest().unwrap();
    let told = story::tell(&saved.panic, Some(&saved), None);
    let error = "             [    4.000000] kdump: dump target /dev/vdb is missing\n             \
                 its last lines were:\n             [    5.000000] clocksource: tsc\n";
    assert!(told.contains(error) && !told.contains("a warning"), "{told}");
    // An error that is among the last lines is there once.
    let mut machine = Machine { root: Machine::new().root, ..machine };
    machine.armed.write(machine.path()).unwrap();
    capture_kernel(&mut machine, 0x40_0000, &captured());
    let saved = machine.harvest().unwrap();
    let told = story::tell(&saved.panic, Some(&saved), None);
    assert_eq!(told.matches("is missing").count(), 1, "{told}");
    assert!(!told.contains("errors before"), "{told}");
}

#[test]
fn capture_kernels_page_tables_that_lead_out_of_the_region_are_not_followed() {
    let mut machine = Machine::new();
    machine.record(0, |record| record.stage = (Stage::Jumped as u32).into());
    capture_kernel(&mut machine, 0x40_0000, &captured());
    // The entry of the kernel's image now maps another GiB.
    machine.put(0x40_2000 + 8 * 510, &(1u64 << 30 | 3 | 1 << 7).to_le_bytes());
    let saved = machine.harvest().unwrap();
    assert_eq!(saved.panic.capture_log, None);
    assert!(story::tell(&saved.panic, Some(&saved), None).contains("its log was not found"));
}

#[test]
fn capture_kernel_of_an_earlier_panic_is_not_told_without_a_jump() {
    let mut machine = Machine::new();
    machine.record(0, |_| ());
    capture_kernel(&mut machine, 0x40_0000, &captured());
    assert_eq!(machine.harvest().unwrap().panic.capture_log, None);
}
