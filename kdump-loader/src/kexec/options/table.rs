//! Every option of kexec-tools, in the order of its own help.

use super::Fate::{Accepted, Ignored, PassedOn, Rejected, Supported};
use super::Meaning::{
    Call, CommandLine, ConsoleSerial, Help, Hotplug, Initrd, LoadPanic, MemMax, MemMin, NoEfi,
    PrintRegionSize, ReuseCommandLine, Serial, Status, Type, Unload, Verbose, Version,
};
use super::{Opt, SystemCall};

const REBOOT: &str = "is for reboots";
const MULTIBOOT: &str = "is for multiboot kernels; a capture kernel is Linux";

/// Every option, in the order of kexec-tools' own help.
pub const OPTIONS: &[Opt] = &[
    Opt::flag(Some('h'), "help", Supported(Help), "prints the options"),
    Opt::flag(Some('v'), "version", Supported(Version), "prints the version of kdump-loader"),
    Opt::flag(Some('f'), "force", PassedOn, REBOOT),
    Opt::flag(
        Some('i'),
        "no-checks",
        Ignored,
        "has no effect: the purgatory always verifies the image, because a corrupt capture kernel \
         would save no dump. To boot it all the same, use `kdump-loader load --on-corrupt boot`",
    ),
    Opt::flag(Some('x'), "no-ifdown", PassedOn, REBOOT),
    Opt::flag(Some('y'), "no-sync", PassedOn, REBOOT),
    Opt::flag(Some('l'), "load", PassedOn, REBOOT),
    Opt::flag(
        Some('p'),
        "load-panic",
        Supported(LoadPanic),
        "arms the capture kernel and replaces the armed one",
    ),
    Opt::flag(
        Some('u'),
        "unload",
        Supported(Unload),
        "with -p, in either order, disarms. `-u -p FILE` replaces the armed image without the \
         unprotected window of kexec-tools, which disarms first. Without -p, it is for reboots",
    ),
    Opt::flag(Some('e'), "exec", PassedOn, REBOOT),
    Opt::flag(None, "exec-live-update", PassedOn, "is for Xen"),
    Opt::with(
        Some('t'),
        "type",
        "TYPE",
        Supported(Type),
        "bzImage64, bzImage, elf-x86_64 or uki; a file of another type is rejected. By default, \
         the type is detected",
    ),
    Opt::with(
        None,
        "mem-min",
        "ADDR",
        Supported(MemMin),
        "the lowest address of the image; no effect with kexec_file_load, where the kernel decides",
    ),
    Opt::with(
        None,
        "mem-max",
        "ADDR",
        Supported(MemMax),
        "the highest address of the image; no effect with kexec_file_load, where the kernel \
         decides",
    ),
    Opt::flag(None, "reuseinitrd", PassedOn, REBOOT),
    Opt::flag(
        None,
        "print-ckr-size",
        Supported(PrintRegionSize),
        "prints the size in bytes of the crash region that images are loaded into, or 0 if there \
         is none",
    ),
    Opt::flag(None, "load-preserve-context", PassedOn, REBOOT),
    Opt::flag(None, "load-jump-back-helper", PassedOn, REBOOT),
    Opt::flag(None, "load-live-update", PassedOn, "is for Xen"),
    Opt::with(
        None,
        "entry",
        "ADDR",
        PassedOn,
        "is for kernels that return; for a capture kernel it would skip the verification",
    ),
    Opt::flag(
        Some('s'),
        "kexec-file-syscall",
        Supported(Call(SystemCall::FileLoad)),
        "uses kexec_file_load(2): the kernel builds the image, and its built-in purgatory verifies \
         it",
    ),
    Opt::flag(
        Some('c'),
        "kexec-syscall",
        Supported(Call(SystemCall::Load)),
        "uses kexec_load(2): kdump-loader builds the image, and its purgatory verifies it",
    ),
    Opt::flag(
        Some('a'),
        "kexec-syscall-auto",
        Supported(Call(SystemCall::Auto)),
        "the default: tries kexec_load(2) first, which allows kdump-loader's purgatory. If \
         lockdown or IMA forbids that call or the kernel lacks it, uses kexec_file_load(2). \
         kexec-tools tries them in the opposite order",
    ),
    Opt::flag(
        None,
        "hotplug",
        Supported(Hotplug),
        "is the default: the kernel is asked to update the image when CPUs or memory change. If it \
         cannot, kdump-loader warns and arms; kexec-tools fails",
    ),
    Opt::flag(
        Some('d'),
        "debug",
        Supported(Verbose),
        "prints the image's segments, command line and identity to standard error",
    ),
    Opt::flag(
        Some('S'),
        "status",
        Supported(Status),
        "exits with 1 if a capture kernel is armed, 0 if not, 255 if that is unknown. With -l, it \
         is for reboots",
    ),
    Opt::flag(
        None,
        "reset-vga",
        Ignored,
        "has no effect: the purgatory prints on a UART, not on a VGA screen",
    ),
    Opt::with(
        None,
        "serial",
        "PORT",
        Supported(Serial),
        "ttyS0 to ttyS3 or 0xPORT: the UART on which the purgatory reports. Without it and \
         --console-serial, defaults to the one in the capture kernel's command line",
    ),
    Opt::with(
        None,
        "serial-baud",
        "RATE",
        Ignored,
        "has no effect: the purgatory keeps the UART's settings from the running kernel's console",
    ),
    Opt::flag(
        None,
        "console-vga",
        Ignored,
        "has no effect: the purgatory prints on a UART only; use --console-serial",
    ),
    Opt::flag(
        None,
        "console-serial",
        Supported(ConsoleSerial),
        "the purgatory reports on the port of --serial, or on ttyS0 without --serial",
    ),
    Opt::flag(
        None,
        "elf32-core-headers",
        Accepted,
        "core headers are always 64-bit, as in kexec-tools on x86_64",
    ),
    Opt::flag(None, "elf64-core-headers", Accepted, "core headers are always 64-bit"),
    Opt::flag(
        None,
        "pass-memmap-cmdline",
        Ignored,
        "has no effect: the memory map is in the boot parameters, which every kernel since 3.8 \
         reads",
    ),
    Opt::flag(
        None,
        "noefi",
        Supported(NoEfi),
        "passes no EFI tables; no effect with kexec_file_load, where the kernel decides",
    ),
    Opt::flag(
        None,
        "reuse-video-type",
        Accepted,
        "the running kernel's screen_info is always passed on unchanged",
    ),
    Opt::with(
        None,
        "command-line",
        "STRING",
        Supported(CommandLine),
        "sets the command line; with --reuse-cmdline, adds to the running kernel's. The last \
         --command-line or --append counts",
    ),
    Opt::with(None, "append", "STRING", Supported(CommandLine), "the same as --command-line"),
    Opt::flag(
        None,
        "reuse-cmdline",
        Supported(ReuseCommandLine),
        "uses the running kernel's command line, without the parameters that only suit the running \
         kernel: crashkernel=, hugepages=, mem=, memmap= and more",
    ),
    Opt::with(None, "initrd", "FILE", Supported(Initrd), "the initrd"),
    Opt::with(None, "ramdisk", "FILE", Supported(Initrd), "the same as --initrd"),
    Opt::flag(
        None,
        "args-elf",
        Rejected,
        "passes ELF boot notes, which Linux does not read; leave it out",
    ),
    Opt::flag(None, "args-linux", Accepted, "every kernel gets Linux boot parameters"),
    Opt::flag(
        None,
        "args-none",
        Rejected,
        "would skip the purgatory and pass no memory map to the capture kernel; leave it out",
    ),
    Opt::with(None, "module", "FILE", Rejected, MULTIBOOT),
    Opt::flag(
        None,
        "real-mode",
        Rejected,
        "is impossible: a capture kernel is entered in 64-bit mode, as in kexec-tools; leave it \
         out",
    ),
    Opt::flag(
        None,
        "entry-32bit",
        Rejected,
        "is impossible: a capture kernel is entered in 64-bit mode; leave it out",
    ),
    Opt::with(None, "dtb", "FILE", Rejected, "is for machines with a device tree; leave it out"),
];
