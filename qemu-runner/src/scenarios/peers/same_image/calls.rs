//! The calls that are compared: at least one for every option of kexec-tools that is about capture
//! kernels, and what both make of it. docs/kexec-compared.md has a row for each.

use Outcome::{
    AnotherCall, AnotherEntry, Answer, FilteredLine, KernelsImage, MapInWords, RefusedByBoth,
    RefusedHere, Same,
};

/// A call, given to kexec-tools and to the loader as `kexec`.
pub struct Call {
    /// The option it is about, by the name that docs/kexec-options.md has for it.
    pub option: &'static str,
    /// Its arguments. `{line}` stands for a command line, `{kernel}` and `{initrd}` for files,
    /// `{low}` and `{high}` for addresses in the crash region.
    pub arguments: &'static str,
    /// What both make of it.
    pub outcome: Outcome,
    /// The same in words, or the reason; may be empty.
    pub note: &'static str,
}

/// What kexec-tools and the loader make of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both arm the same image, but for what is explained for every pair.
    Same,
    /// The same, but kexec-tools tells the capture kernel its memory in words of the command line.
    MapInWords,
    /// The same, but the loader drops the parameters that only suit the running kernel.
    FilteredLine,
    /// Both let the kernel make the image.
    KernelsImage,
    /// Both arm; kexec-tools lets the kernel make the image, the loader makes it.
    AnotherCall,
    /// Both arm; kexec-tools' image is entered elsewhere, so that nothing is where the loader's has
    /// it.
    AnotherEntry,
    /// kexec-tools arms, the loader refuses.
    RefusedHere,
    /// Neither arms.
    RefusedByBoth,
    /// Nothing is armed; both end with the same exit status.
    Answer,
}

impl Outcome {
    /// What docs/kexec-compared.md calls it.
    pub fn word(self) -> &'static str {
        match self {
            Same => "the same",
            MapInWords => "the same but for the memory map",
            FilteredLine => "the same but for the command line",
            KernelsImage => "the kernel's, the same",
            AnotherCall => "another system call",
            AnotherEntry => "another entry",
            RefusedHere => "refused here",
            RefusedByBoth => "refused by both",
            Answer => "the same answer",
        }
    }
}

/// The table: option, arguments, outcome, and the outcome's note, if there is one. Options stand
/// before `--command-line`: kexec-tools 2.0.29 and 2.0.32 forget the command line at some that
/// follow it.
macro_rules! calls {
    ($($option:literal $arguments:literal $outcome:ident $($note:literal)?;)*) => {
        &[$(Call {
            option: $option,
            arguments: $arguments,
            outcome: $outcome,
            note: concat!($($note)?),
        }),*]
    };
}

