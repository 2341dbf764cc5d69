//! For tests: the files of a machine with 1 GiB, the CPUs 0 and 2, EFI and `crashkernel=192M`, as
//! Linux 6.12 shows them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use tempfile::TempDir;

use super::{Cpuid, Machine, Measured};

/// Frequency of the example's time-stamp counter.
pub const TSC_KHZ: u32 = 2_445_404;

const IOMEM: &str = "\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
0009fc00-0009ffff : reserved
000a0000-000bffff : PCI Bus 0000:00
000f0000-000fffff : System ROM
00100000-3ffddfff : System RAM
  01800000-027fffff : Kernel code
  2f000000-3affffff : Crash kernel
3ffde000-3ffdefff : ACPI Tables
3ffdf000-3ffdffff : ACPI Non-volatile Storage
3ffe0000-3fffffff : Reserved
b0000000-bfffffff : PCI ECAM 0000 [bus 00-ff]
  b0000000-bfffffff : Reserved
    b0000000-bfffffff : pnp 00:00
100000000-10fffffff : System RAM
140000000-147ffffff : System RAM (virtio_mem)
180000000-187ffffff : Persistent Memory
  180000000-183ffffff : namespace0.0
188000000-18fffffff : Persistent Memory (legacy)
";

const CPUINFO: &str = "\
processor\t: 0
flags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 pdpe1gb sha_ni hypervisor
bogomips\t: 4890.80
address sizes\t: 40 bits physical, 48 bits virtual

processor\t: 2
flags\t\t: fpu sse sse2 ssse3 sse4_1 pdpe1gb sha_ni hypervisor
address sizes\t: 40 bits physical, 48 bits virtual
";

/// As Linux 6.12 shows them in QEMU with `-device pvpanic`.
const IOPORTS: &str = "\
0000-0cf7 : PCI Bus 0000:00
  03f8-03ff : serial
  0505-0505 : QEMU0001:00
  0510-051b : QEMU0002:00
0cf8-0cff : PCI conf1
";

/// The SMBIOS structure of QEMU's `-device isa-ipmi-kcs`: KCS at 0xca2.
pub const IPMI: [u8; 20] =
    [38, 18, 0, 0x30, 1, 0x20, 0x20, 0, 0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 1, 5, 0, 0];

/// Files of the example that some machines do not have.
pub const OPTIONAL: [&str; 10] = [
    "kdump-loader/printk_ring",
    "proc/ioports",
    "sys/firmware/dmi/tables/DMI",
    "kdump-loader/cpuid",
    "sys/kernel/kexec/crash_cma_ranges",
    "sys/kernel/crash_elfcorehdr_size",
    "sys/kernel/security/lockdown",
    "sys/firmware/efi/systab",
    "sys/firmware/efi/fw_vendor",
    "sys/firmware/efi/config_table",
];

/// The measured facts of a machine like the example, with another clock.
pub fn measured(tsc_khz: u32) -> Measured {
    Measured { tsc_khz, cpuid: Cpuid::ask(|leaf| (leaf == 0x8000_001f).then_some([0; 4])) }
}

