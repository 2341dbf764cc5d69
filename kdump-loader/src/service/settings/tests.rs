//! Settings files of three distributions, and the resulting config.

use std::fs;

use loader::cmdline::{self, Base};

use super::services::DEBIAN_APPEND;
use super::*;
use crate::options::config::{Config, FilePolicy};

struct Read {
    config: Config,
    settings: Settings,
}

impl Read {
    fn fates(&self) -> Vec<(&str, usize, bool)> {
        self.settings
            .fates
            .iter()
            .map(|fate| (fate.name.as_deref().unwrap_or("?"), fate.line, fate.became.is_ok()))
            .collect()
    }

    fn append(&self) -> &str {
        self.config.options.append.as_deref().unwrap()
    }

    #[track_caller]
    fn assert_says(&self, words: &str) {
        let remarks: Vec<String> = self.settings.fates.iter().map(ToString::to_string).collect();
        assert!(remarks.iter().any(|line| line.contains(words)), "{words}: {remarks:#?}");
    }
}

fn read_text(distribution: Distribution, text: &str) -> Read {
    let root = tempfile::tempdir().unwrap();
    let path = if distribution == Distribution::Debian {
        "etc/default/kdump-tools"
    } else {
        "etc/sysconfig/kdump"
    };
    let path = root.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let settings = read(&Tree::new(root.path()).unwrap(), distribution).unwrap();
    let config = Config::parse(&distribution.configuration(&settings), "6.12").unwrap();
    Read { config, settings }
}

/// The files that packages install.
const DEBIAN_AS_SHIPPED: &str = "USE_KDUMP=1\nKDUMP_KERNEL=/var/lib/kdump/vmlinuz\n\
                                 KDUMP_INITRD=/var/lib/kdump/initrd.img\n\
                                 KDUMP_COREDIR=\"/var/crash\"\n#KDUMP_CMDLINE_APPEND=\"x\"\n";
const FEDORA_AS_SHIPPED: &str = "KDUMP_COMMANDLINE_APPEND=\"irqpoll nr_cpus=1 reset_devices \
                                 cgroup_disable=memory mce=off numa=off udev.children-max=2 \
                                 panic=10 acpi_no_memhotplug transparent_hugepage=never nokaslr \
                                 hest_disable novmcoredd cma=0 hugetlb_cma=0 pcie_ports=compat\"\n\
                                 KDUMP_KERNELVER=\"\"\nKDUMP_COMMANDLINE=\"\"\n\
                                 FADUMP_COMMANDLINE_APPEND=\"\"\nKEXEC_ARGS=\"-s\"\n\
                                 #KDUMP_BOOTDIR=\"/boot\"\nKDUMP_IMG=\"vmlinuz\"\n\
                                 KDUMP_IMG_EXT=\"\"\n";

#[test]
fn shipped_settings_change_nothing() {
    let plain = |distribution: Distribution| {
        Config::parse(&distribution.configuration(&Settings::default()), "6.12").unwrap()
    };
    let debian = read_text(Distribution::Debian, DEBIAN_AS_SHIPPED);
    assert_eq!((debian.config.clone(), debian.fates()), (plain(Distribution::Debian), vec![]));
    let fedora = read_text(Distribution::Fedora, FEDORA_AS_SHIPPED);
    assert_eq!((fedora.config.clone(), fedora.fates()), (plain(Distribution::Fedora), vec![]));
    let suse = read_text(
        Distribution::Suse,
        "KDUMP_KERNELVER=\"\"\nKDUMP_CPUS=\"\"\nKDUMP_COMMANDLINE=\"\"\nKEXEC_OPTIONS=\"\"\n",
    );
    assert_eq!((suse.config.clone(), suse.fates()), (plain(Distribution::Suse), vec![]));
}

#[test]
fn debian_settings_are_taken_over() {
    let text = "KDUMP_KERNEL=/boot/vmlinuz-crash\nKDUMP_INITRD='/boot/initrd crash'\n\
                KDUMP_CMDLINE_APPEND=\"nr_cpus=2 dyndbg=\\\"x\\\"\"\n\
                KDUMP_KEXEC_ARGS=\"-a --noefi\"\n\
                KDUMP_SYSCTL=\"kernel.panic_on_oops=1 vm.panic_on_oom=1\"\n";
    let read = read_text(Distribution::Debian, text);
    let options = &read.config.options;
    assert_eq!((options.kernel.to_str(), options.noefi), (Some("/boot/vmlinuz-crash"), true));
    assert_eq!(
        options.initrd.as_deref().and_then(|path| path.to_str()),
        Some("/boot/initrd crash")
    );
    assert_eq!((read.append(), options.reuse_cmdline), ("nr_cpus=2 dyndbg=\"x\"", true));
    assert_eq!(read.settings.sysctl.as_ref().unwrap().len(), 2);
    assert!(
        read.settings.fates.iter().all(|fate| fate.became.is_ok()),
        "{:?}",
        read.settings.fates
    );
    assert_eq!(read.settings.fates.len(), 5);
}

