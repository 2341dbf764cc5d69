//! The table: every option of kexec-tools 2.0.32 on x86_64 (kexec/kexec.h, kexec/arch/i386/include/arch/options.h), and what happens here.

use Fate::{Ignored, Obeyed, PassedOn, Refused, Silent};
use Meaning::{
    Call, CommandLine, ConsoleSerial, Help, Hotplug, Initrd, LoadPanic, MemMax, MemMin, NoEfi, PrintRegionSize, ReuseCommandLine,
    Serial, Status, Type, Unload, Verbose, Version,
};

/// An option.
#[derive(Debug)]
pub struct Opt {
    /// Its letter.
    pub short: Option<char>,
    /// Its name.
    pub long: &'static str,
    /// What its value is called, if it takes one.
    pub value: Option<&'static str>,
    /// What becomes of it.
    pub fate: Fate,
    /// The same in words: what happens here, or why nothing does.
    pub here: &'static str,
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Obeyed(Meaning),
    /// Nothing happens, and nobody would notice.
    Silent,
    /// Nothing happens, and it is said why.
    Ignored,
    /// The call is refused.
    Refused,
    /// It has to do with reboots: for another kexec, if there is one.
    PassedOn,
}

/// What an option that is obeyed means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Help,
    Version,
    Verbose,
    LoadPanic,
    Unload,
    Status,
    PrintRegionSize,
    Call(SystemCall),
    Hotplug,
    Type,
    MemMin,
    MemMax,
    CommandLine,
    ReuseCommandLine,
    Initrd,
    NoEfi,
    Serial,
    ConsoleSerial,
}

/// Which system call arms the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemCall {
    /// kexec_load(2), and kexec_file_load(2) where the kernel forbids it or lacks it.
    Auto,
    /// kexec_load(2): our purgatory.
    Load,
    /// kexec_file_load(2): the kernel's.
    FileLoad,
}

impl Opt {
    const fn flag(short: Option<char>, long: &'static str, fate: Fate, here: &'static str) -> Self {
        Self { short, long, value: None, fate, here }
    }

    const fn with(short: Option<char>, long: &'static str, value: &'static str, fate: Fate, here: &'static str) -> Self {
        Self { short, long, value: Some(value), fate, here }
    }
}

const REBOOT: &str = "is about a kernel to reboot into";
const MULTIBOOT: &str = "is for multiboot kernels; a capture kernel is Linux";