/// All of them.
pub const CALLS: &[Call] = calls! {
    "--help" "--help" Answer
        "each prints its own options";
    "--version" "--version" Answer
        "each prints its own";
    "--print-ckr-size" "--print-ckr-size" Answer
        "the same number is printed";
    "--status" "-S" Answer
        "1 if armed, 0 if not, with each in both states";
    "--command-line" "-p -c --command-line='{line}' {kernel}" Same;
    "--append" "-p -c --append='{line}' {kernel}" Same;
    "--load-panic" "--load-panic -c --command-line='{line}' {kernel}" Same;
    "--kexec-syscall" "-p --kexec-syscall --command-line='{line}' {kernel}" Same;
    "--debug" "-p -c -d -d --command-line='{line}' {kernel}" Same
        "`-d` is in every call here, to learn addresses from kexec-tools";
    "--initrd" "-p -c --command-line='{line}' --initrd={initrd} {kernel}" Same;
    "--ramdisk" "-p -c --command-line='{line}' --ramdisk={initrd} {kernel}" Same;
    "--reuse-cmdline" "-p -c --append='{line}' --reuse-cmdline {kernel}" FilteredLine
        "kexec-tools drops `crashkernel=` and `BOOT_IMAGE=` only; here it also reuses `initrd=`, \
         which names the running kernel's";
    "--hotplug" "-p -c --hotplug --command-line='{line}' {kernel}" Same
        "the loader asks the kernel to keep the image current, always";
    "--mem-min" "-p -c --mem-min={low} --command-line='{line}' {kernel}" Same
        "all of it above";
    "--mem-max" "-p -c --mem-max={high} --command-line='{line}' {kernel}" Same
        "all of it below";
    "--noefi" "-p -c --noefi --command-line='{line}' {kernel}" Same
        "`acpi_rsdp=` in both; after `--append`, `--noefi` costs kexec-tools the whole command \
         line, the loader keeps it";
    "--type" "-p -c --type=bzImage64 --command-line='{line}' {kernel}" Same;
    "--type" "-p -c --type=bzImage --command-line='{line}' {kernel}" AnotherEntry
        "kexec-tools enters the kernel in 32-bit mode, by its real-mode header; here it is the \
         same file, entered in 64-bit mode";
    "--type" "-p -c --type=elf-x86_64 --command-line='{line}' {kernel}" RefusedByBoth
        "the file is a bzImage";
    "--no-checks" "-p -c --no-checks --command-line='{line}' {kernel}" Same
        "kexec-tools' purgatory skips the digest, the loader's verifies, and the loader says so";
    "--console-serial" "-p -c --console-serial --command-line='{line}' {kernel}" Same
        "where the purgatory speaks is in no other segment";
    "--serial" "-p -c --serial=ttyS1 --command-line='{line}' {kernel}" Same
        "kexec-tools' purgatory speaks only if `--console-serial` is also given";
    "--serial-baud" "-p -c --serial-baud=115200 --command-line='{line}' {kernel}" Same
        "ignored here, and said so";
    "--console-vga" "-p -c --console-vga --command-line='{line}' {kernel}" Same
        "ignored here, and said so";
    "--reset-vga" "-p -c --reset-vga --command-line='{line}' {kernel}" Same
        "ignored here, and said so";
    "--elf32-core-headers" "-p -c --elf32-core-headers --command-line='{line}' {kernel}" Same
        "64-bit in both";
    "--elf64-core-headers" "-p -c --elf64-core-headers --command-line='{line}' {kernel}" Same;
    "--pass-memmap-cmdline"
        "-p -c --pass-memmap-cmdline --command-line='{line}' {kernel}" MapInWords
        "kexec-tools passes on the whole machine's memory map, and says in `memmap=` words which \
         of it to use";
    "--reuse-video-type" "-p -c --reuse-video-type --command-line='{line}' {kernel}" Same;
    "--args-linux" "-p -c --args-linux --command-line='{line}' {kernel}" Same;
    "--args-elf" "-p -c --args-elf --command-line='{line}' {kernel}" RefusedHere
        "kexec-tools takes it and does nothing with a bzImage";
    "--args-none" "-p -c --args-none --command-line='{line}' {kernel}" RefusedHere
        "kexec-tools takes it and does nothing with a bzImage";
    "--module" "-p -c --module={initrd} --command-line='{line}' {kernel}" RefusedHere
        "kexec-tools takes it and does nothing with a bzImage";
    "--real-mode" "-p -c --real-mode --command-line='{line}' {kernel}" RefusedByBoth
        "kexec-tools enters no crash kernel so, either";
    "--entry-32bit" "-p -c --entry-32bit --command-line='{line}' {kernel}" RefusedHere
        "kexec-tools enters the kernel in 32-bit mode";
    "--dtb" "-p -c --dtb={initrd} --command-line='{line}' {kernel}" RefusedHere
        "kexec-tools takes it, and Linux on this machine would not read it";
    "--kexec-file-syscall" "-p -s --command-line='{line}' --initrd={initrd} {kernel}" KernelsImage
        "all of the crash region but what is random or is a digest of it";
    "--kexec-syscall-auto" "-p -a --command-line='{line}' {kernel}" AnotherCall
        "kexec-tools tries kexec_file_load first, the loader kexec_load, because only there the \
         purgatory is ours";
    "--unload" "-p -u" Answer
        "nothing is armed any more";
};

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &str = include_str!("../../../../../docs/kexec-options.md");
    const COMPARED: &str = include_str!("../../../../../docs/kexec-compared.md");

    #[test]
    fn every_option_about_capture_kernels_is_compared() {
        let rows = OPTIONS
            .lines()
            .filter(|line| line.starts_with("| `-") && !line.contains("| passed on |"));
        let names: Vec<_> = rows
            .map(|row| row.split("--").nth(1).unwrap().split(['=', '`']).next().unwrap())
            .collect();
        assert!(names.len() > 30, "{names:?}");
        for name in names {
            assert!(
                CALLS.iter().any(|call| call.option.strip_prefix("--") == Some(name)),
                "--{name} is not compared"
            );
        }
    }

    #[test]
    fn every_call_is_in_the_docs() {
        for Call { option, arguments, outcome, note } in CALLS {
            let arguments = arguments.replace(['{', '}'], "");
            let row = format!("| `{option}` | `{arguments}` | {} | {note} |", outcome.word());
            assert!(COMPARED.contains(&row), "docs/kexec-compared.md lacks: {row}");
        }
    }
}