#[test]
fn whole_command_line_replaces_the_running_kernels() {
    let read = read_text(Distribution::Debian, "KDUMP_CMDLINE=\"root=/dev/vda ro\"\n");
    assert_eq!(
        (read.append(), read.config.options.reuse_cmdline),
        (&*format!("root=/dev/vda ro {DEBIAN_APPEND}"), false)
    );
    let text = "KDUMP_COMMANDLINE=\"ro quiet hugepages=4\"\n\
                KDUMP_COMMANDLINE_REMOVE=\"hugepages quiet\"\n\
                KDUMP_COMMANDLINE_APPEND=\"nr_cpus=1\"";
    assert_eq!(
        read_text(Distribution::Fedora, text).append(),
        "ro nr_cpus=1 rd.systemd.gpt_auto=no"
    );
    assert_eq!(
        read_text(Distribution::Suse, "KDUMP_COMMANDLINE=\"ro\"\nKDUMP_COMMANDLINE_APPEND=x")
            .append(),
        "ro x"
    );
}

#[test]
fn fedora_settings_are_taken_over() {
    let text = "KDUMP_BOOTDIR=/efi\nKDUMP_IMG=bzImage\nKDUMP_IMG_EXT=.x\n\
                KDUMP_KERNELVER=6.1-crash\nKEXEC_ARGS=\"-c\"\n\
                KDUMP_COMMANDLINE_REMOVE=quiet\nKDUMP_COMMANDLINE_APPEND='nr_cpus=4'\n";
    let read = read_text(Distribution::Fedora, text);
    let options = &read.config.options;
    assert_eq!(options.kernel.to_str(), Some("/efi/bzImage-6.1-crash.x"));
    assert_eq!(
        options.initrd.as_deref().and_then(|path| path.to_str()),
        Some("/efi/initramfs-6.1-crashkdump.img")
    );
    assert_eq!(
        (read.append(), read.config.file),
        ("nr_cpus=4 rd.systemd.gpt_auto=no", FilePolicy::Never)
    );
    assert_eq!(read.fates().iter().filter(|fate| !fate.2).count(), 1);
    read.assert_says("KDUMP_COMMANDLINE_REMOVE: the running kernel's command line is not reused");
}

#[test]
fn capture_kernel_of_opensuse_does_not_wait_for_the_running_root() {
    let running = b"root=UUID=5e61 rootfstype=btrfs rd.udev.children-max=64 quiet";
    for text in ["", "KDUMP_CPUS=4\n", "KDUMP_COMMANDLINE_APPEND=\"console=ttyS0\"\n"] {
        let read = read_text(Distribution::Suse, text);
        assert!(read.config.options.reuse_cmdline, "{text}");
        let line = Base::chosen(running, true, Some(read.append()), None).line;
        assert_eq!(cmdline::value(&line, "root").as_deref(), Some("kdump"), "{text}");
        assert_eq!(cmdline::values(&line, "rd.udev.children_max"), ["8"], "{text}");
    }
}

#[test]
fn opensuse_settings_are_taken_over() {
    let base = Distribution::Suse.default_append();
    let read =
        read_text(Distribution::Suse, "KDUMP_CPUS=4\nKDUMP_COMMANDLINE_APPEND=\"console=ttyS0\"\n");
    assert_eq!(read.append(), format!("{} console=ttyS0", base.replace("nr_cpus=1", "nr_cpus=4")));
    assert!(!read_text(Distribution::Suse, "KDUMP_CPUS=0\n").append().contains("nr_cpus"));
    read_text(Distribution::Suse, "KDUMP_CPUS=many\n").assert_says("\"many\" is not a number");
    read_text(Distribution::Suse, "KDUMP_KERNELVER=6.4-default\n")
        .assert_says("mkdumprd applies it");
}

#[test]
fn other_settings_are_named_with_line_and_reason() {
    let text = "USE_KDUMP=0\nKDUMP_CMDLINE_APPEND=\"$KDUMP_CMDLINE_APPEND x\"\nSSH=\"a@b\"\n\
                KDUMP_KEXEC_ARGS=--entry=1\nif true; then\nMINE=1\nfi\n";
    let read = read_text(Distribution::Debian, text);
    let expected = [
        ("USE_KDUMP", 1, false),
        ("KDUMP_CMDLINE_APPEND", 2, false),
        ("SSH", 3, false),
        ("KDUMP_KEXEC_ARGS", 4, false),
        ("?", 5, false),
        ("MINE", 6, false),
        ("?", 7, false),
    ];
    assert_eq!(read.fates(), expected);
    let read_both = read_text(Distribution::Debian, "KDUMP_KEXEC_ARGS=\"-s --noefi\"\n");
    read_both.assert_says("no key for --noefi together with -s");
    assert_eq!(read_both.config.file, FilePolicy::Always);
    for words in [
        "saves dumps only if",
        "needs a shell",
        "reads it when it saves",
        "no key for --entry=1",
        "is unknown to this program",
    ] {
        read.assert_says(words);
    }
    assert_eq!(read.settings.keys, []);
}

#[test]
fn last_assignment_counts() {
    let read = read_text(Distribution::Debian, "KDUMP_CMDLINE_APPEND=a\nKDUMP_CMDLINE_APPEND=b\n");
    assert_eq!((read.append(), read.fates()), ("b", vec![("KDUMP_CMDLINE_APPEND", 2, true)]));
}
