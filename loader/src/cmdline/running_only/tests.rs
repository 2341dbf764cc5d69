//! Parameters that are in the table, and others that must not be.

use super::*;
use crate::cmdline::parameter::words;

fn is_listed(parameter: &str) -> bool {
    let [word] = words(parameter.as_bytes())[..] else { panic!("{parameter} is not one word") };
    row_of(&word).is_some()
}

#[test]
fn parameters_of_the_running_kernels_size_or_purpose_are_listed() {
    for parameter in [
        "hugepages=200",
        "hugetlb_cma=4G",
        "hugetlb_cma=0:1G,1:1G",
        "sysctl.vm.nr_hugepages=200",
        "sysctl/vm/nr_hugepages=200",
        "cma=1G",
        "numa_cma=0:1G",
        "kho=on",
        "kho_scratch=512M,512M,256M",
        "swiotlb=65536",
        "swiotlb=65536,force",
        "swiotlb=32769",
        "log_buf_len=64M",
        "dhash_entries=33554432",
        "possible_cpus=512",
        "transparent_hugepage=always",
        "rd.udev.children-max=512",
        "udev.children_max=64",
        "mem=64G",
        "memmap=128M@256M",
        "memmap=64K$0x98000",
        "memmap=1M#0x7f000000",
        "memmap=16G!16G",
        "memmap=exactmap",
        "memmap=exactmap,640K@0,1G@1M",
        "memmap=1M%0x100000-1",
        "add_efi_memmap",
        "efi_fake_mem=4G@4G:0x40000",
        "movablecore=50%",
        "kernelcore=mirror",
        "movable_node",
        "reserve_mem=12M:4096:trace",
        "numa=fake=4",
        "memtest",
        "memtest=17",
        "crashkernel=512M,high",
        "crashkernel",
        "initrd=\\EFI\\initrd.img",
        "initrdmem=0x100000,1M",
        "resume=UUID=1",
        "resume_offset=4",
        "ignition.firstboot",
        "ignition.firstboot=1",
        "flatcar.first_boot=1",
        "splash",
        "showopts",
        "panic_on_warn",
        "panic_on_warn=1",
        "softlockup_panic=1",
        "workqueue.panic_on_stall=1",
        "rd.break",
        "rd.break=pre-mount",
        "break=premount",
        "kgdbwait",
        "kgdboc=ttyS0",
        "kdb",
        "single",
        "emergency",
        "1",
        "-b",
        "unknown_nmi_panic",
        "sysctl.kernel.panic_on_warn=1",
        "nmi_watchdog=panic",
        "nmi_watchdog=nopanic,panic",
        "isolcpus=0",
        "isolcpus=managed_irq,1-63",
        "nohz_full=0-63",
        "rcu_nocbs",
        "rcu_nocbs=1-63",
        "irqaffinity=0",
        "systemd.cpu_affinity=0-3",
        "slub_debug",
        "slub_debug=FZ",
        "slab_debug=P",
        "page_owner=on",
        "kasan.mode=async",
        "kasan_multi_shot",
        "kfence.sample_interval=100",
        "kmemleak=on",
        "debug_pagealloc=on",
        "trace_buf_size=100M",
        "trace_event=sched",
        "ftrace=function",
        "ftrace_dump_on_oops",
        "alloc_snapshot",
        "failslab=1,100,0,-1",
        "log-buf-len=64M",
        "\"hugepages=200\"",
        "trace_event=\"a b\"",
        "memmap=\"128M@256M\"",
        "elfcorehdr=0x1",
        "purgatory.report=ok",
    ] {
        assert!(is_listed(parameter), "{parameter}");
    }
}

#[test]
fn parameters_that_a_dump_may_need_are_not_listed() {
    for parameter in [
        "root=/dev/mapper/root",
        "rootflags=subvol=@",
        "rd.luks.uuid=luks-1",
        "rd.lvm.lv=vg/root",
        "ip=dhcp",
        "netroot=iscsi:x",
        "console=ttyS0,115200n8",
        "earlyprintk=ttyS0",
        "quiet",
        "rd.shell=0",
        "rd.emergency=reboot",
        "init=/nix/store/x/init",
        "systemd.unit=multi-user.target",
        "3",
        "panic=10",
        "intel_iommu=on",
        "iommu=pt",
        "pci=nommconf",
        "efi=debug",
        "nr_cpus=1",
        "maxcpus=1",
        "numa=off",
        "cgroup_disable=memory",
        "oops=panic",
        "acpi_rsdp=0x1000",
        "mem_encrypt=on",
        "acpi_no_memhotplug",
        "reset_devices",
        "noresume",
        "nmi_watchdog=0",
        "nmi_watchdog=nopanic",
        "swiotlb=force",
        "swiotlb=noforce",
        "swiotlb=1024",
        "swiotlb=32768",
        "mem_sleep_default=deep",
        "hugepagesx=1",
        "memmapx=1",
        "trace",
        "init=/bin/sh",
        "sysctl.kernel.panic=10",
        // What turns something off makes the capture kernel smaller.
        "cma=0",
        "hugetlb_cma=0",
        "hugepages=0",
        "transparent_hugepage=never",
        "kho=off",
        "slub_debug=-",
        "kasan=off",
        "page_owner=OFF",
        "panic_on_warn=0",
        "kfence.sample_interval=0",
    ] {
        assert!(!is_listed(parameter), "{parameter}");
    }
}

#[test]
fn every_name_is_in_the_table_once_and_has_a_source() {
    let names: Vec<_> = TABLE.iter().flat_map(|row| row.names).collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name) && !name.contains('-'), "{name}");
    }
    assert!(TABLE.iter().all(|row| !row.source.is_empty()));
    assert!(
        TABLE.iter().all(|row| row.effect.is_empty() == (row.weight == Weight::Nothing)),
        "advice says what happens"
    );
}
