//! The ring buffer of the example, others, and what cannot be resolved.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::machine::example::{self, KCORE_LOADS, RING_AT, VMCOREINFO};
use crate::machine::{Machine, snapshot};

/// The direct map of the example.
const DIRECT_MAP: u64 = 0xffff_9000_0000_0000;

/// The machine with another VMCOREINFO, or other memory.
fn resolved(vmcoreinfo: &str, bytes: &[u8]) -> Result<PrintkRing, Unresolved> {
    let machine = example::machine();
    let info = Vmcoreinfo::find(&example::kcore_saying(&KCORE_LOADS, vmcoreinfo)).unwrap();
    resolve(bytes, &info, &machine.kcore, &machine.system_ram, &machine.crash_regions)
}

fn ring(at: [u64; 4], count_bits: u64, size_bits: u64) -> Result<PrintkRing, Unresolved> {
    resolved(VMCOREINFO, &example::printk_ring(at, count_bits, size_bits))
}

#[test]
fn ring_buffer_in_the_kernels_data_is_kept_whole() {
    let ring = example::machine().printk.unwrap();
    let range = |start, len| PhysRange::with_len(start, len).unwrap();
    assert_eq!(ring.ringbuffer, range(0x280_0100, 88));
    let whole = |start, element_len: u32, kept: u32| RingArray {
        range: range(start, u64::from(element_len) * u64::from(kept)),
        element_len,
        kept,
    };
    assert_eq!(ring.descriptors, whole(0x290_0000, 24, 4096));
    assert_eq!(ring.infos, whole(0x292_0000, 88, 4096));
    assert_eq!(ring.text, whole(0x29a_0000, 1, 128 << 10));
    assert_eq!((ring.head_id, ring.head_lpos), (24, 64));
    // 4.5 times the text, and 88 bytes.
    assert_eq!(ring.copy_len(), 589_912 + size_of::<LogHeader>() as u64);
}

#[test]
fn large_ring_buffer_in_the_direct_map_is_kept_in_part() {
    let [at, ..] = RING_AT;
    let arrays = [0x400_0000, 0x800_0000, 0x1000_0000].map(|physical| DIRECT_MAP + physical);
    let [descs, infos, text] = arrays;
    let whole = ring([at, descs, infos, text], 15, 20).unwrap();
    assert_eq!((whole.descriptors.kept, whole.text.kept), (1 << 15, 1 << 20));
    assert_eq!(whole.copy_len(), 4_718_680 + size_of::<LogHeader>() as u64);
    let large = ring([at, descs, infos, text], 16, 21).unwrap();
    assert_eq!(large.descriptors.range, PhysRange::with_len(0x400_0000, 24 << 16).unwrap());
    assert_eq!(
        (large.descriptors.kept, large.infos.kept, large.text.kept),
        (4096, 4096, 128 << 10)
    );
}

#[test]
fn line_that_an_older_kernel_lacks_is_named() {
    let bytes = example::printk_ring(RING_AT, 12, 17);
    let needed = VMCOREINFO.lines().filter(|line| {
        !["OSRELEASE", "PAGESIZE", "tail", "SYMBOL", "SIZE(prb_desc_ring)", "SIZE(prb_data_ring)"]
            .iter()
            .any(|unused| line.contains(unused))
    });
    for line in needed {
        let (key, _) = line.split_once('=').unwrap();
        for replaced in ["", &format!("{key}=odd")] {
            let lacking = VMCOREINFO.replace(line, replaced);
            assert_eq!(resolved(&lacking, &bytes), Err(Unresolved::Lacks(key.into())));
        }
    }
}

#[test]
fn array_outside_ram_or_in_crash_memory_is_refused() {
    let machine = example::machine();
    let crash = DIRECT_MAP + machine.crash_region().unwrap().start();
    for (index, what) in
        ["printk_ringbuffer", "desc_ring.descs", "desc_ring.infos", "text_data_ring.data"]
            .into_iter()
            .enumerate()
    {
        let ram = DIRECT_MAP + 0x3ffd_e000;
        for address in [0, 0x1000, ram - 8, DIRECT_MAP + 0xb000_0000, crash + 0x1000, u64::MAX - 7]
        {
            let mut at = RING_AT;
            at[index] = address;
            assert_eq!(ring(at, 12, 17), Err(Unresolved::Outside { what, address }));
        }
    }
}