/// Every file of the example: path below the root and content.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    let texts = [
        ("proc/iomem", IOMEM),
        ("proc/cpuinfo", CPUINFO),
        ("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/vda1 console=ttyS0 crashkernel=192M\n"),
        ("proc/sys/kernel/kexec_load_disabled", "0\n"),
        ("proc/ioports", IOPORTS),
        ("proc/meminfo", "MemTotal:        1214864 kB\nMemFree:          730000 kB\n"),
        ("sys/kernel/kexec/crash_cma_ranges", "20000000-20ffffff\n"),
        ("sys/kernel/crash_elfcorehdr_size", "917616\n"),
        ("sys/kernel/vmcoreinfo", "0x0000000001824000 1024\n"),
        ("sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
        ("sys/devices/system/cpu/possible", "0-3\n"),
        ("sys/devices/system/cpu/cpu0/crash_notes", "2ec1d5c0\n"),
        ("sys/devices/system/cpu/cpu0/crash_notes_size", "368\n"),
        ("sys/devices/system/cpu/cpu2/crash_notes", "2ed1d5c0\n"),
        ("sys/devices/system/cpu/cpu2/crash_notes_size", "368\n"),
        ("sys/firmware/efi/systab", "ACPI20=0x3ffde014\nACPI=0x3ffde000\nSMBIOS3=0x3f9ca000\n"),
        ("sys/firmware/efi/fw_vendor", "0x3f9ec018\n"),
        ("sys/firmware/efi/config_table", "0x3f9eba98\n"),
        ("kdump-loader/cpuid", "0x8000001f 0x00000000 0x00000000 0x00000000 0x00000000\n"),
        ("kdump-loader/tsc_khz", "2445404\n"),
    ];
    let mut files: BTreeMap<_, _> =
        texts.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
    for number in 0..11u64 {
        let path = |file: &str| format!("sys/firmware/efi/runtime-map/{number}/{file}");
        files.insert(path("type"), b"0x6\n".to_vec());
        files.insert(
            path("phys_addr"),
            format!("{:#x}\n", 0x3f00_0000 + number * 0x1000).into_bytes(),
        );
        files.insert(
            path("virt_addr"),
            format!("{:#x}\n", 0xffff_fffe_ff00_0000 + number * 0x1000).into_bytes(),
        );
        files.insert(path("num_pages"), b"0x1\n".to_vec());
        files.insert(path("attribute"), b"0x800000000000000f\n".to_vec());
    }
    files.insert("sys/kernel/boot_params/data".into(), boot_params());
    files.insert("proc/kcore".into(), kcore(&KCORE_LOADS));
    files.insert("kdump-loader/printk_ring".into(), printk_ring(RING_AT, 12, 17));
    files.insert("sys/firmware/dmi/tables/DMI".into(), IPMI.to_vec());
    files
}

/// A `struct boot_params` with values in every field that is passed on, and in some that must not
/// be.
fn boot_params() -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..64].fill(0x51); // screen_info
    bytes[0x70..0x78].copy_from_slice(&0x3ffd_e014_u64.to_le_bytes()); // acpi_rsdp_addr
    bytes[0x1c0..0x1c4].copy_from_slice(b"EL64");
    bytes[0x1c4..0x1c8].copy_from_slice(&0x3f9e_c018_u32.to_le_bytes()); // efi_systab
    bytes[0x1c8] = 48; // efi_memdesc_size
    bytes[0x1cc] = 1; // efi_memdesc_version
    bytes[0x1d0..0x1d4].copy_from_slice(&0x3e00_0000_u32.to_le_bytes()); // efi_memmap: the full one
    bytes[0x1d4..0x1d8].copy_from_slice(&4800_u32.to_le_bytes()); // efi_memmap_size
    bytes[0x1e9] = 1; // eddbuf_entries
    bytes[0x1ea] = 2; // edd_mbr_sig_buf_entries
    bytes[0x1ec] = 3; // secure_boot
    bytes[0x1ef] = 0xff; // sentinel
    bytes[0x23c] = 4; // hardware_subarch
    bytes[0x290] = 0x5a; // edd_mbr_sig_buffer
    bytes[0x2d0..0xcd0].fill(0xe8); // e820_table
    bytes[0xd00..0xeec].fill(0xed); // eddbuf
    bytes
}

/// The segments of /proc/kcore: vmalloc, text, modules, RAM twice, vmemmap; as (vaddr, paddr,
/// memsz).
pub const KCORE_LOADS: [(u64, u64, u64); 6] = [
    (0xffff_b000_0000_0000, u64::MAX, 0x1fff_ffff_ffff),
    (0xffff_ffff_9b80_0000, 0x180_0000, 0x1a0_0000),
    (0xffff_ffff_c000_0000, u64::MAX, 0x3f00_0000),
    (0xffff_9000_0000_1000, 0x1000, 0x9e000),
    (0xffff_9000_0010_0000, 0x10_0000, 0x3fed_e000),
    (0xffff_e000_0000_0000, u64::MAX, 0x100_0000),
];

/// The headers of a core with one note and `loads`, followed by a page that must not be copied.
pub fn kcore(loads: &[(u64, u64, u64)]) -> Vec<u8> {
    kcore_saying(loads, VMCOREINFO)
}