/// Every option, in the order of kexec-tools' own help.
pub const OPTIONS: &[Opt] = &[
    Opt::flag(Some('h'), "help", Obeyed(Help), "prints the options, to standard output"),
    Opt::flag(Some('v'), "version", Obeyed(Version), "prints the version of kdump-loader, to standard output"),
    Opt::flag(Some('f'), "force", PassedOn, REBOOT),
    Opt::flag(
        Some('i'),
        "no-checks",
        Ignored,
        "switches nothing off: the purgatory verifies the image after every panic, and a capture kernel that was overwritten would not \
         dump; `kdump-loader load --on-corrupt boot` boots it all the same",
    ),
    Opt::flag(Some('x'), "no-ifdown", PassedOn, REBOOT),
    Opt::flag(Some('y'), "no-sync", PassedOn, REBOOT),
    Opt::flag(Some('l'), "load", PassedOn, REBOOT),
    Opt::flag(Some('p'), "load-panic", Obeyed(LoadPanic), "arms the capture kernel, in place of the one that is armed"),
    Opt::flag(
        Some('u'),
        "unload",
        Obeyed(Unload),
        "with -p, in either order: disarms; but `-u -p FILE`, with which kexec-tools disarms and then arms, arms FILE in place of what is \
         armed, without the gap. Without -p it is about a kernel to reboot into",
    ),
    Opt::flag(Some('e'), "exec", PassedOn, REBOOT),
    Opt::flag(None, "exec-live-update", PassedOn, "is about Xen"),
    Opt::with(
        Some('t'),
        "type",
        "TYPE",
        Obeyed(Type),
        "bzImage64, bzImage, elf-x86_64 or uki, and the file must be of that type; others are refused. Without it, the file tells",
    ),
    Opt::with(
        None,
        "mem-min",
        "ADDR",
        Obeyed(MemMin),
        "nothing of the image lies below; not with kexec_file_load, where the kernel decides",
    ),
    Opt::with(
        None,
        "mem-max",
        "ADDR",
        Obeyed(MemMax),
        "nothing of the image lies above; not with kexec_file_load, where the kernel decides",
    ),
    Opt::flag(None, "reuseinitrd", PassedOn, REBOOT),
    Opt::flag(
        None,
        "print-ckr-size",
        Obeyed(PrintRegionSize),
        "prints the bytes of the crash region that an image goes into, 0 without one",
    ),
    Opt::flag(None, "load-preserve-context", PassedOn, REBOOT),
    Opt::flag(None, "load-jump-back-helper", PassedOn, REBOOT),
    Opt::flag(None, "load-live-update", PassedOn, "is about Xen"),
    Opt::with(None, "entry", "ADDR", PassedOn, "is about a kernel that returns; here, it would lead past the verification"),
    Opt::flag(
        Some('s'),
        "kexec-file-syscall",
        Obeyed(Call(SystemCall::FileLoad)),
        "kexec_file_load(2): the kernel places, digests and verifies, with the purgatory that is built into it",
    ),
    Opt::flag(
        Some('c'),
        "kexec-syscall",
        Obeyed(Call(SystemCall::Load)),
        "kexec_load(2): this loader places and digests, and its purgatory verifies",
    ),
    Opt::flag(
        Some('a'),
        "kexec-syscall-auto",
        Obeyed(Call(SystemCall::Auto)),
        "the default. kexec_load(2) first, because only there the purgatory is ours; kexec_file_load(2) where the kernel is locked down, \
         IMA forbids the other, or it is not built in. kexec-tools tries them the other way round",
    ),
    Opt::flag(
        None,
        "hotplug",
        Obeyed(Hotplug),
        "the kernel is asked to keep the image current with or without it, as kexec_file_load does; where it cannot, that is said, and the \
         image is armed. kexec-tools gives up there",
    ),
    Opt::flag(
        Some('d'),
        "debug",
        Obeyed(Verbose),
        "prints the image's segments, command line and identity to standard error. It never changes what the kernel is asked",
    ),
    Opt::flag(
        Some('S'),
        "status",
        Obeyed(Status),
        "exit status 1 if a capture kernel is armed, 0 if not, 255 if the kernel does not tell. With -l it is about a kernel to reboot into",
    ),
    Opt::flag(
        None,
        "reset-vga",
        Ignored,
        "is not done: nobody looks at VGA text mode after a panic, and the purgatory writes to a UART",
    ),
    Opt::with(
        None,
        "serial",
        "PORT",
        Obeyed(Serial),
        "ttyS0 to ttyS3 or 0xPORT: the UART on which the purgatory reports. Without it and --console-serial, the one that the capture \
         kernel's command line names",
    ),
    Opt::with(
        None,
        "serial-baud",
        "RATE",
        Ignored,
        "is not set: the purgatory leaves the UART as the running kernel's console has set it up",
    ),
    Opt::flag(None, "console-vga", Ignored, "is not done: the purgatory has no VGA; see --console-serial"),
    Opt::flag(None, "console-serial", Obeyed(ConsoleSerial), "the purgatory reports on the port of --serial, else on ttyS0"),
    Opt::flag(None, "elf32-core-headers", Silent, "as in kexec-tools on x86_64, core headers are 64-bit whatever is asked"),
    Opt::flag(None, "elf64-core-headers", Silent, "core headers are 64-bit"),
    Opt::flag(
        None,
        "pass-memmap-cmdline",
        Ignored,
        "is not done: the memory map is passed as boot parameters, which every kernel since 3.8 reads",
    ),
    Opt::flag(None, "noefi", Obeyed(NoEfi), "no EFI tables are passed; not with kexec_file_load, where the kernel decides"),
    Opt::flag(None, "reuse-video-type", Silent, "the running kernel's screen_info is always passed on as it is"),
    Opt::with(
        None,
        "command-line",
        "STRING",
        Obeyed(CommandLine),
        "sets the command line, as --append does, and of several the last counts; with --reuse-cmdline it is added to it",
    ),
    Opt::with(None, "append", "STRING", Obeyed(CommandLine), "the same as --command-line"),
    Opt::flag(
        None,
        "reuse-cmdline",
        Obeyed(ReuseCommandLine),
        "begins with the running kernel's, without what only suits the running kernel: crashkernel=, hugepages=, mem=, memmap= and more",
    ),
    Opt::with(None, "initrd", "FILE", Obeyed(Initrd), "the initial RAM disk"),
    Opt::with(None, "ramdisk", "FILE", Obeyed(Initrd), "the same as --initrd"),
    Opt::flag(None, "args-elf", Refused, "passes ELF boot notes, which Linux does not read; leave it out"),
    Opt::flag(None, "args-linux", Silent, "boot parameters are what every kernel gets"),
    Opt::flag(
        None,
        "args-none",
        Refused,
        "would jump past the purgatory, and the capture kernel would know of no memory; leave it out",
    ),
    Opt::with(None, "module", "FILE", Refused, MULTIBOOT),
    Opt::flag(
        None,
        "real-mode",
        Refused,
        "cannot be: a capture kernel is entered in 64-bit mode, as in kexec-tools; leave it out",
    ),
    Opt::flag(None, "entry-32bit", Refused, "cannot be: a capture kernel is entered in 64-bit mode; leave it out"),
    Opt::with(None, "dtb", "FILE", Refused, "is for machines that are described by a device tree; leave it out"),
];

