//! `[0]` The keys of the config: one table for error messages and kdump-loader.toml(5).

/// A key of the config.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// Its valid values, as text.
    pub value: &'static str,
    /// Its default, as text.
    pub default: &'static str,
    /// What it decides.
    pub meaning: &'static str,
}

/// Every key, in the order of the manual page.
pub const ALL: [Key; 22] = [
    Key {
        name: "kernel",
        value: "absolute path, or a list of them",
        default: "none; this key is required",
        meaning: "The capture kernel: a bzImage, a unified kernel image or a vmlinux. {release} \
                  stands for the running kernel's release, as uname -r prints it. From a list, \
                  the first file that exists is used.",
    },
    Key {
        name: "initrd",
        value: "absolute path, or a list of them",
        default: "no initrd; for a unified kernel image, the embedded one",
        meaning: "The initrd of the capture kernel. {release} stands for the running kernel's \
                  release. From a list, the first file that exists is used.",
    },
    Key {
        name: "capture",
        value: "directory, \"PARTUUID=ID\", \"serial:NUMBER\", or a device below /dev",
        default: "none: the initrd saves the dump",
        meaning: "Save the dump without the distribution's initrd: to a directory on ext4 or xfs, \
                  or to a partition or disk that holds nothing else, which is overwritten. Not \
                  together with initrd.",
    },
    Key {
        name: "makedumpfile",
        value: "absolute path",
        default: "none: the built-in filter saves the dump",
        meaning: "With capture, the makedumpfile that saves the dump. It is put into the initrd \
                  with the shared libraries that it needs. If it fails, the built-in filter saves \
                  the dump.",
    },
    Key {
        name: "dump_level",
        value: "17, 1 or 0; with makedumpfile a number from 0 to 31",
        default: "17; with makedumpfile 31",
        meaning: "With capture, what the dump leaves out: free pages and pages of zeroes (17), \
                  pages of zeroes (1), or nothing (0). makedumpfile(8) has the other levels.",
    },
    Key {
        name: "capture_timeout",
        value: "number of seconds from 1 to 86400",
        default: "no limit",
        meaning: "With capture, seconds for saving the dump, after which the machine is reset.",
    },
    Key {
        name: "keep_dumps",
        value: "number from 1",
        default: "5",
        meaning: "With capture, how many dumps stay in the directory, with the new one. The oldest \
                  are removed after the new dump is complete.",
    },
    Key {
        name: "keep_bytes",
        value: "size such as \"20G\"",
        default: "no limit",
        meaning: "With capture, how many bytes of dumps stay in the directory. The new dump stays \
                  in any case.",
    },
    Key {
        name: "append",
        value: "string",
        default: "an empty command line; for a unified kernel image, the embedded one",
        meaning: "The command line of the capture kernel. With reuse_cmdline, it is added to the \
                  running kernel's command line.",
    },
    Key {
        name: "reuse_cmdline",
        value: "true or false",
        default: "false",
        meaning: "Use the running kernel's command line, without the parameters that only suit the \
                  running kernel.",
    },
    Key {
        name: "noefi",
        value: "true or false",
        default: "false",
        meaning: "Pass no EFI tables to the capture kernel.",
    },
    Key {
        name: "on_corrupt",
        value: "\"reset\", \"halt\" or \"boot\"",
        default: "\"reset\"",
        meaning: "What the purgatory does after a panic if the image has changed since it was \
                  loaded. reset shows the failure and resets the machine. halt shows it and halts. \
                  boot starts the capture kernel, whose command line reports the failure.",
    },
    Key {
        name: "reset_delay",
        value: "number of seconds from 0 to 3600",
        default: "10",
        meaning: "Seconds for which the purgatory shows a failure before it resets the machine.",
    },
    Key {
        name: "console",
        value: "\"auto\", \"none\", \"ttyS0\" to \"ttyS3\", or an I/O port such as \"0x3f8\"",
        default: "\"auto\"",
        meaning: "The UART on which the purgatory reports. auto uses the 8250 in the capture \
                  kernel's command line.",
    },
    Key {
        name: "confidential",
        value: "\"auto\", \"yes\" or \"no\"",
        default: "\"auto\"",
        meaning: "Whether this is a confidential guest (SEV-ES, SEV-SNP or TDX). There, the \
                  purgatory avoids instructions that fault and has no console. auto detects it \
                  from /proc/cpuinfo, /sys, /dev and CPUID.",
    },
    Key {
        name: "no_hotplug",
        value: "true or false",
        default: "false",
        meaning: "Do not ask the kernel to update the armed image when CPUs or memory change.",
    },
    Key {
        name: "engine",
        value: "\"auto\", \"soft\" or \"sha-ni\"",
        default: "\"auto\"",
        meaning: "The digest engine that verifies the image after a panic. auto uses the fastest \
                  engine that all CPUs support.",
    },
    Key {
        name: "leaf_size",
        value: "power of two from \"4K\" to \"64M\"",
        default: "\"256K\"",
        meaning: "Bytes of memory per digest.",
    },
    Key {
        name: "black_box",
        value: "\"auto\" or \"no\"",
        default: "\"auto\"",
        meaning: "Whether the purgatory leaves a record of a panic, and a copy of the kernel log, \
                  in crash memory, where most resets keep them. auto does so if \
                  /var/lib/kdump-loader can be written, so that the next boot finds them.",
    },
    Key {
        name: "signal",
        value: "\"auto\", \"pvpanic\", \"ipmi\", \"pvpanic,ipmi\" or \"none\"",
        default: "\"auto\"",
        meaning: "Devices through which the purgatory signals a panic. pvpanic tells the \
                  hypervisor. ipmi adds an entry to the event log of the baseboard management \
                  controller. auto uses those that the machine has, and none in a confidential \
                  guest.",
    },
    Key {
        name: "purgatory",
        value: "absolute path",
        default: "the purgatory embedded in kdump-loader",
        meaning: "The purgatory: this project's, the kernel's or kexec-tools'.",
    },
    Key {
        name: "file",
        value: "\"auto\", \"never\" or \"always\"",
        default: "\"auto\"",
        meaning: "Whether the kernel builds the image (kexec_file_load(2)) and verifies it with \
                  its built-in purgatory. auto does so only if the kernel forbids kexec_load(2), \
                  as under Secure Boot. The keys noefi, on_corrupt, reset_delay, console, \
                  confidential, no_hotplug, engine, leaf_size, black_box, signal and purgatory do \
                  not apply to such an image.",
    },
];

/// The names alone.
pub const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut index = 0;
    while index < ALL.len() {
        names[index] = ALL[index].name;
        index += 1;
    }
    names
};
