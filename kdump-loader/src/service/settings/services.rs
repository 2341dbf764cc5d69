//! The settings of three services: kdump-tools (kdump-config), kdump-utils (kdumpctl, kdump-lib.sh)
//! and openSUSE's kdump (load.sh, kdump-read-config.sh). Each setting is taken over, left to the
//! service that still reads it, or gets a remark with the reason.

use super::{Variables, string};
use crate::service::distribution::Distribution;

/// Values that packages ship. They get no remark.
pub(super) const SHIPPED: [(&str, &str); 8] = [
    ("KDUMP_COREDIR", "/var/crash"),
    ("VMCORE_CREATION_NOTIFICATION", "yes"),
    ("KDUMP_SAVEDIR", "/var/crash"),
    ("KDUMP_DUMPLEVEL", "31"),
    ("KDUMP_DUMPFORMAT", "compressed"),
    ("KDUMP_FREE_DISK_SIZE", "64"),
    ("KDUMP_IMMEDIATE_REBOOT", "yes"),
    ("KDUMP_CONTINUE_ON_ERROR", "true"),
];
/// Debian's defaults are links that kdump-tools updates for the running kernel. It no longer does
/// so when it is kept from arming.
const DEBIAN_KERNEL: &str = "/var/lib/kdump/vmlinuz";
const DEBIAN_INITRD: &str = "/var/lib/kdump/initrd.img";
/// Default of kdump-config.
pub(super) const DEBIAN_APPEND: &str =
    "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb";
/// Default of kdumpctl's packages on x86_64 (gen-kdump-sysconfig.sh): kexec_file_load.
const FEDORA_KEXEC_ARGS: &str = "-s";
/// Added to those defaults by this project's config: systemd does not wait for partitions that it
/// finds by type.
const FEDORA_ADDS: &str = "rd.systemd.gpt_auto=no";
/// Directory and name of Fedora's kernels (kdump-lib.sh).
const FEDORA_BOOT: (&str, &str) = ("/boot", "vmlinuz");
/// Directory of kdumpctl's initrds if /boot cannot be written.
const FEDORA_INITRDS: &str = "/var/lib/kdump";

/// Destination of kernel settings, even if a config already exists.
pub(super) const KERNEL: &str = "kernel settings in /etc/sysctl.d/60-kdump-loader.conf";

/// The service of this distribution.
pub(super) fn debian(variables: &mut Variables) {
    if let Some((line, value)) = variables.take("USE_KDUMP", &["1"]) {
        let why =
            format!("it is {value}, and kdump-tools saves dumps only if it is 1; set it to 1");
        variables.not("USE_KDUMP", line, why);
    }
    variables.path("KDUMP_KERNEL", "kernel", DEBIAN_KERNEL);
    variables.path("KDUMP_INITRD", "initrd", DEBIAN_INITRD);
    let line = variables.take("KDUMP_CMDLINE", &[]);
    let append = variables.take("KDUMP_CMDLINE_APPEND", &[DEBIAN_APPEND]);
    variables.command_line(line, append, ["KDUMP_CMDLINE", "KDUMP_CMDLINE_APPEND"], DEBIAN_APPEND);
    variables.kexec("KDUMP_KEXEC_ARGS", &[]);
    if let Some((line, value)) = variables.take("KDUMP_SYSCTL", &["kernel.panic_on_oops=1"]) {
        variables.settings.sysctl = Some(value.split_whitespace().map(str::to_owned).collect());
        variables.taken("KDUMP_SYSCTL", line, KERNEL);
    }
    variables.leave(
        &[
            "KDUMP_COREDIR",
            "KDUMP_FAIL_CMD",
            "KDUMP_DUMP_DMESG",
            "KDUMP_NUM_DUMPS",
            "KDUMP_COMPRESSION",
            "MAKEDUMP_ARGS",
            "HOSTTAG",
            "NFS",
            "NFS_TIMEO",
            "NFS_RETRANS",
            "NFS_MOUNT_RETRY",
            "FTP",
            "FTP_USER",
            "FTP_PASSWORD",
            "FTP_PORT",
            "SSH",
            "SSH_KEY",
            "SSH_KDUMP_RETRY",
        ],
        "kdump-tools still reads it when it saves the dump",
    );
    variables
        .leave(&["DEBUG_KERNEL"], "it names a kernel's debug symbols, which arming does not need");
}

