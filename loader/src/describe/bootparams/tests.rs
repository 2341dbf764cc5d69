//! The boot parameters as the capture kernel reads them.

mod built;

use proptest::prelude::*;

use super::*;
use crate::kernel::bzimage::XLF_EFI_KEXEC;
use crate::kernel::uapi::SetupData;
use crate::machine::example;
use crate::request::example as request;
use built::*;

#[test]
fn header_is_copied_and_what_the_loader_decides_is_filled_in() {
    let bytes = built(|_, _, _, _| ()).unwrap();
    let params = params(&bytes);
    let mut expected = header();
    let mut put =
        |at: usize, value: &[u8]| expected[at - 0x1f1..][..value.len()].copy_from_slice(value);
    put(0x210, &[0xd0, 0]);
    put(0x218, &0x3200_0000_u32.to_le_bytes());
    put(0x21c, &0x0012_3456_u32.to_le_bytes());
    put(0x228, &0x3100_0000_u32.to_le_bytes());
    put(0x23c, &[4, 0, 0, 0]);
    put(0x250, &params.hdr.setup_data.get().to_le_bytes());
    assert_eq!(bytes[0x1f1..0x26c], expected);
    assert_eq!(
        (
            params.ext_cmd_line_ptr.get(),
            params.ext_ramdisk_image.get(),
            params.ext_ramdisk_size.get()
        ),
        (0, 0, 0)
    );
}

#[test]
fn facts_from_the_firmware_are_passed_on() {
    let bytes = built(|_, _, _, _| ()).unwrap();
    let params = params(&bytes);
    assert_eq!(bytes[..2], [0x51; 2]);
    assert_eq!(params.screen_info.ext_mem_k.get(), 0);
    assert_eq!(bytes[4..0x40], [0x51; 0x3c]);
    assert_eq!(params.acpi_rsdp_addr.get(), 0x3ffd_e014);
    assert_eq!(
        (params.secure_boot, params.eddbuf_entries, params.edd_mbr_sig_buf_entries),
        (3, 1, 2)
    );
    assert_eq!((params.edd_mbr_sig_buffer[0].get(), &params.eddbuf), (0x5a, &[0xed; 492]));
}

#[test]
fn everything_else_is_zero() {
    let bytes = built(|_, _, _, _| ()).unwrap();
    let used = [
        0..0x40,
        0x70..0x78,
        0x1c0..0x1e0,
        0x1e8..0x1eb,
        0x1ec..0x1ed,
        0x1f1..0x26c,
        0x290..0x2d0,
        0x2d0..0xcd0,
        0xd00..0xeec,
    ];
    for at in (0..0x1000).filter(|at| !used.iter().any(|range| range.contains(at))) {
        assert_eq!(bytes[at], 0, "at {at:#x}");
    }
}

#[test]
fn addresses_above_4_gib_are_split() {
    const HIGH: u64 = 5 << 32;
    let bytes = built(|machine, _, _, places| {
        machine.crash_regions = vec![range(HIGH, HIGH + 0x2_0000_0000)];
        *places = Places {
            at: HIGH + AT,
            command_line: range(HIGH + 0x1000, HIGH + 0x1800),
            initrd: Some(range(HIGH + 0x2000, HIGH + 0x1_0000_3000)),
            elfcorehdr: range(HIGH, HIGH + 0x1000),
            crash_region: range(HIGH, HIGH + 0x2_0000_0000),
        };
    })
    .unwrap();
    let params = params(&bytes);
    assert_eq!((params.hdr.cmd_line_ptr.get(), params.ext_cmd_line_ptr.get()), (0x1000, 5));
    assert_eq!((params.hdr.ramdisk_image.get(), params.ext_ramdisk_image.get()), (0x2000, 5));
    assert_eq!((params.hdr.ramdisk_size.get(), params.ext_ramdisk_size.get()), (0x1000, 1));
    assert_eq!((params.efi_info.efi_memmap_hi.get(), params.hdr.setup_data.get() >> 32), (5, 5));
    assert_eq!(nodes(&bytes, HIGH + AT).len(), 2);
}