#[test]
fn impossible_numbers_are_refused() {
    for bits in [0, 32, 255] {
        assert!(matches!(ring(RING_AT, bits, 17), Err(Unresolved::Implausible { .. })), "{bits}");
        assert!(matches!(ring(RING_AT, 12, bits), Err(Unresolved::Implausible { .. })), "{bits}");
    }
    let bytes = example::printk_ring(RING_AT, 12, 17);
    for (line, other) in [
        ("SIZE(prb_desc)=24", "SIZE(prb_desc)=0"),
        ("SIZE(printk_info)=88", "SIZE(printk_info)=4097"),
        ("SIZE(printk_info)=88", "SIZE(printk_info)=4000"),
        ("OFFSET(prb_desc_ring.descs)=8", "OFFSET(prb_desc_ring.descs)=81"),
        ("OFFSET(prb_data_ring.data)=8", "OFFSET(prb_data_ring.data)=18446744073709551615"),
    ] {
        let told = VMCOREINFO.replace(line, other);
        let refused = resolved(&told, &bytes).unwrap_err();
        assert!(
            matches!(refused, Unresolved::Implausible { .. } | Unresolved::Outside { .. }),
            "{other}: {refused}"
        );
    }
    for len in [0, 7, 8, 95, 97] {
        let mut other = bytes.clone();
        other.resize(len, 0);
        assert!(matches!(resolved(VMCOREINFO, &other), Err(Unresolved::Length { .. })), "{len}");
    }
}

/// A machine whose /proc/kcore has the memory of the ring buffer's struct, as a live one does.
fn live(prb_at: u64) -> TempDir {
    let root = example::tree();
    fs::remove_file(root.path().join("kdump-loader/printk_ring")).unwrap();
    let mut loads = KCORE_LOADS;
    let headers = example::kcore(&loads).len() as u64;
    // The text's segment is at the end of the headers, and has no more than is read.
    let text_at = headers.next_multiple_of(4096);
    loads[1].2 = 0x1a0_0000;
    let mut kcore = example::kcore(&loads);
    let phdr = 64 + 56 * 2 + 8;
    kcore[phdr..phdr + 8].copy_from_slice(&text_at.to_le_bytes());
    let file = root.path().join("proc/kcore");
    fs::write(&file, kcore).unwrap();
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    let ring = example::printk_ring(RING_AT, 12, 17);
    let (pointer, ring) = ring.split_at(8);
    file.write_all_at(pointer, text_at + (prb_at - loads[1].0)).unwrap();
    file.write_all_at(ring, text_at + (RING_AT[0] - loads[1].0)).unwrap();
    root
}

#[test]
fn ring_buffer_is_read_through_kcore_and_a_snapshot_keeps_it() {
    let (live, dir) = (live(0xffff_ffff_9c80_0000), TempDir::new().unwrap());
    let machine = Machine::read(live.path(), None).unwrap();
    assert_eq!(machine.printk, example::machine().printk);
    snapshot::save(live.path(), dir.path(), &example::measured(example::TSC_KHZ)).unwrap();
    assert_eq!(Machine::read(dir.path(), None).unwrap(), machine);
}

#[test]
fn machine_whose_memory_cannot_be_read_is_a_machine_without_a_kernel_log() {
    let root = example::tree();
    fs::remove_file(root.path().join("kdump-loader/printk_ring")).unwrap();
    let machine = Machine::read(root.path(), None).unwrap();
    let Err(Unresolved::Unreadable { address: 0xffff_ffff_9c80_0000, .. }) = machine.printk else {
        panic!("{:?}", machine.printk)
    };
    fs::write(root.path().join("proc/kcore"), example::kcore_saying(&KCORE_LOADS, "A=1\n"))
        .unwrap();
    let machine = Machine::read(root.path(), None).unwrap();
    assert_eq!(machine.printk, Err(Unresolved::Lacks("SYMBOL(prb)".into())));
    assert_eq!(machine.vmcoreinfo_text, "A=1\n");
}

proptest! {
    #[test]
    fn no_memory_leads_outside_of_ram(
        bytes in prop::collection::vec(any::<u8>(), 96),
        at in 0..12usize,
        value in 0..64u64,
    ) {
        // Some of the fields are plausible.
        let mut some = example::printk_ring(RING_AT, 12, 17);
        some[at * 8..at * 8 + 8].copy_from_slice(&value.to_le_bytes());
        for memory in [bytes, some] {
            let Ok(ring) = resolved(VMCOREINFO, &memory) else { continue };
            let machine = example::machine();
            for array in [ring.descriptors, ring.infos, ring.text] {
                prop_assert!(machine.system_ram.iter().any(|ram| ram.contains(array.range)));
                prop_assert!(
                    !machine.crash_regions.iter().any(|region| region.overlaps(array.range))
                );
                prop_assert!(
                    u64::from(array.kept) * u64::from(array.element_len) <= array.range.len()
                );
            }
            prop_assert!(ring.copy_len() <= MAX_LOG_COPY_LEN);
        }
    }
}