/// The service of this distribution.
pub(super) fn fedora(variables: &mut Variables) {
    let directory = variables.take("KDUMP_BOOTDIR", &[FEDORA_BOOT.0]);
    let image = variables.take("KDUMP_IMG", &[FEDORA_BOOT.1]);
    let extension = variables.take("KDUMP_IMG_EXT", &[]);
    let release = variables.take("KDUMP_KERNELVER", &[]);
    let named = [
        ("KDUMP_BOOTDIR", &directory),
        ("KDUMP_IMG", &image),
        ("KDUMP_IMG_EXT", &extension),
        ("KDUMP_KERNELVER", &release),
    ];
    let lines: Vec<_> =
        named.iter().filter_map(|(name, given)| Some((*name, given.as_ref()?.0))).collect();
    if !lines.is_empty() {
        let or = |given: &Option<(usize, String)>, default: &str| {
            given.as_ref().map_or_else(|| default.to_owned(), |given| given.1.clone())
        };
        let (directory, release) = (or(&directory, FEDORA_BOOT.0), or(&release, "{release}"));
        let kernel =
            format!("{directory}/{}-{release}{}", or(&image, FEDORA_BOOT.1), or(&extension, ""));
        let initrds = [&directory, FEDORA_INITRDS]
            .map(|directory| string(&format!("{directory}/initramfs-{release}kdump.img")));
        variables
            .settings
            .keys
            .extend([("kernel", string(&kernel)), ("initrd", format!("[{}]", initrds.join(", ")))]);
        lines.into_iter().for_each(|(name, line)| variables.taken(name, line, "kernel and initrd"));
    }
    let remove = variables.take("KDUMP_COMMANDLINE_REMOVE", &[]);
    let mut line = variables.take("KDUMP_COMMANDLINE", &[]);
    match (&mut line, remove) {
        (Some((_, line)), Some((at, remove))) => {
            let removed: Vec<&str> = remove.split_whitespace().collect();
            let kept = line
                .split_whitespace()
                .filter(|word| !removed.contains(&word.split('=').next().unwrap_or(word)));
            *line = kept.collect::<Vec<_>>().join(" ");
            variables.taken("KDUMP_COMMANDLINE_REMOVE", at, "append");
        }
        (None, Some((at, _))) => {
            variables.not(
                "KDUMP_COMMANDLINE_REMOVE",
                at,
                "the running kernel's command line is not reused, so nothing is removed from it"
                    .into(),
            );
        }
        (_, None) => {}
    }
    let default = Distribution::Fedora.default_append();
    let shipped = default.replace(FEDORA_ADDS, "");
    let append = variables.take("KDUMP_COMMANDLINE_APPEND", &[&shipped]);
    let with_added = |(at, append): (usize, String)| {
        (at, if append.contains(FEDORA_ADDS) { append } else { format!("{append} {FEDORA_ADDS}") })
    };
    let names = ["KDUMP_COMMANDLINE", "KDUMP_COMMANDLINE_APPEND"];
    variables.command_line(line, append.map(with_added), names, &default);
    variables.kexec("KEXEC_ARGS", &[FEDORA_KEXEC_ARGS]);
    variables.leave(
        &["VMCORE_CREATION_NOTIFICATION", "KDUMP_STDLOGLVL", "KDUMP_SYSLOGLVL", "KDUMP_KMSGLOGLVL"],
        "kdumpctl still reads it",
    );
    variables.leave(&["FADUMP_COMMANDLINE_APPEND"], "it is for PowerPC");
}

/// The service of this distribution.
pub(super) fn suse(variables: &mut Variables) {
    if let Some((line, value)) = variables.take("KDUMP_KERNELVER", &[]) {
        variables.not(
            "KDUMP_KERNELVER",
            line,
            format!(
                "mkdumprd applies it: after it has run, the links in /var/lib/kdump lead to {value}"
            ),
        );
    }
    let line = variables.take("KDUMP_COMMANDLINE", &[]);
    let append = variables.take("KDUMP_COMMANDLINE_APPEND", &[]);
    let mut default = Distribution::Suse.default_append();
    let cpus = variables.take("KDUMP_CPUS", &["1"]);
    if let Some((at, cpus)) = &cpus {
        let wanted = match cpus.parse::<u32>() {
            Ok(0) => Some(String::new()),
            Ok(count) => Some(format!("nr_cpus={count}")),
            Err(_) => None,
        };
        match wanted {
            Some(wanted) => {
                default = default.replace("nr_cpus=1", &wanted).trim().to_owned();
                variables.taken("KDUMP_CPUS", *at, "append");
            }
            None => variables.not("KDUMP_CPUS", *at, format!("{cpus:?} is not a number")),
        }
    }
    // load.sh adds it to its own defaults, or uses it alone if a whole command line is given.
    let added = append.map(|(at, append)| {
        (at, if line.is_some() { append } else { format!("{default} {append}") })
    });
    let added =
        added.or_else(|| cpus.filter(|_| line.is_none()).map(|(at, _)| (at, default.clone())));
    variables.command_line(line, added, ["KDUMP_COMMANDLINE", "KDUMP_COMMANDLINE_APPEND"], "");
    variables.kexec("KEXEC_OPTIONS", &[]);
    variables.leave(
        &[
            "KDUMP_SAVEDIR",
            "KDUMP_KEEP_OLD_DUMPS",
            "KDUMP_FREE_DISK_SIZE",
            "KDUMP_VERBOSE",
            "KDUMP_DUMPLEVEL",
            "KDUMP_DUMPFORMAT",
            "KDUMP_CONTINUE_ON_ERROR",
            "KDUMP_REQUIRED_PROGRAMS",
            "KDUMP_PRESCRIPT",
            "KDUMP_POSTSCRIPT",
            "KDUMP_NETCONFIG",
            "KDUMP_NET_TIMEOUT",
            "KDUMP_TRANSFER",
            "KDUMP_HOST_KEY",
            "KDUMP_SSH_IDENTITY",
            "KDUMP_SMTP_SERVER",
            "KDUMP_SMTP_USER",
            "KDUMP_SMTP_PASSWORD",
            "KDUMP_NOTIFICATION_TO",
            "KDUMP_NOTIFICATION_CC",
            "KDUMP_IMMEDIATE_REBOOT",
            "MAKEDUMPFILE_OPTIONS",
        ],
        "mkdumprd puts it into the initrd, for the program that saves the dump",
    );
    variables.leave(&["KDUMP_AUTO_RESIZE"], "kdump-loader never shrinks the reserved memory");
    variables.leave(
        &["KDUMP_FADUMP", "KDUMP_FADUMP_SHELL", "FADUMP_COMMANDLINE_APPEND"],
        "it is for PowerPC",
    );
    variables.leave(
        &["KDUMP_COPY_KERNEL", "KDUMPTOOL_FLAGS"],
        "openSUSE's kdump no longer reads it either",
    );
}
