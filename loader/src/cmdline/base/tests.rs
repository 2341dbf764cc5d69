//! Reused command lines, the parameters that are dropped from them, and parameters from the caller.

use proptest::prelude::*;

use super::*;
use crate::cmdline::running_only::{TABLE, Weight};

fn reused(running: &str, append: &str) -> (String, String) {
    let base = Base::reused(running.as_bytes(), append);
    (text(&base.line), base.dropped_text().join(" "))
}

/// Whether `line` is kept whole.
fn kept(line: &str) -> bool {
    reused(line, "") == (line.into(), "".into())
}

#[test]
fn huge_pages_of_the_running_kernel_are_not_reused() {
    let running = "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 ro default_hugepagesz=1G hugepagesz=1G \
                   hugepages=0:16,1:16 crashkernel=256M quiet";
    let (line, dropped) = reused(running, "nr_cpus=1");
    assert_eq!(line, "root=/dev/vda1 ro quiet nr_cpus=1");
    assert_eq!(
        dropped,
        "BOOT_IMAGE=/boot/vmlinuz default_hugepagesz=1G hugepagesz=1G hugepages=0:16,1:16 \
         crashkernel=256M"
    );
}

#[test]
fn parameters_of_the_running_kernels_size_or_purpose_are_not_reused() {
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
        assert_eq!(
            reused(&format!("ro {parameter} quiet"), ""),
            ("ro quiet".into(), parameter.into())
        );
    }
}

#[test]
fn parameters_that_a_dump_may_need_are_reused() {
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
        assert!(kept(parameter), "{parameter}");
        assert!(kept(&format!("ro {parameter}  quiet")), "{parameter}");
    }
}

#[test]
fn words_for_init_are_not_filtered() {
    assert_eq!(
        reused("ro hugepages=1 -- hugepages=2 crashkernel=mine", "irqpoll"),
        ("ro irqpoll -- hugepages=2 crashkernel=mine".into(), "hugepages=1".into())
    );
    assert!(kept("-- hugepages=2") && kept("ro \"--\" hugepages=2"));
    assert_eq!(reused("hugepages=1 -- x", "").0, "-- x");
    assert_eq!(reused("", "a -- b").0, "a -- b");
}

#[test]
fn quotes_are_read_as_the_kernel_reads_them() {
    assert!(kept("a=\"x hugepages=1 y\" b"), "inside a value");
    assert_eq!(
        reused("dyndbg=\"file x +p\" hugepages=\"1 2\" b", ""),
        ("dyndbg=\"file x +p\" b".into(), "hugepages=\"1 2\"".into())
    );
    // A no-break space of Latin-1 separates words of the kernel, and stays what it was.
    let base = Base::reused(b"a=\xa0hugepages=1\xa0b \xff", "");
    assert_eq!(
        (base.line, base.dropped),
        (b"a=\xa0b \xff".to_vec(), vec![b"hugepages=1".to_vec()])
    );
}

#[test]
fn unified_images_own_line_is_filtered_and_a_given_one_is_not() {
    let chosen = |reuse, given, brought: Option<&str>| {
        let base = Base::chosen(b"running hugepages=1", reuse, given, brought.map(str::as_bytes));
        (text(&base.line), base.dropped_text().join(" "))
    };
    assert_eq!(
        chosen(false, None, Some("ro crashkernel=64M")),
        ("ro ".into(), "crashkernel=64M".into())
    );
    assert_eq!(
        chosen(false, Some("crashkernel=64M"), Some("brought")),
        ("crashkernel=64M".into(), "".into())
    );
    assert_eq!(
        chosen(true, Some("hugepages=2"), Some("brought")),
        ("running hugepages=2".into(), "hugepages=1".into())
    );
    assert_eq!(chosen(true, None, Some("brought")), ("running ".into(), "hugepages=1".into()));
    assert_eq!(chosen(false, None, None), ("".into(), "".into()));
}

#[test]
fn line_feeds_of_a_reused_line_are_spaces_and_those_of_the_caller_are_refused() {
    let composed = |running: &[u8], reuse, given, brought| {
        let base = Base::chosen(running, reuse, given, brought);
        crate::cmdline::compose(&base.line, 2048, 0x1000, None, false).map(|line| text(&line.bytes))
    };
    let all = "a b c d elfcorehdr=0x1000\0";
    assert_eq!(
        composed(b"a\nb\x0bc\x0cquiet\rd\n", true, None, None).unwrap(),
        "a b c quiet d elfcorehdr=0x1000\0"
    );
    assert_eq!(composed(b"", false, None, Some(b"a\nb\x01c\x7fd\r\n")).unwrap(), all);
    for (running, reuse, given, brought) in [
        (&b"a"[..], true, Some("b\nc"), None),
        (b"a", false, Some("b\nc"), None),
        (b"a\0b", true, None, None),
        (b"", false, None, Some(&b"a\0b"[..])),
    ] {
        let refused = composed(running, reuse, given, brought);
        assert!(matches!(refused, Err(crate::cmdline::Error::Character { .. })), "{refused:?}");
    }
}

#[test]
fn given_parameters_of_the_table_are_found_together_by_their_reason() {
    let base =
        Base::from("hugepages=1 BOOT_IMAGE=x ro log_buf_len=4M hugepagesz=2M cma=0 -- mem=1G");
    let unfit: Vec<_> = base.unfit().into_iter().map(|(_, words)| words.join(" ")).collect();
    assert_eq!(unfit, ["hugepages=1 hugepagesz=2M", "log_buf_len=4M"]);
    assert_eq!(Base::reused(b"hugepages=1 log_buf_len=4M", "").unfit().len(), 0);
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

#[test]
fn names_of_udev_may_have_dots_and_either_separator() {
    assert_eq!(
        Base::reused(b"udev.children-max=64 rd.udev.children_max=64 ro", "udev.children-max=2")
            .line,
        b"ro udev.children-max=2"
    );
}

/// Words that are dropped, words that look like it, and bytes of every kind.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&str> =
        TABLE.iter().flat_map(|row| row.names).map(|name| name.trim_end_matches('*')).collect();
    let listed = (prop::sample::select(names), "(=[0-9a-zA-Z,@$!\"-]{0,6})?")
        .prop_map(|(name, value)| (name.to_owned() + &value).into_bytes());
    let word = prop_oneof![
        listed,
        "[\"a-z=_-]{1,8}".prop_map(String::into_bytes),
        Just(b"--".to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    let separator = prop::sample::select([&b" "[..], b"  ", b"\t", b"\xa0"].to_vec());
    prop::collection::vec((word, separator), 0..12).prop_map(|words| {
        words.into_iter().flat_map(|(word, separator)| [&word, separator].concat()).collect()
    })
}

proptest! {
    #[test]
    fn filter_drops_what_the_table_lists_and_keeps_all_other_words_in_order(line in any_line()) {
        let base = Base::reused(&line, "");
        let (before, end) = parameters(&line);
        let texts = |words: Vec<crate::cmdline::parameter::Word<'_>>| {
            words.iter().map(|word| word.text.to_vec()).collect::<Vec<_>>()
        };
        let (dropped, kept): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|word| row_of(word).is_some());
        let (after, after_end) = parameters(&base.line);
        prop_assert_eq!(texts(after), texts(kept));
        prop_assert_eq!(texts(dropped), base.dropped.clone());
        prop_assert_eq!(&base.line[after_end..], &line[end..]);
        prop_assert_eq!(
            Base::reused(&base.line, ""),
            Base { line: base.line.clone(), dropped: Vec::new() }
        );
        if base.dropped.is_empty() {
            prop_assert_eq!(base.line, line);
        }
    }
}
