//! Every way in which the purgatory can end, as a number, a word and a sentence.

macro_rules! verdicts {
    ($($(#[$meta:meta])* $variant:ident = $number:literal, $word:literal, $sentence:literal;)+) => {
        /// How the purgatory ended. Number and word are printed; the word stands in the report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Verdict { $($(#[$meta])* $variant = $number),+ }

        impl Verdict {
            /// Every verdict, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The verdict with this number, if there is one.
            pub const fn from_wire(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// One word, for the report in the capture kernel's command line.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// One sentence, for the console: what is wrong.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence),+ }
            }
        }
    };
}

verdicts! {
    /// Everything is as it was loaded.
    Ok = 0x00, "ok", "every segment is as it was loaded";

    /// The block does not begin with the magic number.
    BlockMagic = 0x10, "block-magic", "the handoff block has no magic number: it was overwritten, or never filled in";
    /// The block is of another version.
    BlockVersion = 0x11, "block-version", "the handoff block is of a version this purgatory does not know";
    /// The block is of another size.
    BlockSize = 0x12, "block-size", "the handoff block is not of the size this purgatory was built for";
    /// The block was bound for another address than the one the purgatory runs at.
    BlockBinding = 0x13, "block-binding", "the purgatory does not run where the handoff block says it was bound";
    /// A reserved byte or an unknown permission is set.
    BlockReserved = 0x14, "block-reserved", "the handoff block sets a bit that has no meaning";
    /// The crash region wraps, is empty, or does not hold the purgatory.
    BlockCrashRegion = 0x15, "block-crash-region", "the crash region in the handoff block cannot be right";
    /// The number of regions is 0 or above the maximum.
    BlockRegionCount = 0x16, "block-region-count", "the number of regions in the handoff block cannot be right";
    /// A region wraps, leaves the crash region, overlaps what purgatory writes, or is of unknown kind.
    BlockRegion = 0x17, "block-region", "a region in the handoff block cannot be right";
    /// The leaf size is not a power of two within the limits.
    BlockLeafSize = 0x18, "block-leaf-size", "the leaf size in the handoff block is not a power of two within its limits";
    /// The leaf table lies outside the purgatory's segment or has the wrong length.
    BlockLeafTable = 0x19, "block-leaf-table", "the leaf table does not lie where it must or does not match the regions";
    /// The engine is unknown.
    BlockEngine = 0x1a, "block-engine", "the handoff block names a digest engine this purgatory does not have";
    /// The console is unknown, or its port is impossible.
    BlockConsole = 0x1b, "block-console", "the handoff block names a console this purgatory does not have";
    /// The policy is unknown or its delay is out of range.
    BlockPolicy = 0x1c, "block-policy", "the policy on corruption in the handoff block cannot be right";
    /// The time-stamp counter's frequency is zero or impossible.
    BlockTsc = 0x1d, "block-tsc", "the frequency of the time-stamp counter in the handoff block cannot be right";
    /// The elfcorehdr or its copy lies where it cannot.
    BlockElfcorehdr = 0x1e, "block-elfcorehdr", "the elfcorehdr's place in the handoff block cannot be right";
    /// The report field or the entry registers point outside their regions.
    BlockEntry = 0x1f, "block-entry", "the entry point or the report field lies outside the segment it belongs to";
    /// The block or the leaf table is not what was sealed.
    Seal = 0x20, "seal", "the handoff block or the leaf table was changed after loading: its seal does not match";

    /// A leaf's digest differs.
    SegmentCorrupt = 0x30, "segment-corrupt", "a segment was changed after loading: its SHA-256 does not match";
    /// A byte between a region's file bytes and its end is not zero.
    ZeroTail = 0x31, "zero-tail", "a segment's zero-filled tail is no longer zero";

    /// An exception was raised inside the purgatory; a failed assertion of its own is #UD.
    Exception = 0x40, "exception", "an exception was raised inside the purgatory";
    /// A machine check was raised while the purgatory ran.
    MachineCheck = 0x41, "machine-check", "memory, or another part of this machine, failed while the purgatory ran";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_unique() {
        for (index, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(Verdict::from_wire(*verdict as u32), Some(*verdict));
            for other in &Verdict::ALL[index + 1..] {
                assert_ne!(*verdict as u32, *other as u32);
                assert_ne!(verdict.word(), other.word());
            }
        }
    }

    #[test]
    fn words_fit_a_kernel_parameter() {
        for verdict in Verdict::ALL {
            assert!(verdict.word().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{verdict:?}");
        }
    }
}
