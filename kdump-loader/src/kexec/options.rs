//! The table of every option of kexec-tools 2.0.32 on x86_64 (kexec/kexec.h,
//! kexec/arch/i386/include/arch/options.h), and its effect in this program.

mod table;

pub use table::OPTIONS;

/// An option.
#[derive(Debug)]
pub struct Opt {
    /// Its letter.
    pub short: Option<char>,
    /// Its name.
    pub long: &'static str,
    /// The name of its value, if it takes one.
    pub value: Option<&'static str>,
    /// How this program treats it.
    pub fate: Fate,
    /// Its effect, or why it has none.
    pub here: &'static str,
}

/// How this program treats an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has an effect.
    Supported(Meaning),
    /// It needs no effect here.
    Accepted,
    /// It has no effect, and a warning says why.
    Ignored,
    /// The call is rejected.
    Rejected,
    /// It concerns reboots, so another kexec gets the call.
    PassedOn,
}

/// The effect of a supported option.
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
    /// kexec_load(2). If the kernel forbids or lacks it, kexec_file_load(2).
    Auto,
    /// kexec_load(2), with this project's purgatory.
    Load,
    /// kexec_file_load(2), with the kernel's purgatory.
    FileLoad,
}

impl Opt {
    const fn flag(short: Option<char>, long: &'static str, fate: Fate, here: &'static str) -> Self {
        Self { short, long, value: None, fate, here }
    }

    const fn with(
        short: Option<char>,
        long: &'static str,
        value: &'static str,
        fate: Fate,
        here: &'static str,
    ) -> Self {
        Self { short, long, value: Some(value), fate, here }
    }
}

/// Supported file types: kexec-tools' name, and the name in [`loader::kernel`].
pub const TYPES: [(&str, &str); 4] = [
    ("bzImage64", "bzImage"),
    ("bzImage", "bzImage"),
    ("elf-x86_64", "vmlinux"),
    ("uki", "unified kernel image"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Short options of kexec-tools 2.0.32 on x86_64 (KEXEC_ALL_OPT_STR), without `?`, which getopt
    /// itself returns.
    const LETTERS: &str = "hvdfixyluet:pscaS";
    /// Long options (KEXEC_ALL_OPTIONS); `=` marks those with a value.
    const NAMES: &str = "help version force no-checks no-ifdown no-sync load unload exec \
                         exec-live-update load-preserve-context load-jump-back-helper \
                         load-live-update entry= type= load-panic mem-min= mem-max= reuseinitrd \
                         kexec-file-syscall kexec-syscall kexec-syscall-auto debug status \
                         print-ckr-size hotplug reset-vga serial= serial-baud= console-vga \
                         console-serial elf32-core-headers elf64-core-headers pass-memmap-cmdline \
                         noefi reuse-video-type command-line= append= reuse-cmdline initrd= \
                         ramdisk= args-elf args-linux args-none module= real-mode entry-32bit dtb=";

    #[test]
    fn table_has_every_option_of_the_peer_and_no_other() {
        let names: BTreeSet<_> = NAMES.split_whitespace().map(str::to_owned).collect();
        let equals = |opt: &Opt| if opt.value.is_some() { "=" } else { "" };
        assert_eq!(
            OPTIONS
                .iter()
                .map(|opt| format!("{}{}", opt.long, equals(opt)))
                .collect::<BTreeSet<_>>(),
            names
        );
        let letters: BTreeSet<_> = LETTERS.chars().filter(|&letter| letter != ':').collect();
        assert_eq!(OPTIONS.iter().filter_map(|opt| opt.short).collect::<BTreeSet<_>>(), letters);
        let with_value = OPTIONS
            .iter()
            .filter(|opt| opt.short.is_some() && opt.value.is_some())
            .map(|opt| opt.short);
        assert_eq!(with_value.collect::<Vec<_>>(), [Some('t')]);
        assert_eq!(OPTIONS.len(), names.len(), "no option twice");
    }
}
