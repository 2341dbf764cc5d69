//! The exact command lines of three distributions' services, and the decision for each. They come
//! from kdump-utils' kdumpctl (`load_kdump`, `stop_kdump`), Debian's kdump-config (`kdump_load`,
//! `kdump_unload`) and openSUSE's load.sh and unload.sh.

use std::ffi::OsString;
use std::path::Path;

use crate::options::Options;

use super::decide::{Action, Load, decide};
use super::options::SystemCall::{self, Auto, FileLoad};

/// A call, and the expected decision.
struct Called {
    by: &'static str,
    words: &'static [&'static str],
    does: Does,
}

enum Does {
    Load {
        call: SystemCall,
        kernel: &'static str,
        initrd: &'static str,
        command_line: &'static str,
        debug: bool,
    },
    Unload(SystemCall),
    Status,
    PrintRegionSize,
}

const FEDORA: &str = "root=/dev/vda3 ro irqpoll nr_cpus=1 reset_devices cgroup_disable=memory \
                      mce=off numa=off udev.children-max=2 panic=10 acpi_no_memhotplug \
                      transparent_hugepage=never nokaslr hest_disable novmcoredd cma=0 \
                      hugetlb_cma=0 pcie_ports=compat disable_cpu_apicid=0";
const DEBIAN: &str = "BOOT_IMAGE=/boot/vmlinuz-6.12.90-amd64 root=UUID=0e9f ro quiet  \
                      reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll \
                      usbcore.nousb";
const SUSE: &str = "root=kdump rootflags=bind rd.udev.children-max=8 quiet sysrq=yes reset_devices \
                    acpi_no_memhotplug cgroup_disable=memory nokaslr numa=off irqpoll nr_cpus=1 \
                    disable_cpu_apicid=0   panic=1";

const CALLS: &[Called] = &[
    Called {
        by: "kdumpctl start, x86_64: KEXEC_ARGS=-s, standard_kexec_args='-d -p'",
        words: &[
            "-s",
            "-d",
            "-p",
            "--command-line=root=/dev/vda3 ro irqpoll nr_cpus=1 reset_devices \
             cgroup_disable=memory mce=off numa=off udev.children-max=2 panic=10 \
             acpi_no_memhotplug transparent_hugepage=never nokaslr hest_disable novmcoredd cma=0 \
             hugetlb_cma=0 pcie_ports=compat disable_cpu_apicid=0",
            "--initrd=/boot/initramfs-6.12.9-200.fc41.x86_64kdump.img",
            "/boot/vmlinuz-6.12.9-200.fc41.x86_64",
        ],
        does: Does::Load {
            call: FileLoad,
            kernel: "/boot/vmlinuz-6.12.9-200.fc41.x86_64",
            initrd: "/boot/initramfs-6.12.9-200.fc41.x86_64kdump.img",
            command_line: FEDORA,
            debug: true,
        },
    },
    Called {
        by: "kdumpctl start with KEXEC_ARGS=--elf32-core-headers, in old releases",
        words: &["--elf32-core-headers", "-p", "--command-line=ro", "--initrd=/boot/i", "/boot/k"],
        does: Does::Load {
            call: Auto,
            kernel: "/boot/k",
            initrd: "/boot/i",
            command_line: "ro",
            debug: false,
        },
    },
    Called { by: "kdumpctl stop, reload", words: &["-p", "-u"], does: Does::Unload(Auto) },
    Called {
        by: "kdumpctl stop under Secure Boot",
        words: &["-s", "-p", "-u"],
        does: Does::Unload(FileLoad),
    },
    Called {
        by: "kdump-config load",
        words: &[
            "-p",
            "--command-line=BOOT_IMAGE=/boot/vmlinuz-6.12.90-amd64 root=UUID=0e9f ro quiet  \
             reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb",
            "--initrd=/var/lib/kdump/initrd.img",
            "/var/lib/kdump/vmlinuz",
        ],
        does: Does::Load {
            call: Auto,
            kernel: "/var/lib/kdump/vmlinuz",
            initrd: "/var/lib/kdump/initrd.img",
            command_line: DEBIAN,
            debug: false,
        },
    },
    Called {
        by: "kdump-config load under Secure Boot, with an ELF kernel",
        words: &[
            "-p",
            "-s",
            "--args-linux",
            "--command-line=ro",
            "--initrd=/var/lib/kdump/initrd.img",
            "/boot/vmlinux",
        ],
        does: Does::Load {
            call: FileLoad,
            kernel: "/boot/vmlinux",
            initrd: "/var/lib/kdump/initrd.img",
            command_line: "ro",
            debug: false,
        },
    },
    Called { by: "kdump-config unload", words: &["-p", "-u"], does: Does::Unload(Auto) },
    Called {
        by: "kdump-config unload under Secure Boot",
        words: &["-s", "-p", "-u"],
        does: Does::Unload(FileLoad),
    },
    Called {
        by: "Debian's autopkgtest",
        words: &["--print-ckr-size"],
        does: Does::PrintRegionSize,
    },
    Called {
        by: "load.sh, with all options after the file",
        words: &[
            "-p",
            "/var/lib/kdump/kernel",
            "--append=root=kdump rootflags=bind rd.udev.children-max=8 quiet sysrq=yes \
             reset_devices acpi_no_memhotplug cgroup_disable=memory nokaslr numa=off irqpoll \
             nr_cpus=1 disable_cpu_apicid=0   panic=1",
            "--initrd=/var/lib/kdump/initrd",
            "-a",
        ],
        does: Does::Load {
            call: Auto,
            kernel: "/var/lib/kdump/kernel",
            initrd: "/var/lib/kdump/initrd",
            command_line: SUSE,
            debug: false,
        },
    },
    Called { by: "unload.sh", words: &["-p", "-u"], does: Does::Unload(Auto) },
    Called { by: "a script that asks", words: &["-S"], does: Does::Status },
];

#[test]
fn calls_of_the_services_have_their_intended_effect() {
    for Called { by, words, does } in CALLS {
        let decision = decide(words.iter().map(OsString::from))
            .unwrap_or_else(|error| panic!("{by}: {error}"));
        assert!(decision.remarks.is_empty(), "{by}: {:?}", decision.remarks);
        match (does, decision.action) {
            (Does::Load { call, kernel, initrd, command_line, debug }, Action::Load(load)) => {
                let Load { options, format, mem_min, mem_max, .. } = &*load;
                let Options { append, reuse_cmdline: reuse, noefi, .. } = options;
                assert_eq!((load.call, load.debug), (*call, *debug), "{by}");
                assert_eq!(
                    (options.kernel.as_path(), options.initrd.as_deref()),
                    (Path::new(kernel), Some(Path::new(initrd))),
                    "{by}"
                );
                assert_eq!((append.as_deref(), reuse), (Some(*command_line), &false), "{by}");
                assert_eq!(
                    (format, mem_min, mem_max, noefi),
                    (&None, &0, &u64::MAX, &false),
                    "{by}: not requested"
                );
            }
            (Does::Unload(call), Action::Unload(meant)) => assert_eq!(meant, *call, "{by}"),
            (Does::Status, Action::Status) | (Does::PrintRegionSize, Action::PrintRegionSize) => {}
            (_, meant) => panic!("{by}: {meant:?}"),
        }
    }
}

#[test]
fn command_lines_of_the_services_suit_a_capture_kernel() {
    for line in [FEDORA, DEBIAN, SUSE] {
        let unfit = loader::cmdline::Base::from(line).unfit();
        assert!(unfit.is_empty(), "{line}: {unfit:?}");
    }
}
