//! Every ending of the purgatory, as a number, a word and a sentence.

macro_rules! verdicts {
    ($($(#[$meta:meta])* $variant:ident = $number:literal, $word:literal, $sentence:literal;)+) => {
        /// How the purgatory ended. The console shows all three; the report holds the word.
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

            /// One word, for the report on the capture kernel's command line.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// One sentence, for the console: what happened.
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
    BlockMagic = 0x10, "block-magic", "the handoff block has no magic number: it was overwritten \
                                       or never filled in";
    /// The block has another version.
    BlockVersion = 0x11, "block-version", "this purgatory does not support the handoff block's \
                                           version";
    /// The block has another size.
    BlockSize = 0x12, "block-size", "this purgatory does not support the handoff block's size";
    /// The block was bound to another address than the one that the purgatory runs at.
    BlockBinding = 0x13, "block-binding", "the purgatory runs at another address than the handoff \
                                           block says";
    /// A reserved byte or an unknown permission is set.
    BlockReserved = 0x14, "block-reserved", "the handoff block sets a reserved bit";
    /// The crash region wraps, is empty, or does not contain the purgatory.
    BlockCrashRegion = 0x15, "block-crash-region", "the handoff block's crash region is invalid";
    /// The number of regions is 0 or above the maximum.
    BlockRegionCount = 0x16, "block-region-count", "the handoff block's number of regions is \
                                                    invalid";
    /// A region wraps, leaves the crash region, overlaps memory that the purgatory writes, or has
    /// an unknown kind.
    BlockRegion = 0x17, "block-region", "a region in the handoff block is invalid";
    /// The leaf size is not a power of two within the limits.
    BlockLeafSize = 0x18, "block-leaf-size", "the handoff block's leaf size is not a power of two \
                                              within the limits";
    /// The leaf table is outside the purgatory's segment or has the wrong length.
    BlockLeafTable = 0x19, "block-leaf-table", "the leaf table is out of place or does not match \
                                                the regions";
    /// The engine is unknown.
    BlockEngine = 0x1a, "block-engine", "the handoff block names an unknown digest engine";
    /// The console is unknown, or its port is impossible.
    BlockConsole = 0x1b, "block-console", "the handoff block names an unknown console";
    /// The policy is unknown or its delay is out of range.
    BlockPolicy = 0x1c, "block-policy", "the handoff block's policy on corruption is invalid";
    /// The time-stamp counter's frequency is zero or impossible.
    BlockTsc = 0x1d, "block-tsc", "the handoff block's time-stamp counter frequency is invalid";
    /// The elfcorehdr or its copy is at an impossible address.
    BlockElfcorehdr = 0x1e, "block-elfcorehdr", "the handoff block's elfcorehdr is out of place";
    /// The report field or the entry registers point outside their regions.
    BlockEntry = 0x1f, "block-entry", "the entry point or the report field is outside its segment";
    /// The block or the leaf table differs from what the loader sealed.
    Seal = 0x20, "seal", "the handoff block or the leaf table changed after loading: the seal does \
                          not match";
    /// A record page, a copy of the kernel log or a signal is out of place.
    BlockBlackBox = 0x21, "block-black-box", "the handoff block's black box is invalid";

    /// A leaf's digest differs.
    SegmentCorrupt = 0x30, "segment-corrupt", "a segment changed after loading: its SHA-256 does \
                                               not match";
    /// A byte after a region's file bytes is not zero.
    ZeroTail = 0x31, "zero-tail", "a segment's zero-filled tail is not zero";

    /// An exception was raised inside the purgatory; a failed assertion of its own is #UD.
    Exception = 0x40, "exception", "an exception was raised inside the purgatory";
    /// A machine check was raised while the purgatory ran.
    MachineCheck = 0x41, "machine-check", "memory or another part of this machine failed while the \
                                           purgatory ran";
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
            assert!(
                verdict.word().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{verdict:?}"
            );
        }
    }
}