#[test]
fn image_without_initrd_says_so() {
    let bytes = built(|_, _, _, places| places.initrd = None).unwrap();
    assert_eq!(
        (params(&bytes).hdr.ramdisk_image.get(), params(&bytes).hdr.ramdisk_size.get()),
        (0, 0)
    );
}

#[test]
fn only_the_runtime_part_of_the_efi_map_is_passed() {
    let bytes = built(|_, _, _, _| ()).unwrap();
    let info = params(&bytes).efi_info;
    assert_eq!(
        (&info.efi_loader_signature, info.efi_systab.get(), info.efi_systab_hi.get()),
        (b"EL64", 0x3f9e_c018, 0)
    );
    assert_eq!(
        (info.efi_memdesc_size.get(), info.efi_memdesc_version.get(), info.efi_memmap_size.get()),
        (40, 1, 11 * 40)
    );
    let map = &bytes[(info.efi_memmap.get() as u64 - AT) as usize..][..11 * 40];
    for (index, descriptor) in <[EfiMemoryDesc]>::ref_from_bytes(map).unwrap().iter().enumerate() {
        let offset = index as u64 * 0x1000;
        assert_eq!((descriptor.kind.get(), descriptor.phys_addr.get()), (6, 0x3f00_0000 + offset));
        assert_eq!(
            (descriptor.virt_addr.get(), descriptor.num_pages.get()),
            (0xffff_fffe_ff00_0000 + offset, 1)
        );
        assert_eq!((descriptor.attribute.get(), descriptor.pad.get()), (0x8000_0000_0000_000f, 0));
    }
    let (kind, data) = nodes(&bytes, AT)[0];
    let mut expected = [0; 12];
    (expected[0], expected[2], expected[3]) = (0x3f9e_c018, 0x3f9e_ba98, 0x3f9c_a000);
    assert_eq!((kind, data), (4, expected.map(u64::to_le_bytes).as_flattened()));
}

