//! The setup header, once in the file's first sectors, which are not loaded, and once more as a
//! constant to compare with.

use core::arch::global_asm;
use core::slice;

use capture_payload::setup_header::*;

/// The offset that the short jump's operand is relative to: just after the operand.
const JUMP_FROM: usize = 0x202;

global_asm!(
    include_str!("header.S"),
    SETUP_SECTS = const SETUP_SECTS,
    HEADER_LENGTH = const END - JUMP_FROM,
    VERSION = const VERSION,
    LOADFLAGS = const LOADFLAGS,
    INITRD_ADDR_MAX = const INITRD_ADDR_MAX,
    KERNEL_ALIGNMENT = const KERNEL_ALIGNMENT,
    MIN_ALIGNMENT = const MIN_ALIGNMENT,
    XLOADFLAGS = const XLOADFLAGS,
    CMDLINE_SIZE = const CMDLINE_SIZE,
    PREF_ADDRESS = const PREF_ADDRESS,
    LENGTH = const END - START,
    options(att_syntax)
);

unsafe extern "C" {
    static setup_header_copy: u8;
}

/// The setup header as it is in the file.
pub fn copy() -> &'static [u8] {
    // SAFETY: header.S defines this many bytes there (it asserts the number), in memory that
    // nothing writes to.
    unsafe { slice::from_raw_parts(&raw const setup_header_copy, END - START) }
}
