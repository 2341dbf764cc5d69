//! How a run ends: a value written to QEMU's isa-debug-exit device, whose exit status is twice the
//! value plus one.

/// I/O port of the device: `-device isa-debug-exit,iobase=0xf4,iosize=0x04`.
pub const EXIT_PORT: u16 = 0xf4;

macro_rules! endings {
    ($($(#[$meta:meta])* $name:ident = $value:literal;)+) => {
        /// Which program ended the run, and why. The payload runs all its checks and ends with the
        /// first that failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Ending { $($(#[$meta])* $name = $value),+ }

        impl Ending {
            /// Every ending.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name, as it is printed on COM2.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

endings! {
    /// Crash kernel: it could not execute its orders. COM2 says why.
    KernelFailed = 0x11;
    /// Crash kernel: an exception or a panic of its own.
    KernelCrashed = 0x12;

    /// Payload: everything is as boot.rst and the crash note require.
    Captured = 0x20;
    /// Payload: general registers or RIP.
    Registers = 0x21;
    /// Payload: selectors, GDT, or a GDT entry.
    Segments = 0x22;
    /// Payload: RFLAGS (IF, DF, TF …).
    Flags = 0x23;
    /// Payload: CR0, CR4, EFER or debug registers are not as they were before the purgatory.
    ControlRegisters = 0x24;
    /// Payload: CR3 or the identity map is not what the crash kernel built.
    Paging = 0x25;
    /// Payload: boot_params or its e820 table.
    BootParams = 0x26;
    /// Payload: the command line or its report field.
    CommandLine = 0x27;
    /// Payload: the elfcorehdr's headers.
    Elfcorehdr = 0x28;
    /// Payload: notes of CPUs.
    Notes = 0x29;
    /// Payload: PT_LOADs, or their memory.
    Loads = 0x2a;
    /// Payload: a sealed span differs from what was loaded.
    Contents = 0x2b;
    /// Payload: a latched NMI did not arrive after IRET, or an unexpected one arrived.
    Nmi = 0x2c;
    /// Payload: an exception or a panic of its own.
    PayloadCrashed = 0x2d;
}

impl Ending {
    /// QEMU's exit status for it.
    pub const fn exit_status(self) -> u8 {
        ((self as u8) << 1) | 1
    }

    /// The ending that makes QEMU exit with `status`, if there is one.
    pub fn from_exit_status(status: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|ending| i32::from(ending.exit_status()) == status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_are_unique_and_never_qemus_own() {
        for (index, ending) in Ending::ALL.iter().enumerate() {
            assert_eq!(Ending::from_exit_status(i32::from(ending.exit_status())), Some(*ending));
            assert!(ending.exit_status() > 1, "QEMU itself fails with 1");
            assert!(Ending::ALL[index + 1..].iter().all(|other| other != ending));
        }
        assert_eq!(Ending::from_exit_status(0), None);
        assert_eq!(Ending::from_exit_status(1), None);
    }
}