/// Types of files that are loaded here, under kexec-tools' names, and what [`loader::kernel`] calls them.
pub const TYPES: [(&str, &str); 4] =
    [("bzImage64", "bzImage"), ("bzImage", "bzImage"), ("elf-x86_64", "vmlinux"), ("uki", "unified kernel image")];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What `getopt_long` is told in kexec-tools 2.0.32 on x86_64: KEXEC_ALL_OPT_STR, without `?`, which is what it says of its own accord.
    const LETTERS: &str = "hvdfixyluet:pscaS";
    /// KEXEC_ALL_OPTIONS: names, those with a value marked.
    const NAMES: &str = "help version force no-checks no-ifdown no-sync load unload exec exec-live-update load-preserve-context \
         load-jump-back-helper load-live-update entry= type= load-panic mem-min= mem-max= reuseinitrd kexec-file-syscall kexec-syscall \
         kexec-syscall-auto debug status print-ckr-size hotplug reset-vga serial= serial-baud= console-vga console-serial \
         elf32-core-headers elf64-core-headers pass-memmap-cmdline noefi reuse-video-type command-line= append= reuse-cmdline initrd= \
         ramdisk= args-elf args-linux args-none module= real-mode entry-32bit dtb=";

    #[test]
    fn table_has_every_option_of_the_peer_and_no_other() {
        let names: BTreeSet<_> = NAMES.split_whitespace().map(str::to_owned).collect();
        let equals = |opt: &Opt| if opt.value.is_some() { "=" } else { "" };
        assert_eq!(OPTIONS.iter().map(|opt| format!("{}{}", opt.long, equals(opt))).collect::<BTreeSet<_>>(), names);
        let letters: BTreeSet<_> = LETTERS.chars().filter(|&letter| letter != ':').collect();
        assert_eq!(OPTIONS.iter().filter_map(|opt| opt.short).collect::<BTreeSet<_>>(), letters);
        let with_value = OPTIONS.iter().filter(|opt| opt.short.is_some() && opt.value.is_some()).map(|opt| opt.short);
        assert_eq!(with_value.collect::<Vec<_>>(), [Some('t')]);
        assert_eq!(OPTIONS.len(), names.len(), "no option twice");
    }
}
