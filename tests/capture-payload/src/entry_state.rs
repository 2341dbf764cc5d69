//! The CPU's state when the payload was entered, as `bare/entry.S` saves it.

macro_rules! registers {
    ($(#[$meta:meta])* $type:ident { $($register:ident $name:literal),+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        #[expect(missing_docs, reason = "the names are the registers'")]
        pub enum $type { $($register),+ }

        impl $type {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$register),+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$register => $name),+ }
            }
        }
    };
}

registers! {
    /// The general registers, in the order in which instructions number them.
    General {
        Rax "rax", Rcx "rcx", Rdx "rdx", Rbx "rbx", Rsp "rsp", Rbp "rbp", Rsi "rsi", Rdi "rdi",
        R8 "r8", R9 "r9", R10 "r10", R11 "r11", R12 "r12", R13 "r13", R14 "r14", R15 "r15"
    }
}

registers! {
    /// Segment registers.
    Segment { Cs "cs", Ds "ds", Es "es", Ss "ss", Fs "fs", Gs "gs" }
}

/// GDTR or IDTR. The ten bytes that SGDT and SIDT write begin at `limit`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct TableRegister {
    /// Unused.
    pub padding: [u16; 3],
    /// Offset of the table's last byte.
    pub limit: u16,
    /// Address of its first.
    pub base: u64,
}

/// The state, eight bytes per item. RIP is missing: it was the entry point, because `entry.S` runs.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct EntryState {
    /// By [`General`].
    pub general: [u64; 16],
    /// Selectors, by [`Segment`].
    pub selectors: [u64; 6],
    /// Flags, except the arithmetic ones, which the check of the zero tail changes.
    pub rflags: u64,
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER.
    pub efer: u64,
    /// DR0 to DR3.
    pub addresses: [u64; 4],
    /// DR7.
    pub dr7: u64,
    /// MXCSR.
    pub mxcsr: u64,
    /// GDTR.
    pub gdtr: TableRegister,
    /// IDTR.
    pub idtr: TableRegister,
    /// 1 if the memory of this structure itself was not all zero, else 0.
    pub dirty: u64,
    /// Address of the first eight bytes after this structure that were not zero, else 0.
    pub not_zero: u64,
}

impl EntryState {
    /// A general register.
    pub fn general(&self, register: General) -> u64 {
        self.general[register as usize]
    }

    /// A selector.
    pub fn selector(&self, segment: Segment) -> u64 {
        self.selectors[segment as usize]
    }
}
