//! The table of findings: code, level and meaning. docs/status.md has the same table; a test
//! compares them.

use serde::{Serialize, Serializer};

use super::Level;

macro_rules! codes {
    ($($name:ident = $word:literal, $level:ident, $meaning:literal;)+) => {
        /// The kind of a finding. Its word is stable: programs read it in JSON and in metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word for programs.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// Its effect on the dump.
            pub fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)+ }
            }

            /// Its meaning, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }
        }
    };
}

codes! {
    // Is an image armed?
    NotArmed = "not_armed", Error, "No capture kernel is armed.";
    NoCrashRegion = "no_crash_region", Error, "No memory is reserved for a capture kernel.";
    LoadDisabled = "load_disabled", Error, "No capture kernel can be armed: \
                                            `kernel.kexec_load_disabled` is 1.";
    CannotLook = "cannot_look", Unknown, "A file that the answer depends on cannot be read.";
    UnknownImage = "unknown_image", Unknown, "An image is armed, but no record describes it.";

    // Is it up to date?
    OlderRecord = "older_record", Warning, "An older loader armed the image and recorded too \
                                            little to compare.";
    MemoryMissing = "memory_missing", Warning, "Memory that was added is not in the list of memory \
                                                to dump.";
    MemoryStale = "memory_stale", Warning, "Memory that was removed is still in the list of memory \
                                            to dump.";
    MemoryRemoved = "memory_removed", Warning, "A memory block was removed, and may still be in \
                                                the list of memory to dump.";
    CpuMissing = "cpu_missing", Warning, "The dump would lack the registers of a CPU that was \
                                          added.";
    FileChanged = "file_changed", Warning, "A file that the image was made from has changed.";
    FileGone = "file_gone", Warning, "A file that the image was made from no longer exists; the \
                                      armed image does not need it.";
    ConfigChanged = "config_changed", Warning, "The armed image differs from what the config \
                                                requests.";
    Outdated = "outdated", Warning, "The image is out of date for another reason.";
    HeaderFull = "header_full", Warning, "The elfcorehdr is too small for the kernel to keep it up \
                                          to date.";
    ReloadFailed = "reload_failed", Warning, "The last reload failed.";
    EventWaits = "event_waits", Warning, "CPUs or memory changed, and no reload has run since.";
    ReloadInterrupted = "reload_interrupted", Warning, "A reload was interrupted.";
    ReloadDisabled = "reload_disabled", Note, "The armed image cannot be replaced: \
                                               `kernel.kexec_load_disabled` is 1.";
    ConfigUnusable = "config_unusable", Warning, "The config has an error or names a missing file, \
                                                  so the next reload will fail.";
    OtherService = "other_service", Warning, "Another service also arms capture kernels.";

    // Does a crash reach the purgatory?
    OopsWithoutDump = "oops_without_dump", Warning, "An oops leaves no dump: \
                                                     `kernel.panic_on_oops` is not 1.";
    PostNotifiers = "post_notifiers", Note, "Panic notifiers run before the capture kernel \
                                             (`crash_kexec_post_notifiers`).";
    CpuRefused = "cpu_refused", Warning, "A CPU that the running kernel does not use can reset the \
                                          machine during the dump.";

    // Does the purgatory start the capture kernel?
    NoConsole = "no_console", Warning, "The purgatory has no console, so it rejects a corrupt \
                                        image without a message.";
    KernelsPurgatory = "kernels_purgatory", Warning, "The kernel's built-in purgatory verifies the \
                                                      image; it hangs without a message if the \
                                                      image is corrupt.";
    ConsoleImpossible = "console_impossible", Warning, "The purgatory cannot have a console in \
                                                        this confidential guest.";
    PurgatoryHangs = "purgatory_hangs", Warning, "A foreign purgatory hangs on a corrupt image \
                                                  instead of resetting the machine.";
    RegionNearlyFull = "region_nearly_full", Warning, "The image nearly fills the crash region.";

    // Does the capture kernel run?
    TooLittleRoom = "too_little_room", Unknown, "The capture kernel has so little memory that \
                                                 kernels in tests never reached user space.";
    LittleRoom = "little_room", Warning, "The capture kernel has less memory than was always \
                                          enough in tests.";
    RoomToSpare = "room_to_spare", Note, "More crash memory is reserved than `--capture` needed in \
                                          tests.";
    MemoryHotplug = "memory_hotplug", Warning, "The capture kernel would use hot-added memory as \
                                                RAM and overwrite the data to dump.";
    DevicesNotReset = "devices_not_reset", Warning, "Drivers of the capture kernel may fail on \
                                                     devices that the crashed kernel left busy.";
    ManyCpus = "many_cpus", Warning, "The capture kernel starts more than one CPU, which takes \
                                      memory and may reset the machine.";
    NoLowMemory = "no_low_memory", Warning, "No crash memory is below 4 GiB, so devices with \
                                             32-bit DMA do not work in the capture kernel.";
    DeadlyParameter = "deadly_parameter", Unknown, "The capture kernel's command line has a \
                                                    parameter of the running kernel that can lose \
                                                    or damage the dump.";
    UnfitParameter = "unfit_parameter", Warning, "The capture kernel's command line has a \
                                                  parameter of the running kernel that takes \
                                                  memory or time.";
    NoReport = "no_report", Note, "The capture kernel's command line has no room for the \
                                   purgatory's report.";
    CmaShared = "cma_shared", Warning, "User pages in `crashkernel=…,cma` memory are not in the \
                                        dump.";
    CmaHidden = "cma_hidden", Warning, "The kernel does not show its `crashkernel=…,cma` memory, \
                                        or reserved none, so the capture kernel gets less memory.";
    KeysLeftBehind = "keys_left_behind", Warning, "The capture kernel gets no dm-crypt keys, so it \
                                                   cannot open an encrypted dump target.";

    // Is the dump saved?
    FileMissing = "file_missing", Error, "A file that the config names is missing (`service \
                                          check`).";
    NoUserSpace = "no_user_space", Unknown, "The image has neither an initrd nor `root=`, so only \
                                             an initramfs in the kernel could save a dump.";
    InitrdUnreadable = "initrd_unreadable", Unknown, "The initrd cannot be read, so whether it \
                                                      saves the dump is unknown.";
    ReleaseMismatch = "release_mismatch", Error, "The kernel and the modules in its initrd have \
                                                  different releases.";
    SaverUnknown = "saver_unknown", Unknown, "Neither the initrd nor the root file system has a \
                                              program that is known to save dumps.";
    SaverMissing = "saver_missing", Error, "The unit or program that should save the dump is \
                                            missing, masked or switched off.";
    SaverWaits = "saver_waits", Unknown, "The service that saves the dump starts after a device or \
                                          a passphrase that may never come.";
    MakedumpfileTooOld = "makedumpfile_too_old", Warning, "makedumpfile before 1.7.7 keeps every \
                                                           free page of Linux 6.12 and newer.";
    MakedumpfileUnknown = "makedumpfile_unknown", Note, "The version of makedumpfile is unknown.";
    TargetUnknown = "target_unknown", Warning, "The dump target, its free space, or whether it \
                                                takes the dump, is unknown.";
    TargetMissing = "target_missing", Error, "The device for the dump, or the one with the program \
                                              that saves it, is not on this machine or cannot be \
                                              used.";
    TargetVolatile = "target_volatile", Error, "The dump target is in memory, so the next boot \
                                                would lose the dump.";
    TargetReadOnly = "target_read_only", Error, "The dump target cannot be written to.";
    TargetFull = "target_full", Error, "The dump target has too little room even for a compressed \
                                        dump.";
    TargetSmall = "target_small", Warning, "The dump target has room for the dump only if it \
                                            compresses well.";
    TargetOnNetwork = "target_on_network", Warning, "The dump goes to another machine, or to a \
                                                     disk that is reached over a network, which \
                                                     was not checked.";
    TargetEncrypted = "target_encrypted", Unknown, "The dump target, or the root file system with \
                                                    the program that saves the dump, is or \
                                                    may be encrypted, and whether the capture \
                                                    kernel can open it is unknown.";
    UnseenPanic = "unseen_panic", Warning, "The last panic left no dump that was found, and \
                                            `kdump-loader last` has not been run since.";
    Advice = "advice", Warning, "Another warning of `load` about the armed image.";
}

impl Code {
    /// The code with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.word() == word)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in docs/status.md.
    fn table() -> String {
        let rows = Code::ALL.iter().map(|code| {
            format!("| `{}` | {} | {} |\n", code.word(), code.level().word(), code.meaning())
        });
        format!("| code | level | meaning |\n| --- | --- | --- |\n{}", rows.collect::<String>())
    }

    #[test]
    fn documentation_has_every_code_with_its_level_and_meaning() {
        let document = include_str!("../../../docs/status.md");
        assert!(
            document.contains(&table()),
            "docs/status.md should have this table:\n\n{}",
            table()
        );
    }

    #[test]
    fn words_are_unique_snake_case_identifiers() {
        for code in Code::ALL {
            assert!(
                code.word().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{code:?}"
            );
        }
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
    }
}
