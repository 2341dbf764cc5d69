//! The purgatory's settings: which engine it uses, which instructions it may execute, and what it
//! does on corruption.

macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $number:literal, $word:literal;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $name { $($(#[$variant_meta])* $variant = $number),+ }

        impl $name {
            /// Every variant, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The variant with this number in the block, if there is one.
            pub const fn from_wire(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// Its word on the command line, on the console and in the report.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}
pub(crate) use wire_enum;

wire_enum! {
    /// Which SHA-256 implementation to run.
    EngineId {
        /// The portable one; needs nothing of the CPU.
        Soft = 1, "soft";
        /// Several interleaved streams of SHA-NI; needs SHA, SSSE3 and SSE4.1.
        ShaNi = 2, "sha-ni";
    }
}

wire_enum! {
    /// What to do if a segment differs from what was loaded.
    OnCorrupt {
        /// Report it, wait `reset_delay_ms`, reset the machine.
        Reset = 1, "reset";
        /// Report it and halt the CPU.
        Halt = 2, "halt";
        /// Report it, also to the capture kernel, and boot the capture kernel anyway.
        Boot = 3, "boot";
    }
}

wire_enum! {
    /// Where the purgatory prints.
    ConsoleKind {
        /// Nowhere.
        None = 0, "none";
        /// A 16550-compatible UART at eight consecutive I/O ports, with its settings from before
        /// the panic.
        Uart8250 = 1, "8250";
    }
}

/// Which instructions may be executed. In SEV-ES, SEV-SNP and TDX guests each of them may raise #VC
/// or #VE, whose handlers are gone after a panic (arch/x86/coco/). So the loader allows them only
/// outside confidential guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// CPUID may be executed.
    pub const CPUID: Self = Self(1 << 0);
    /// IN and OUT may be executed.
    pub const PORT_IO: Self = Self(1 << 1);
    /// HLT may be executed.
    pub const HLT: Self = Self(1 << 2);
    /// RDMSR and WRMSR may be executed.
    pub const MSR: Self = Self(1 << 3);
    /// Debug registers may be written.
    pub const DEBUG: Self = Self(1 << 4);
    /// None of them: a confidential guest.
    pub const NONE: Self = Self(0);
    /// All of them: bare metal and ordinary guests.
    pub const ALL: Self =
        Self(Self::CPUID.0 | Self::PORT_IO.0 | Self::HLT.0 | Self::MSR.0 | Self::DEBUG.0);

    /// The permissions with these bits, or `None` if an unknown bit is set.
    pub const fn from_wire(bits: u32) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }

    /// The bits in the block.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether everything in `wanted` is allowed.
    pub const fn allow(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_are_rejected() {
        assert_eq!(EngineId::from_wire(0), None);
        assert_eq!(EngineId::from_wire(3), None);
        assert_eq!(OnCorrupt::from_wire(0), None);
        assert_eq!(ConsoleKind::from_wire(2), None);
        assert_eq!(Permissions::from_wire(1 << 5), None);
    }

    #[test]
    fn known_numbers_survive_the_wire() {
        for &engine in EngineId::ALL {
            assert_eq!(EngineId::from_wire(engine as u32), Some(engine));
        }
        for &action in OnCorrupt::ALL {
            assert_eq!(OnCorrupt::from_wire(action as u32), Some(action));
        }
        assert_eq!(Permissions::from_wire(Permissions::ALL.bits()), Some(Permissions::ALL));
    }

    #[test]
    fn permissions_allow_only_what_is_set() {
        assert!(Permissions::ALL.allow(Permissions::HLT));
        assert!(!Permissions::CPUID.allow(Permissions::HLT));
        assert!(Permissions::NONE.allow(Permissions::NONE));
    }
}