#[test]
fn efi_is_left_out_as_a_whole_but_the_rsdp_is_kept() {
    type Change = fn(&mut Machine, &mut Request, &mut CaptureKernel<'_>, &mut Places);
    let changes: [(&str, Change); 5] = [
        ("noefi", |_, request, _, _| request.noefi = true),
        ("no XLF_EFI_KEXEC", |_, _, kernel, _| kernel.xloadflags &= !XLF_EFI_KEXEC),
        ("no runtime map", |machine, _, _, _| machine.efi.as_mut().unwrap().runtime_map.clear()),
        ("booted without EFI", |machine, _, _, _| machine.boot_params[0x1c0] = 0),
        ("no EFI", |machine, _, _, _| machine.efi = None),
    ];
    for (name, change) in changes {
        let bytes = built(change).unwrap();
        assert_eq!(bytes[0x1c0..0x1e0], [0; 32], "{name}");
        assert_eq!(nodes(&bytes, AT).iter().map(|node| node.0).collect::<Vec<_>>(), [9], "{name}");
        assert_eq!(params(&bytes).acpi_rsdp_addr.get(), 0x3ffd_e014, "{name}");
    }
}

#[test]
fn rsdp_comes_from_efi_if_the_boot_loader_passed_none() {
    let mut machine = example::machine();
    machine.boot_params[0x70..0x78].fill(0);
    machine.efi.as_mut().unwrap().acpi_rsdp = 0x1234;
    assert_eq!(acpi_rsdp(&machine), Some(0x1234));
    machine.efi = None;
    assert_eq!(acpi_rsdp(&machine), None);
}

#[test]
fn seed_is_passed_only_if_there_is_one() {
    let with = built(|_, _, _, _| ()).unwrap();
    assert_eq!(nodes(&with, AT)[1], (9, &request().rng_seed.unwrap()[..]));
    let without = built(|_, request, _, _| request.rng_seed = None).unwrap();
    assert!(nodes(&without, AT).iter().all(|node| node.0 != 9));
}

#[test]
fn memory_map_that_does_not_fit_the_page_continues_after_it() {
    let reserved = |count: u64| {
        (0..count)
            .map(|index| range(0xb000_0000 + index * 0x2000, 0xb000_1000 + index * 0x2000))
            .collect()
    };
    for (count, beyond) in [(100, 0), (120, 0), (121, 1), (500, 380)] {
        // Eight more come from the rest of the example: two pieces of RAM, CMA, the crash region,
        // ACPI, NVS, PMEM, PRAM.
        let bytes = built(|machine, _, _, _| {
            machine.reserved = reserved(count);
            machine.system_ram.insert(0, range(0, 0x800));
        })
        .unwrap();
        let params = params(&bytes);
        assert_eq!(u64::from(params.e820_entries), (count + 8).min(128));
        let nodes = nodes(&bytes, AT);
        let ext = nodes.iter().find(|node| node.0 == 1).map_or(&[][..], |node| node.1);
        assert_eq!(ext.len(), beyond * 20, "{count} ranges");
        let entries = params.e820_table[..params.e820_entries.into()]
            .iter()
            .chain(<[BootE820Entry]>::ref_from_bytes(ext).unwrap());
        let spans: Vec<_> = entries
            .map(|entry| PhysRange::with_len(entry.addr.get(), entry.size.get()).unwrap())
            .collect();
        assert!(
            spans.len() == count as usize + 8 && spans.is_sorted_by(|a, b| a.end() <= b.start())
        );
    }
}

#[test]
fn memory_map_of_one_range_is_refused() {
    let error = built(|machine, _, _, _| {
        (machine.system_ram, machine.reserved, machine.acpi_tables) = Default::default();
        (machine.acpi_nvs, machine.pmem, machine.pram, machine.crash_cma) = Default::default();
    });
    assert_eq!(error, Err(Error::MemoryMap { entries: 1, least: 2 }));
}

#[test]
fn kernel_that_does_not_know_five_levels_is_refused_where_they_are_used() {
    let old = |la57| {
        built(move |machine, _, kernel, _| (machine.cpu.la57, kernel.xloadflags) = (la57, 0x5f))
    };
    assert_eq!(old(true), Err(Error::FiveLevels { xloadflags: 0x5f }));
    assert!(old(false).is_ok());
    assert!(built(|machine, _, _, _| machine.cpu.la57 = true).is_ok());
}

#[test]
fn part_outside_the_crash_region_is_refused_by_name() {
    let outside = range(0x3aff_f000, 0x3b00_1000);
    type Move = fn(&mut Places, PhysRange);
    let moves: [(&str, Move); 4] = [
        ("command line", |places, to| places.command_line = to),
        ("initrd", |places, to| places.initrd = Some(to)),
        ("elfcorehdr", |places, to| places.elfcorehdr = to),
        ("boot parameters", |places, to| places.at = to.start()),
    ];
    for (part, place) in moves {
        match built(|_, _, _, places| place(places, outside)) {
            Err(Error::Outside { name, range, .. }) => {
                assert_eq!((name, range.start()), (part, outside.start()))
            }
            other => panic!("{part}: {:?}", other.map(drop)),
        }
    }
    assert_eq!(
        built(|_, _, _, places| places.at = u64::MAX - 0xfff),
        Err(Error::Wraps { at: u64::MAX - 0xfff })
    );
}

#[test]
fn snapshot_with_half_a_page_of_boot_parameters_is_refused() {
    assert_eq!(
        built(|machine, _, _, _| machine.boot_params.truncate(2048)),
        Err(Error::Running { len: 2048 })
    );
}

proptest! {
    #[test]
    fn segment_is_never_longer_than_announced(
        reserved in prop::collection::vec((0..0x1_0000u64, 1..64u64), 0..200),
        descriptors in 0..60usize,
        (noefi, seeded) in any::<(bool, bool)>(),
    ) {
        // `built` compares the lengths.
        built(|machine, request, _, _| {
            machine.reserved = reserved
                .into_iter()
                .map(|(start, len)| range(start << 16, (start + len) << 16))
                .collect();
            let efi = machine.efi.as_mut().unwrap();
            efi.runtime_map = efi.runtime_map.iter().copied().cycle().take(descriptors).collect();
            request.noefi = noefi;
            request.rng_seed = request.rng_seed.filter(|_| seeded);
        })
        .unwrap();
    }
}
