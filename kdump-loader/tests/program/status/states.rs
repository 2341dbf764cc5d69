//! The states of a machine, each with the answer and the findings that `status` must give.

use std::fs;
use std::os::unix::fs::symlink;

use crate::fixture::status::Debian;

/// A prepared state of a machine.
pub struct State {
    /// The problem.
    pub name: &'static str,
    /// Creates the problem.
    pub make: fn(&Debian),
    /// The answer in JSON and metrics.
    pub answer: &'static str,
    /// Codes and levels of the expected findings.
    pub found: &'static [(&'static str, &'static str)],
    /// Expected parts of the text.
    pub words: &'static [&'static str],
}

/// A command line without a root file system.
const NO_ROOT: &str = "nr_cpus=1 reset_devices acpi_no_memhotplug";

/// Every problem alone, and some together.
pub const STATES: &[State] = &[
    State {
        name: "nothing",
        make: |_| (),
        answer: "yes",
        found: &[],
        words: &[
            "yes: a panic now would leave a dump, saved by kdump-tools-dump.service on the root \
             file system, to /var/crash",
        ],
    },
    State {
        name: "nothing is armed",
        make: |machine| machine.write("sys/kernel/kexec_crash_loaded", "0\n"),
        answer: "no",
        found: &[("not_armed", "error")],
        words: &[
            "no: a panic now would leave no dump",
            "error[not_armed]: no capture kernel is armed\n  help: write /etc/kdump-loader.toml",
        ],
    },
    State {
        name: "a panic left no dump",
        make: |machine| {
            machine.panicked();
        },
        answer: "yes_but",
        found: &[("unseen_panic", "warning")],
        words: &[
            "the machine panicked before this boot (Kernel panic - not syncing: sysrq triggered \
             crash); the purgatory refused the image (segment-corrupt); no dump of that time is in \
             /var/crash",
            "help: run kdump-loader last",
        ],
    },
    State {
        name: "loading is switched off",
        make: |machine| machine.write("proc/sys/kernel/kexec_load_disabled", "1\n"),
        answer: "yes",
        found: &[("reload_disabled", "note")],
        words: &["yes: ", "note[reload_disabled]", "until the next boot"],
    },
    State {
        name: "an oops is survived",
        make: |machine| machine.write("proc/sys/kernel/panic_on_oops", "0\n"),
        answer: "yes_but",
        found: &[("oops_without_dump", "warning")],
        words: &[
            "yes, but: ",
            "warning[oops_without_dump]",
            "help: run sysctl -w kernel.panic_on_oops=1",
        ],
    },
    State {
        name: "a CPU was refused",
        make: |machine| machine.write("sys/bus/acpi/devices/LNXCPU:02/status", "15\n"),
        answer: "yes_but",
        found: &[("cpu_refused", "warning")],
        words: &["does not use 1 of this machine's CPUs", "help: boot with no_ipi_broadcast=1"],
    },
    State {
        name: "huge pages are armed",
        make: |machine| {
            machine.record(|record| record.image.as_mut().unwrap().command_line += " hugepages=200")
        },
        answer: "cannot_tell",
        found: &[("deadly_parameter", "unknown")],
        words: &["has hugepages=200, which suits only the running kernel"],
    },
    State {
        name: "the reservation is too small",
        make: |machine| machine.write("sys/kernel/kexec_crash_size", "1048576\n"),
        answer: "cannot_tell",
        found: &[("too_little_room", "unknown")],
        words: &[
            "MiB for the capture kernel to run; with less than",
            "help: boot the running kernel with crashkernel=",
        ],
    },
    State {
        name: "kernel and initrd are of two releases",
        make: |machine| {
            machine.initrd(&[("usr/lib/modules/6.1.0-9-amd64/kernel/fs/ext4.ko.xz", b"")])
        },
        answer: "no",
        found: &[("release_mismatch", "error")],
        words: &[
            "/boot/vmlinuz-6.12.43 is Linux 6.12.43, but the initrd has modules of 6.1.0-9-amd64",
        ],
    },
    State {
        name: "there is no initrd and no root",
        make: |machine| {
            machine.record(|record| {
                record.initrd = None;
                record.image.as_mut().unwrap().command_line = NO_ROOT.into();
            })
        },
        answer: "cannot_tell",
        found: &[("no_user_space", "unknown")],
        words: &["cannot tell whether", "has neither an initrd nor root=", "help: set an initrd"],
    },
    State {
        name: "nothing in the initrd saves",
        make: |machine| {
            machine.record(|record| record.image.as_mut().unwrap().command_line = NO_ROOT.into())
        },
        answer: "cannot_tell",
        found: &[("saver_unknown", "unknown")],
        words: &[
            "unknown[saver_unknown]: the initrd has no program that is known to save dumps",
            "/etc/kdump-loader/saver",
        ],
    },
    State {
        name: "the service is not installed",
        make: |machine| {
            fs::remove_file(machine.path("usr/lib/systemd/system/kdump-tools-dump.service"))
                .unwrap()
        },
        answer: "no",
        found: &[("saver_missing", "error")],
        words: &["boots kdump-tools-dump.service to save the dump, but the unit is not installed"],
    },
    State {
        name: "the service is switched off",
        make: |machine| machine.write("etc/default/kdump-tools", "USE_KDUMP=0\n"),
        answer: "no",
        found: &[("saver_missing", "error")],
        words: &["USE_KDUMP is not 1 in /etc/default/kdump-tools", "help: set USE_KDUMP=1"],
    },
    State {
        name: "the target is full",
        make: |machine| {
            machine.write("proc/meminfo", "MemTotal: 900719925474000 kB\nMemFree: 0 kB\n")
        },
        answer: "no",
        found: &[("target_full", "error")],
        words: &["/var/crash has ", " MiB free, but a dump", "help: free space"],
    },
    State {
        name: "the target is encrypted",
        make: |machine| {
            machine.write("sys/dev/block/254:1/slaves/dm-0/holder", "");
            machine.write("sys/class/block/dm-0/dm/uuid", "CRYPT-LUKS2-5e61-root_crypt\n");
            machine.write("sys/class/block/dm-0/dm/name", "root_crypt\n");
        },
        answer: "cannot_tell",
        found: &[("target_encrypted", "unknown")],
        words: &["/var/crash is on the encrypted volume root_crypt", "kexec_load hands no keys"],
    },
    State {
        name: "the device is not there",
        make: |machine| {
            machine.initrd(&[
                ("usr/bin/kdump.sh", b""),
                ("etc/kdump.conf", b"ext4 UUID=5e61\npath /dumps\n"),
            ]);
        },
        answer: "no",
        found: &[("target_missing", "error"), ("makedumpfile_unknown", "note")],
        words: &[
            "the dump goes to UUID=5e61, which is not on this machine",
            "kdump-capture.service in the initrd, to /dumps of UUID=5e61",
        ],
    },
    State {
        name: "the initrd is squashed",
        make: |machine| {
            machine.write("etc/kdump.conf", "path /dumps\n");
            machine.initrd(&[
                ("squash-root.img", b"hsqs"),
                ("usr/lib/dracut/modules.txt", b"bash\nkdumpbase\nsquash\n"),
            ]);
        },
        answer: "yes",
        found: &[("makedumpfile_unknown", "note")],
        words: &[
            "yes: a panic now would leave a dump, saved by kdump-capture.service in the initrd, to \
             /dumps",
        ],
    },
    State {
        name: "the initrd of openSUSE is squashed",
        make: |machine| {
            machine.initrd(&[
                ("squash-root.img", b"hsqs"),
                ("lib/dracut/modules.txt", b"bash\nkdump\n"),
            ])
        },
        answer: "yes",
        found: &[("makedumpfile_unknown", "note")],
        words: &["saved by kdump-save in the initrd, to /var/crash"],
    },
    State {
        name: "the target is in memory",
        make: |machine| {
            let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                          23 22 0:31 / /var/crash rw shared:9 - tmpfs tmpfs rw\n";
            machine.write("proc/self/mountinfo", mounts);
        },
        answer: "no",
        found: &[("target_volatile", "error")],
        words: &["/var/crash is in memory (/var/crash is a tmpfs)"],
    },
    State {
        name: "the target is another machine",
        make: |machine| {
            machine.write("etc/default/kdump-tools", "USE_KDUMP=1\nNFS=\"server:/export\"\n")
        },
        answer: "yes_but",
        found: &[("target_on_network", "warning")],
        words: &["the dump goes to server:/export (NFS)", "is unknown"],
    },
    State {
        name: "the target is on a disk that another machine has",
        make: |machine| {
            let disk = "devices/platform/host3/session1/target3:0:0/3:0:0:0/block/sda";
            machine.write(&format!("sys/{disk}/size"), "2000\n");
            machine.write("sys/dev/block/.kernel", "");
            for link in ["sys/class/block/sda", "sys/dev/block/8:0"] {
                symlink(format!("../../{disk}"), machine.path(link)).unwrap();
            }
            let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                          23 22 8:0 / /var/crash rw - ext4 /dev/sda rw\n";
            machine.write("proc/self/mountinfo", mounts);
            machine.write("etc/fstab", "/dev/vda1 /var/crash ext4 defaults 0 2\n");
        },
        answer: "yes_but",
        found: &[("target_on_network", "warning")],
        words: &["/var/crash is on sda, which is reached over a network"],
    },
    State {
        name: "the target is a directory of another machine",
        make: |machine| {
            let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                          23 22 0:31 / /var/crash rw - nfs4 server:/dumps rw\n";
            machine.write("proc/self/mountinfo", mounts);
            // The free space would be too small if it were read.
            machine.write("proc/meminfo", "MemTotal: 900719925474000 kB\nMemFree: 0 kB\n");
        },
        answer: "yes_but",
        found: &[("target_on_network", "warning")],
        words: &[
            "the dump goes to /var/crash on the mount /var/crash (nfs4), which was not accessed",
        ],
    },
    State {
        name: "the target is an automount",
        make: |machine| {
            let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                          23 22 0:31 / /var/crash rw - autofs systemd-1 rw\n";
            machine.write("proc/self/mountinfo", mounts);
        },
        answer: "yes_but",
        found: &[("target_unknown", "warning")],
        words: &["/var/crash on the mount /var/crash (autofs), which was not accessed"],
    },
    State {
        name: "the target is shared by the host",
        make: |machine| {
            machine.initrd(&[
                ("usr/bin/kdump.sh", b""),
                ("etc/kdump.conf", b"virtiofs myfs\npath /dumps\n"),
            ]);
        },
        answer: "yes_but",
        found: &[("target_unknown", "warning"), ("makedumpfile_unknown", "note")],
        words: &["whether /dumps of myfs (virtiofs) has enough room for the dump is unknown"],
    },
    State {
        name: "makedumpfile is too old",
        make: |machine| {
            machine
                .write("usr/bin/makedumpfile", "\x7fELF makedumpfile: version 1.7.6 (released on")
        },
        answer: "yes_but",
        found: &[("makedumpfile_too_old", "warning")],
        words: &[
            "makedumpfile 1.7.6 does not know the page types of Linux 6.12.43",
            "help: install makedumpfile 1.7.7",
        ],
    },
    State {
        name: "the initrd is damaged",
        make: |machine| machine.write("var/lib/kdump/initrd.img-6.12.43", "070701 and no archive"),
        answer: "cannot_tell",
        found: &[("initrd_unreadable", "unknown")],
        words: &["the initrd /var/lib/kdump/initrd.img-6.12.43 cannot be read"],
    },
    State {
        name: "everything at once",
        make: |machine| {
            machine.write("proc/sys/kernel/kexec_load_disabled", "1\n");
            machine.write("proc/sys/kernel/panic_on_oops", "0\n");
            machine.write("sys/bus/acpi/devices/LNXCPU:02/status", "15\n");
            machine.initrd(&[("usr/lib/modules/6.1.0-9-amd64/kernel/fs/ext4.ko.xz", b"")]);
            machine
                .write("usr/bin/makedumpfile", "\x7fELF makedumpfile: version 1.7.6 (released on");
            machine.write("proc/meminfo", "MemTotal: 900719925474000 kB\nMemFree: 0 kB\n");
        },
        answer: "no",
        found: &[
            ("reload_disabled", "note"),
            ("oops_without_dump", "warning"),
            ("cpu_refused", "warning"),
            ("release_mismatch", "error"),
            ("makedumpfile_too_old", "warning"),
            ("target_full", "error"),
        ],
        words: &[
            "no: ",
            "error[release_mismatch]",
            "error[target_full]",
            "warning[cpu_refused]",
            "note[reload_disabled]",
        ],
    },
];
