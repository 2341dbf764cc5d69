//! What the CPU held when the payload was entered, as `bare/entry.S` saves it.

/// The general registers, in the order in which instructions number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[expect(missing_docs, reason = "they are their names")]
pub enum General {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

impl General {
    /// Every one.
    pub const ALL: [Self; 16] = [
        Self::Rax,
        Self::Rcx,
        Self::Rdx,
        Self::Rbx,
        Self::Rsp,
        Self::Rbp,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rax => "rax",
            Self::Rcx => "rcx",
            Self::Rdx => "rdx",
            Self::Rbx => "rbx",
            Self::Rsp => "rsp",
            Self::Rbp => "rbp",
            Self::Rsi => "rsi",
            Self::Rdi => "rdi",
            Self::R8 => "r8",
            Self::R9 => "r9",
            Self::R10 => "r10",
            Self::R11 => "r11",
            Self::R12 => "r12",
            Self::R13 => "r13",
            Self::R14 => "r14",
            Self::R15 => "r15",
        }
    }
}

/// Segment registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[expect(missing_docs, reason = "they are their names")]
pub enum Segment {
    Cs,
    Ds,
    Es,
    Ss,
    Fs,
    Gs,
}

impl Segment {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Cs, Self::Ds, Self::Es, Self::Ss, Self::Fs, Self::Gs];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cs => "cs",
            Self::Ds => "ds",
            Self::Es => "es",
            Self::Ss => "ss",
            Self::Fs => "fs",
            Self::Gs => "gs",
        }
    }
}

/// GDTR or IDTR, so laid out that the ten bytes which SGDT and SIDT write begin with `limit`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct TableRegister {
    /// Nothing.
    pub padding: [u16; 3],
    /// Offset of the table's last byte.
    pub limit: u16,
    /// Address of its first.
    pub base: u64,
}

/// All of it, eight bytes each. RIP is not here: that it was the entry point is what brought us to `entry.S`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct EntryState {
    /// By [`General`].
    pub general: [u64; 16],
    /// Selectors, by [`Segment`].
    pub selectors: [u64; 6],
    /// Flags, but for the arithmetic ones, which looking at the zero tail has changed.
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
    /// Address of the first eight bytes behind this structure that were not zero, else 0.
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
