//! Each parameter that a capture kernel must not get, with the effect and the source.

use super::{Row, Values, Weight};

/// Slabs of bounce buffers that the kernel tries to allocate by default: 64 MiB in slabs of 2 KiB
/// (`IO_TLB_DEFAULT_SIZE`, `IO_TLB_SHIFT`, include/linux/swiotlb.h).
const DEFAULT_SLABS: u64 = (64 << 20) >> 11;

/// The number of slabs at the start of the value of `swiotlb=`; 0 if there is none
/// (`setup_io_tlb_npages`, kernel/dma/swiotlb.c).
fn slabs(value: &[u8]) -> u64 {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |slabs: u64, digit| {
        slabs.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    })
}

/// In `source`, kernel-parameters.txt is Documentation/admin-guide/kernel-parameters.txt of Linux
/// 7.
pub(in crate::cmdline) const TABLE: &[Row] = &[
    // The loader's own.
    Row {
        names: &["elfcorehdr", "purgatory.report"],
        values: Values::All,
        weight: Weight::Nothing,
        effect: "",
        source: "this loader appends them",
    },
    // Memory in proportion to the machine.
    Row {
        names: &["crashkernel"],
        values: Values::All,
        weight: Weight::Loses,
        effect: "the capture kernel reserves part of its own memory again",
        source: "kdump-config, kdumpctl, openSUSE's load.sh",
    },
    Row {
        names: &[
            "hugepages",
            "hugepagesz",
            "default_hugepagesz",
            "hugepage_alloc_threads",
            "hugetlb_cma",
            "hugetlb_cma_only",
            "hugetlb_free_vmemmap",
            "sysctl.vm.nr_hugepages*",
            "sysctl.vm.nr_overcommit_hugepages",
        ],
        values: Values::On,
        weight: Weight::Loses,
        effect: "huge pages for the whole machine take all memory of the capture kernel, which \
                 ends with \"deadlocked on memory\"",
        source: "kdump-config, load.sh: hugepages; gen-kdump-sysconfig.sh: hugepages, hugepagesz, \
                 hugetlb_cma; the others: kernel-parameters.txt, fs/proc/proc_sysctl.c (sysctl.*)",
    },
    Row {
        names: &["cma", "cma_pernuma", "numa_cma", "kho", "kho_scratch", "liveupdate"],
        values: Values::On,
        weight: Weight::Loses,
        effect: "the capture kernel sets memory aside that it needs itself",
        source: "gen-kdump-sysconfig.sh: cma; kernel-parameters.txt: numa_cma, kho, liveupdate",
    },
    Row {
        names: &["swiotlb"],
        values: Values::Only(|value| slabs(value) > DEFAULT_SLABS),
        weight: Weight::Costs,
        effect: "the capture kernel allocates bounce buffers of the size that the whole machine \
                 needs",
        source: "gen-kdump-sysconfig.sh; fewer slabs than the default save memory",
    },
    Row {
        names: &["log_buf_len"],
        values: Values::All,
        weight: Weight::Costs,
        effect: "the kernel log takes memory in proportion to the whole machine: 18 MB for \
                 log_buf_len=4M",
        source: "gen-kdump-sysconfig.sh; the figure was measured on 6.12",
    },
    Row {
        names: &[
            "dhash_entries",
            "ihash_entries",
            "mhash_entries",
            "mphash_entries",
            "rhash_entries",
            "thash_entries",
            "uhash_entries",
            "slub_min_objects",
            "slub_min_order",
            "slub_max_order",
            "slab_min_objects",
            "slab_min_order",
            "slab_max_order",
            "dma_debug_entries",
            "sysctl.vm.min_free_kbytes",
            "sysctl.vm.admin_reserve_kbytes",
            "sysctl.vm.user_reserve_kbytes",
            "sysctl.vm.overcommit_*",
        ],
        values: Values::All,
        weight: Weight::Costs,
        effect: "tables, slabs or reserves get the size that suits the whole machine",
        source: "kernel-parameters.txt; Documentation/admin-guide/sysctl/vm.rst",
    },
    Row {
        names: &["possible_cpus", "additional_cpus"],
        values: Values::All,
        weight: Weight::Costs,
        effect: "the capture kernel allocates memory for every CPU that the machine may ever have",
        source: "kernel-parameters.txt",
    },
    Row {
        names: &["transparent_hugepage", "transparent_hugepage_*", "thp_anon", "thp_shmem"],
        values: Values::On,
        weight: Weight::Costs,
        effect: "programs in the capture kernel take 2 MiB where they need 4 KiB",
        source: "gen-kdump-sysconfig.sh appends transparent_hugepage=never",
    },
    Row {
        names: &["udev.children_max", "rd.udev.children_max"],
        values: Values::All,
        // A given one is chosen for the capture kernel: kdumpctl and load.sh both append one.
        weight: Weight::Nothing,
        effect: "",
        source: "load.sh; gen-kdump-sysconfig.sh appends udev.children-max=2",
    },
    // Which memory is RAM. Ranges that the running kernel reserved by `memmap=…$…`, `#` or `!` are
    // Reserved, ACPI Tables or Persistent Memory in /proc/iomem. The capture kernel's memory map is
    // made from that, so they are protected without the parameter.
    Row {
        names: &["mem", "memmap", "efi_fake_mem", "add_efi_memmap"],
        values: Values::All,
        weight: Weight::Loses,
        effect: "the capture kernel may use memory of the crashed kernel as its own RAM, which \
                 damages the dump, or lose RAM that it has",
        source: "load.sh: mem; arch/x86/kernel/e820.c (parse_memopt, parse_memmap_one), \
                 arch/x86/platform/efi/efi.c (do_add_efi_memmap)",
    },
    Row {
        names: &["kernelcore", "movablecore", "movable_node", "reserve_mem"],
        values: Values::All,
        weight: Weight::Loses,
        effect: "part of the capture kernel's memory cannot be used by the kernel itself",
        source: "kernel-parameters.txt",
    },
    Row {
        names: &["numa"],
        values: Values::Only(|value| value.starts_with(b"fake")),
        weight: Weight::Costs,
        effect: "the capture kernel splits its memory into nodes that are too small",
        source: "kernel-parameters.txt",
    },
    Row {
        names: &["memtest"],
        values: Values::On,
        weight: Weight::Costs,
        effect: "the capture kernel tests its memory before it saves the dump",
        source: "kernel-parameters.txt",
    },
    // Parameters from the running kernel's boot loader.
    Row {
        names: &["BOOT_IMAGE", "splash", "showopts", "abm"],
        values: Values::All,
        weight: Weight::Nothing,
        effect: "",
        source: "kdump-config: abm; load.sh: the others",
    },
    Row {
        names: &["initrd", "initrdmem"],
        values: Values::All,
        weight: Weight::Nothing,
        effect: "",
        source: "kernel-parameters.txt: the address of another initrd; the loader passes its own \
                 in boot_params",
    },
    Row {
        names: &["resume", "resume_offset", "resumewait", "resumedelay"],
        values: Values::All,
        weight: Weight::Loses,
        effect: "the capture kernel may resume a hibernated system in place of saving the dump",
        source: "load.sh: resume",
    },
    Row {
        names: &["ignition.firstboot", "coreos.first_boot", "flatcar.first_boot"],
        values: Values::On,
        weight: Weight::Loses,
        effect: "the initrd sets the machine up as at its first boot",
        source: "gen-kdump-sysconfig.sh: ignition.firstboot",
    },
    // A panic of the capture kernel loses the dump.
    Row {
        names: &[
            "panic_on_warn",
            "panic_on_taint",
            "softlockup_panic",
            "hardlockup_panic",
            "hung_task_panic",
            "unknown_nmi_panic",
            "workqueue.panic_on_stall",
            "workqueue.panic_on_stall_time",
            "edac_core.edac_mc_panic_on_ue",
            "sysctl.kernel.panic_on_warn",
            "sysctl.kernel.panic_on_rcu_stall",
            "sysctl.kernel.panic_on_io_nmi",
            "sysctl.kernel.panic_on_unrecovered_nmi",
            "sysctl.kernel.unknown_nmi_panic",
            "sysctl.kernel.softlockup_panic",
            "sysctl.kernel.hardlockup_panic",
            "sysctl.kernel.hung_task_panic",
            "sysctl.kernel.warn_limit",
            "sysctl.vm.panic_on_oom",
        ],
        values: Values::On,
        weight: Weight::Loses,
        effect: "the capture kernel panics, and loses the dump, where it could continue",
        source: "kdumpctl (prepare_cmdline): panic_on_warn; load.sh: unknown_nmi_panic; the \
                 others: kernel-parameters.txt, sysctl/kernel.rst",
    },
    Row {
        names: &["nmi_watchdog"],
        values: Values::Only(|value| {
            value.starts_with(b"panic") || value.windows(6).any(|part| part == b",panic")
        }),
        weight: Weight::Loses,
        effect: "the capture kernel panics, and loses the dump, where it could continue",
        source: "kernel-parameters.txt",
    },
    // Parameters for an operator, whom a capture kernel does not have.
    Row {
        names: &[
            "rd.break",
            "rdbreak",
            "break",
            "systemd.break",
            "rd.systemd.break",
            "systemd.confirm_spawn",
            "kgdbwait",
        ],
        values: Values::On,
        weight: Weight::Loses,
        effect: "the capture kernel waits for an operator, and saves nothing until then",
        source: "dracut.cmdline(7): rd.break; initramfs-tools(7): break; \
                 systemd-debug-generator(8): systemd.break; systemd(1): systemd.confirm_spawn; \
                 Documentation/process/debugging/kgdb.rst: kgdbwait",
    },
    Row {
        names: &["kgdboc", "kgdboc_earlycon", "kgdbdbgp", "kgdbcon", "kdb"],
        values: Values::All,
        weight: Weight::Costs,
        effect: "a capture kernel with a fault stops in the debugger, and never resets the machine",
        source: "Documentation/process/debugging/kgdb.rst",
    },
    Row {
        names: &["single", "s", "S", "1", "emergency", "rescue", "_s", "_b"],
        values: Values::All,
        // With a program in the initrd they have no effect. `status` knows the other cases.
        weight: Weight::Nothing,
        effect: "",
        source: "systemd(1): rescue.target and emergency.target start no service that saves dumps",
    },
    // CPU numbers: the CPU that panicked is CPU 0 of the capture kernel, whatever its number was.
    Row {
        names: &["isolcpus", "nohz_full", "rcu_nocbs", "irqaffinity", "systemd.cpu_affinity"],
        values: Values::All,
        weight: Weight::Loses,
        effect: "the capture kernel numbers its CPUs anew, so it may isolate the only CPU that it \
                 runs on, and some kernels crash then",
        source: "kernel-parameters.txt; the commit \"sched/isolation: Prevent boot crash when the \
                 boot CPU is nohz_full\"",
    },
    // Finding bugs in the running kernel.
    Row {
        names: &[
            "slub_debug",
            "slab_debug",
            "page_owner",
            "early_page_ext",
            "page_poison",
            "debug_pagealloc",
            "debug_guardpage_minorder",
            "debug_objects",
            "kmemleak",
            "kasan*",
            "kfence.*",
        ],
        values: Values::On,
        weight: Weight::Costs,
        effect: "debugging the kernel's allocations takes memory and time of the capture kernel",
        source: "gen-kdump-sysconfig.sh: slub_debug; the others: kernel-parameters.txt",
    },
    Row {
        names: &[
            "trace_*",
            "ftrace",
            "ftrace_*",
            "stacktrace",
            "stacktrace_filter",
            "alloc_snapshot",
            "traceoff_on_warning",
            "kprobe_event",
            "tp_printk",
        ],
        values: Values::All,
        weight: Weight::Costs,
        effect: "tracing takes buffers for the whole machine and time of the capture kernel",
        source: "kernel-parameters.txt",
    },
    Row {
        names: &[
            "failslab",
            "fail_page_alloc",
            "fail_make_request",
            "fail_io_timeout",
            "fail_futex",
            "fail_usercopy",
        ],
        values: Values::All,
        weight: Weight::Loses,
        effect: "the capture kernel makes some of its own operations fail",
        source: "Documentation/fault-injection/fault-injection.rst",
    },
];