/// The same with this VMCOREINFO.
pub fn kcore_saying(loads: &[(u64, u64, u64)], vmcoreinfo: &str) -> Vec<u8> {
    let notes = notes(vmcoreinfo);
    let notes_at = 64 + 56 * (loads.len() as u64 + 1);
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([4, 0, 62, 0, 1, 0, 0, 0]); // ET_CORE, EM_X86_64, EV_CURRENT
    bytes.extend([0, 64, 0].map(u64::to_le_bytes).as_flattened()); // e_entry, e_phoff, e_shoff
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, loads.len() as u8 + 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([4, 0, 0, 0, 4, 0, 0, 0]); // PT_NOTE
    bytes.extend([notes_at, 0, 0, notes.len() as u64, 0, 0].map(u64::to_le_bytes).as_flattened());
    for &(vaddr, paddr, memsz) in loads {
        bytes.extend([1, 0, 0, 0, 7, 0, 0, 0]); // PT_LOAD
        bytes.extend(
            [vaddr & 0xffff_ffff_ffff, vaddr, paddr, memsz, memsz, 4096]
                .map(u64::to_le_bytes)
                .as_flattened(),
        );
    }
    bytes.extend(notes);
    bytes.extend([0xda; 4096]);
    bytes
}

/// What VMCOREINFO says about the printk ring buffer, as in Linux 6.12.
pub const VMCOREINFO: &str = "\
OSRELEASE=6.12.43+deb13-amd64
PAGESIZE=4096
SYMBOL(prb)=ffffffff9c800000
SIZE(printk_ringbuffer)=88
OFFSET(printk_ringbuffer.desc_ring)=0
OFFSET(printk_ringbuffer.text_data_ring)=48
SIZE(prb_desc_ring)=48
OFFSET(prb_desc_ring.count_bits)=0
OFFSET(prb_desc_ring.descs)=8
OFFSET(prb_desc_ring.infos)=16
OFFSET(prb_desc_ring.head_id)=24
OFFSET(prb_desc_ring.tail_id)=32
SIZE(prb_desc)=24
SIZE(printk_info)=88
SIZE(prb_data_ring)=32
OFFSET(prb_data_ring.size_bits)=0
OFFSET(prb_data_ring.data)=8
OFFSET(prb_data_ring.head_lpos)=16
OFFSET(prb_data_ring.tail_lpos)=24
";

/// The notes in [`kcore_saying`]: VMCOREINFO alone.
pub fn notes(text: &str) -> Vec<u8> {
    let name = b"VMCOREINFO\0".as_slice();
    let mut note = [name.len() as u32, text.len() as u32, 0].map(u32::to_le_bytes).concat();
    for part in [name, text.as_bytes()] {
        note.extend(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}

/// Where the ring buffer of the example is: the virtual addresses of `struct printk_ringbuffer`,
/// descriptors, infos and text, all in the kernel's data.
pub const RING_AT: [u64; 4] =
    [0xffff_ffff_9c80_0100, 0xffff_ffff_9c90_0000, 0xffff_ffff_9c92_0000, 0xffff_ffff_9c9a_0000];

/// What is read of the kernel's memory for a ring buffer at `at`: 4096 descriptors if `count_bits`
/// is 12, and 128 KiB of text if `size_bits` is 17.
pub fn printk_ring(at: [u64; 4], count_bits: u64, size_bits: u64) -> Vec<u8> {
    let [ring, descs, infos, text] = at;
    let fields = [ring, count_bits, descs, infos, 400, 1, 0, size_bits, text, 9000, 0, 0];
    fields.map(u64::to_le_bytes).concat()
}

/// Writes `files` below `root`.
pub fn plant(root: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (path, bytes) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The example as a directory.
pub fn tree() -> TempDir {
    let dir = TempDir::new().unwrap();
    plant(dir.path(), &files());
    dir
}

/// The example as a [`Machine`].
pub fn machine() -> Machine {
    static MACHINE: LazyLock<Machine> =
        LazyLock::new(|| Machine::read(tree().path(), None).unwrap());
    MACHINE.clone()
}
