//! The page of every command.

use super::*;

/// In the order of `--help`.
pub const PAGES: [Manual; 18] = [
    Manual {
        command: "",
        notes: &["Data goes to standard output, messages to standard error."],
        exit: DONE,
        files: &[CONFIG, ARMED, FAILED, PENDING, LEDGER, UNITS, RULE, LOADED],
        examples: &[
            (
                "Arm a capture kernel once:",
                "kdump-loader load --kernel /boot/vmlinuz --initrd /boot/kdump.img --append \
                 nr_cpus=1",
            ),
            (
                "Arm at every boot and after hotplug:",
                "kdump-loader service install\nsystemctl start kdump-loader",
            ),
            ("Ask whether a panic now would leave a dump:", "kdump-loader status"),
        ],
        see_also: &[("kdump-loader.toml", "5"), ("makedumpfile", "8"), ("kexec", "8")],
    },
    Manual {
        command: "load",
        notes: &[
            "If the kernel supports it, it updates the armed image when CPUs are added or removed \
             and when memory is added; `status` says whether it does. After memory is removed, \
             load again: the kernel keeps the removed range in the list of memory to dump. With \
             --capture at level 17 that is not needed after kexec_load(2): its /init leaves out the \
             range.",
            "If a check fails, the image that was armed stays armed.",
        ],
        exit: DONE,
        files: &[ARMED, LOADED, IOMEM],
        examples: &[
            (
                "Arm with the running kernel's command line:",
                "kdump-loader load --kernel /boot/vmlinuz --initrd /var/lib/kdump/initrd.img \
                 \\\n    --reuse-cmdline --append 'nr_cpus=1 reset_devices acpi_no_memhotplug'",
            ),
            (
                "Let a kernel under Secure Boot build the image:",
                "kdump-loader load --file --kernel /boot/vmlinuz",
            ),
        ],
        see_also: &[
            ("kdump-loader-plan", "8"),
            ("kdump-loader-reload", "8"),
            ("kexec_load", "2"),
            ("bootparam", "7"),
        ],
    },
    Manual {
        command: "unload",
        notes: &[
            "After this, a panic leaves no dump. A running service arms again at its next reload; \
             `systemctl stop kdump-loader` also ends the service.",
        ],
        exit: DONE,
        files: &[ARMED, LOADED],
        examples: &[("Disarm:", "kdump-loader unload")],
        see_also: &[("kdump-loader-load", "8"), ("kexec_load", "2")],
    },
    Manual {
        command: "reload",
        notes: &[
            "The first event of a burst causes a reload at once. The others share one reload after \
             the burst.",
        ],
        exit: &[
            ("0", "The armed image is up to date, or the event is queued."),
            ("1", "The reload failed. The message says whether the old image is still armed."),
            ("2", "Usage error."),
        ],
        files: &[CONFIG, ARMED, FAILED, PENDING],
        examples: &[
            ("Apply a changed config:", "kdump-loader reload"),
            (
                "Try a config without installing it:",
                "kdump-loader reload --config ./kdump-loader.toml",
            ),
            ("Show what was done and why:", "kdump-loader reload --json"),
        ],
        see_also: &[("kdump-loader.toml", "5"), ("kdump-loader-load", "8"), ("udev", "7")],
    },
    Manual {
        command: "status",
        notes: &[],
        exit: &[
            ("0", "A panic now leaves a dump: \"yes\" or \"yes, but\"."),
            (
                "1",
                "A panic now leaves no dump, or the answer is unknown. With --strict, also \"yes, \
                 but\".",
            ),
            ("2", "Usage error."),
        ],
        files: &[CONFIG, ARMED, FAILED, LOADED, IOMEM],
        examples: &[
            ("Treat every warning as a failure:", "kdump-loader status --strict"),
            (
                "Write metrics for node_exporter:",
                "kdump-loader status --prometheus \
                 /var/lib/prometheus/node-exporter/kdump_loader.prom",
            ),
        ],
        see_also: &[
            ("kdump-loader-reload", "8"),
            ("kdump-loader-service-check", "8"),
            ("makedumpfile", "8"),
        ],
    },
    Manual {
        command: "last",
        notes: &[
            "A reset keeps most of memory, but not always all of it. If no record survived, the \
             command says so, and whether firmware was asked to clear memory.",
        ],
        exit: &[
            ("0", "Done."),
            ("1", "An error, or --check found a page that is missing or damaged."),
            ("2", "Usage error."),
        ],
        files: &[BLACK_BOX, PANICS],
        examples: &[
            ("Tell the last panic:", "kdump-loader last"),
            ("Read its dump, too:", "kdump-loader last --check"),
            ("Print every panic that is kept, as JSON:", "kdump-loader last --all --json"),
            ("Write a page for others to read:", "kdump-loader last --html panic.html"),
        ],
        see_also: &[("kdump-loader-status", "8"), ("crash", "8"), ("makedumpfile", "8")],
    },
    Manual {
        command: "watch",
        notes: &[],
        exit: DONE,
        files: &[ARMED, LOADED],
        examples: &[
            ("Print events until Ctrl-C:", "kdump-loader watch"),
            ("Print JSON for another program:", "kdump-loader watch --json"),
        ],
        see_also: &[("kdump-loader-status", "8"), ("udevadm", "8")],
    },
    Manual {
        command: "plan",
        notes: &[],
        exit: DONE,
        files: &[IOMEM],
        examples: &[
            (
                "Show where `load` would place the image on this machine:",
                "kdump-loader plan --kernel /boot/vmlinuz",
            ),
            (
                "Draw a picture for the machine of a snapshot:",
                "kdump-loader plan --snapshot ./machine --kernel ./vmlinuz --svg plan.svg",
            ),
        ],
        see_also: &[("kdump-loader-load", "8"), ("kdump-loader-snapshot", "8")],
    },
    Manual {
        command: "estimate",
        notes: &[
            "The sizes are rounded up to a multiple of 8 MiB. They are from tests of Debian's \
             kernels in QEMU; other kernels and drivers may need more. Test one panic.",
        ],
        exit: DONE,
        files: &[CONFIG],
        examples: &[
            ("For the config and for --capture /var/crash:", "kdump-loader estimate"),
            ("For a partition:", "kdump-loader estimate --capture /dev/vda3"),
        ],
        see_also: &[("kdump-loader-load", "8"), ("kdump-loader-test", "8")],
    },
    Manual {
        command: "test",
        notes: &["The name that --panic asks for is read from standard input."],
        exit: &[
            ("0", "Every check succeeded."),
            ("1", "A check failed, or the panic was not confirmed. The message says why."),
            ("2", "Usage error."),
        ],
        files: &[CONFIG, ARMED],
        examples: &[
            ("Test what the armed image depends on:", "kdump-loader test"),
            ("Panic, and see after the reboot how it went:", "kdump-loader test --panic"),
        ],
        see_also: &[("kdump-loader-status", "8"), ("kdump-loader-last", "8")],
    },
    Manual {
        command: "inspect",
        notes: &[],
        exit: DONE,
        files: &[],
        examples: &[
            ("Describe a kernel:", "kdump-loader inspect /boot/vmlinuz"),
            ("Describe the embedded purgatory:", "kdump-loader inspect"),
        ],
        see_also: &[("kdump-loader-plan", "8"), ("objdump", "1")],
    },
    Manual {
        command: "snapshot",
        notes: &["Only the owner can read the snapshot."],
        exit: DONE,
        files: &[IOMEM],
        examples: &[("Save this machine for a bug report:", "kdump-loader snapshot ./machine")],
        see_also: &[("kdump-loader-plan", "8")],
    },
    Manual {
        command: "kexec",
        notes: &[],
        exit: &[
            ("0", "Success. With -S: nothing is armed."),
            (
                "1",
                "A usage error, or a failure before the system call. With -S: a capture kernel is \
                 armed.",
            ),
            ("255", "The kernel rejected the call, or with -S, the answer is unknown."),
        ],
        files: &[ARMED, LOADED],
        examples: &[
            (
                "Arm as with kexec-tools:",
                "kdump-loader kexec -p /boot/vmlinuz --initrd=/boot/kdump.img --append='nr_cpus=1 \
                 reset_devices'",
            ),
            ("Disarm:", "kdump-loader kexec -p -u"),
        ],
        see_also: &[("kdump-loader-load", "8"), ("kexec", "8")],
    },
    Manual {
        command: "service",
        notes: &[],
        exit: DONE,
        files: &[CONFIG, LEDGER, UNITS, RULE],
        examples: &[
            (
                "Switch a Debian with kdump-tools over; kdump-tools still saves the dumps:",
                "kdump-loader service install --mask-conflicts\nsystemctl start kdump-loader\n\
                 kdump-loader status",
            ),
            ("Switch it back:", "kdump-loader service uninstall\nsystemctl restart kdump-tools"),
        ],
        see_also: &[("kdump-loader.toml", "5"), ("systemctl", "1")],
    },
    Manual {
        command: "service install",
        notes: &[],
        exit: DONE,
        files: &[CONFIG, LEDGER, UNITS, RULE, SYSCTL],
        examples: &[
            (
                "Switch a Debian with kdump-tools over; kdump-tools still saves the dumps:",
                "kdump-loader service install --mask-conflicts\nsystemctl start kdump-loader\n\
                 kdump-loader status",
            ),
            (
                "Install into a mounted image whose distribution is not recognized:",
                "kdump-loader service install --root /mnt --distribution debian",
            ),
            (
                "Show what would change in a mounted image:",
                "kdump-loader service install --root /mnt --dry-run",
            ),
        ],
        see_also: &[
            ("kdump-loader-service-uninstall", "8"),
            ("kdump-loader-service-check", "8"),
            ("kdump-loader.toml", "5"),
        ],
    },
    Manual {
        command: "service uninstall",
        notes: &[],
        exit: DONE,
        files: &[CONFIG, LEDGER],
        examples: &[(
            "Return to kdump-tools:",
            "kdump-loader service uninstall\nsystemctl restart kdump-tools",
        )],
        see_also: &[("kdump-loader-service-install", "8")],
    },
    Manual {
        command: "service divert",
        notes: &["The diversions are those of dpkg-divert(1), so this works on Debian and its \
             derivatives only."],
        exit: DONE,
        files: &[],
        examples: &[
            (
                "Let kdump-tools arm with this program:",
                "kdump-loader service divert\nsystemctl restart kdump-tools",
            ),
            ("Put Debian's kexec back:", "kdump-loader service divert --undo"),
        ],
        see_also: &[("kdump-loader-kexec", "8"), ("dpkg-divert", "1"), ("kexec", "8")],
    },
    Manual {
        command: "service check",
        notes: &[],
        exit: &[
            ("0", "Everything is as installed, and no other service arms a capture kernel."),
            (
                "1",
                "A file is missing or differs, another service also arms, or the files of the \
                 config would leave no dump.",
            ),
            ("2", "Usage error."),
        ],
        files: &[CONFIG, LEDGER, UNITS, RULE],
        examples: &[
            ("Check this machine:", "kdump-loader service check"),
            ("Check a mounted image:", "kdump-loader service check --root /mnt --json"),
        ],
        see_also: &[("kdump-loader-service-install", "8"), ("kdump-loader-status", "8")],
    },
];
