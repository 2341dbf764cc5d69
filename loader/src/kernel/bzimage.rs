//! [2a] A bzImage: boot sector and setup code, then the payload (Documentation/arch/x86/boot.rst).
//!
//! The checks are those of `bzImage64_probe` (arch/x86/kernel/kexec-bzimage64.c), and those that boot.rst asks of a boot loader.

use std::mem::offset_of;

use super::{CaptureKernel, Defect, Format};
use crate::bootparams::uapi::{BootParams, SetupHeader};

/// The row of [`super::FORMATS`].
pub const FORMAT: Format = Format { name: "bzImage", probe, parse };

/// `XLF_KERNEL_64`: there is a 64-bit entry point at 0x200 (boot.rst, "xloadflags").
pub const XLF_KERNEL_64: u16 = 1 << 0;
/// `XLF_CAN_BE_LOADED_ABOVE_4G`: kernel, command line, initrd and boot_params may lie above 4 GiB.
pub const XLF_CAN_BE_LOADED_ABOVE_4G: u16 = 1 << 1;
/// `XLF_EFI_KEXEC`: it can take over EFI runtime services that another kernel has already mapped.
pub const XLF_EFI_KEXEC: u16 = 1 << 4;
/// `XLF_5LEVEL`: it can be entered with five levels of page tables.
pub const XLF_5LEVEL: u16 = 1 << 5;

/// Where the setup header begins, in the file and in `struct boot_params` (boot.rst, "The Real-Mode Kernel Header").
pub const SETUP_HEADER_AT: usize = offset_of!(BootParams, hdr);
/// From where the byte at 0x201, the operand of a short jump, counts the header's length.
pub const SETUP_HEADER_END_BASE: usize = HEADER.1;
/// What follows the header in `struct boot_params`: `edd_mbr_sig_buffer`.
pub const SETUP_HEADER_MAX_END: usize = offset_of!(BootParams, edd_mbr_sig_buffer);

/// The oldest protocol with `xloadflags` (boot.rst: 2.12, Linux 3.8).
const OLDEST_VERSION: u16 = 0x020c;
/// `LOADED_HIGH` in `loadflags`: a bzImage, not a zImage.
const LOADED_HIGH: u8 = 1 << 0;
/// The unit of `setup_sects`.
const SECTOR_LEN: usize = 512;
/// What `setup_sects` = 0 means, from the days of the boot sector (boot.rst, "setup_sects").
const DEFAULT_SETUP_SECTS: u8 = 4;
/// The unit of `syssize`.
const PARAGRAPH_LEN: u64 = 16;
/// Offset of the 64-bit entry point in the payload (boot.rst, "64-bit Boot Protocol").
const ENTRY_OFFSET: u64 = 0x200;

/// A field of the header: name in boot.rst and offset in the file.
struct Field(&'static str, usize);

macro_rules! field {
    ($name:ident) => {
        Field(stringify!($name), SETUP_HEADER_AT + offset_of!(SetupHeader, $name))
    };
}

const SETUP_SECTS: Field = field!(setup_sects);
const SYSSIZE: Field = field!(syssize);
const BOOT_FLAG: Field = field!(boot_flag);
const HEADER: Field = field!(header);
const VERSION: Field = field!(version);
const LOADFLAGS: Field = field!(loadflags);
const KERNEL_ALIGNMENT: Field = field!(kernel_alignment);
const RELOCATABLE_KERNEL: Field = field!(relocatable_kernel);
const XLOADFLAGS: Field = field!(xloadflags);
const CMDLINE_SIZE: Field = field!(cmdline_size);
const PREF_ADDRESS: Field = field!(pref_address);
const INIT_SIZE: Field = field!(init_size);
/// The operand of the jump: how far it is from here to the end of the header.
const HEADER_LENGTH: Field = Field("jump", SETUP_HEADER_AT + offset_of!(SetupHeader, jump) + 1);

const HDRS: [u8; 4] = *b"HdrS";
const BOOT_FLAG_VALUE: u16 = 0xaa55;
/// Where the last field that is read here ends.
const LEAST_HEADER_END: usize = INIT_SIZE.1 + 4;

/// With the magic number it is one. Without, it may still be the beginning of one, if it is too short to have it.
fn probe(bytes: &[u8]) -> bool {
    match bytes.get(HEADER.1..HEADER.1 + HDRS.len()) {
        Some(magic) => magic == HDRS,
        None => super::FOREIGN.iter().all(|(signature, _)| !bytes.starts_with(signature)),
    }
}

fn parse(bytes: &[u8]) -> Result<CaptureKernel<'_>, Defect> {
    let header = Header(bytes);
    let [setup_sects] = header.field(SETUP_SECTS)?;
    let syssize = u32::from_le_bytes(header.field(SYSSIZE)?);
    header.expect_u16(BOOT_FLAG, BOOT_FLAG_VALUE)?;
    let [header_length] = header.field(HEADER_LENGTH)?;
    let magic = u32::from_le_bytes(header.field(HEADER)?);
    if magic != u32::from_le_bytes(HDRS) {
        let expected = u32::from_le_bytes(HDRS).into();
        return Err(Defect::Damaged { field: HEADER.0, offset: HEADER.1, expected, found: magic.into() });
    }
    let version = u16::from_le_bytes(header.field(VERSION)?);
    if version < OLDEST_VERSION {
        return Err(Defect::OldProtocol { found: version, needed: OLDEST_VERSION });
    }
    let [loadflags] = header.field(LOADFLAGS)?;
    if loadflags & LOADED_HIGH == 0 {
        return Err(Defect::LoadedLow { loadflags });
    }
    let kernel_alignment = u32::from_le_bytes(header.field(KERNEL_ALIGNMENT)?);
    if !kernel_alignment.is_power_of_two() {
        return Err(Defect::Alignment { found: kernel_alignment });
    }
    let [relocatable_kernel] = header.field(RELOCATABLE_KERNEL)?;
    let xloadflags = u16::from_le_bytes(header.field(XLOADFLAGS)?);
    if xloadflags & XLF_KERNEL_64 == 0 {
        return Err(Defect::Only32Bit { xloadflags });
    }
    if relocatable_kernel == 0 {
        return Err(Defect::NotRelocatable { lacks: RELOCATABLE_KERNEL.0 });
    }
    if xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G == 0 {
        return Err(Defect::NotRelocatable { lacks: "XLF_CAN_BE_LOADED_ABOVE_4G" });
    }
    let cmdline_size = u32::from_le_bytes(header.field(CMDLINE_SIZE)?);
    let pref_address = u64::from_le_bytes(header.field(PREF_ADDRESS)?);
    let init_size = u64::from(u32::from_le_bytes(header.field(INIT_SIZE)?));

    // The byte is the operand of a jump, but its length counts, so it has no sign: kexec-tools' signed reading cuts long headers.
    let header_end = SETUP_HEADER_END_BASE + usize::from(header_length);
    if !(LEAST_HEADER_END..=SETUP_HEADER_MAX_END).contains(&header_end) {
        return Err(Defect::HeaderLength { end: header_end, least: LEAST_HEADER_END, most: SETUP_HEADER_MAX_END });
    }
    let setup_header = header.part("the setup header", SETUP_HEADER_AT, header_end)?;

    let setup_sects = if setup_sects == 0 { DEFAULT_SETUP_SECTS } else { setup_sects };
    let payload_at = (usize::from(setup_sects) + 1) * SECTOR_LEN;
    header.part("the setup code", 0, payload_at)?;
    // `syssize` is of the payload; a signature for EFI may follow it.
    let payload_end = payload_at as u64 + u64::from(syssize) * PARAGRAPH_LEN;
    if syssize == 0 || (bytes.len() as u64) < payload_end {
        let end = payload_end.max(payload_at as u64 + 1);
        return Err(Defect::Truncated { len: bytes.len(), part: "the payload", end });
    }
    let payload = &bytes[payload_at..];
    if init_size < payload.len() as u64 {
        return Err(Defect::InitSize { init_size, payload: payload.len() as u64 });
    }
    Ok(CaptureKernel {
        setup_header,
        payload,
        init_size,
        alignment: kernel_alignment.into(),
        pref_address,
        cmdline_size,
        version,
        xloadflags,
        entry_offset: ENTRY_OFFSET,
    })
}

/// The file, as far as it goes.
struct Header<'a>(&'a [u8]);

impl<'a> Header<'a> {
    fn field<const LEN: usize>(&self, Field(name, at): Field) -> Result<[u8; LEN], Defect> {
        let bytes = self.part(name, at, at + LEN)?;
        Ok(*bytes.first_chunk().expect("a part is as long as asked for"))
    }

    fn part(&self, part: &'static str, start: usize, end: usize) -> Result<&'a [u8], Defect> {
        self.0.get(start..end).ok_or(Defect::Truncated { len: self.0.len(), part, end: end as u64 })
    }

    fn expect_u16(&self, field: Field, expected: u16) -> Result<(), Defect> {
        let Field(name, offset) = field;
        let found = u16::from_le_bytes(self.field(field)?);
        if found == expected {
            return Ok(());
        }
        Err(Defect::Damaged { field: name, offset, expected: expected.into(), found: found.into() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel;
    use crate::request::InputFile;

    const SETUP_SECTORS: usize = 3;
    const PAYLOAD_AT: usize = (SETUP_SECTORS + 1) * SECTOR_LEN;
    const PAYLOAD_LEN: usize = 0x420;

    /// A bzImage as small as it can be, with Debian's values where they matter.
    fn image() -> Vec<u8> {
        let mut bytes = vec![0; PAYLOAD_AT];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x1f1] = SETUP_SECTORS as u8;
        bytes[0x1f4..0x1f8].copy_from_slice(&((PAYLOAD_LEN / 16) as u32).to_le_bytes());
        bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        bytes[0x200..0x206].copy_from_slice(b"\xeb\x6aHdrS");
        bytes[0x206..0x208].copy_from_slice(&[0x0f, 0x02]);
        bytes[0x211] = 1;
        bytes[0x230..0x234].copy_from_slice(&0x20_0000_u32.to_le_bytes());
        bytes[0x234] = 1;
        bytes[0x236] = 0x7f;
        bytes[0x238..0x23c].copy_from_slice(&2047_u32.to_le_bytes());
        bytes[0x258..0x260].copy_from_slice(&0x100_0000_u64.to_le_bytes());
        bytes[0x260..0x264].copy_from_slice(&0x1000_u32.to_le_bytes());
        bytes.resize(PAYLOAD_AT + PAYLOAD_LEN, 0xcc);
        bytes
    }

    fn parse_file(bytes: Vec<u8>) -> Result<(), Defect> {
        let file = InputFile { path: "vmlinuz".into(), bytes };
        kernel::parse(&file).map(drop).map_err(|error| error.defect)
    }

    fn with(at: usize, new: &[u8]) -> Result<(), Defect> {
        let mut bytes = image();
        bytes[at..at + new.len()].copy_from_slice(new);
        parse_file(bytes)
    }

    #[test]
    fn every_fact_of_an_image_is_read() {
        let file = InputFile { path: "vmlinuz".into(), bytes: image() };
        let kernel = kernel::parse(&file).unwrap();
        assert_eq!(kernel.setup_header, &file.bytes[0x1f1..0x26c]);
        assert_eq!(kernel.payload, &file.bytes[PAYLOAD_AT..]);
        assert_eq!((kernel.init_size, kernel.alignment, kernel.pref_address), (0x1000, 0x20_0000, 0x100_0000));
        assert_eq!((kernel.cmdline_size, kernel.version, kernel.xloadflags), (2047, 0x020f, 0x7f));
        assert_eq!(kernel.entry_offset, 0x200);
    }

    #[test]
    fn image_cut_anywhere_is_truncated_and_says_at_which_field() {
        let whole = image();
        assert_eq!(parse_file(vec![]), Err(Defect::Empty));
        for cut in 1..whole.len() {
            match parse_file(whole[..cut].to_vec()) {
                Err(Defect::Truncated { len, end, .. }) => assert!(len == cut && end > cut as u64, "cut at {cut:#x}: {end:#x}"),
                other => panic!("cut at {cut:#x}: {other:?}"),
            }
        }
        for Field(name, at) in [
            SETUP_SECTS,
            SYSSIZE,
            BOOT_FLAG,
            HEADER_LENGTH,
            HEADER,
            VERSION,
            LOADFLAGS,
            KERNEL_ALIGNMENT,
            RELOCATABLE_KERNEL,
            XLOADFLAGS,
            CMDLINE_SIZE,
            PREF_ADDRESS,
            INIT_SIZE,
        ] {
            let defect = parse_file(whole[..at].to_vec()).unwrap_err();
            assert!(matches!(defect, Defect::Truncated { part, .. } if part == name), "{name}: {defect}");
        }
        let parts = [(0x26b, "the setup header"), (PAYLOAD_AT - 1, "the setup code"), (PAYLOAD_AT, "the payload")];
        for (cut, name) in parts {
            let defect = parse_file(whole[..cut].to_vec()).unwrap_err();
            assert!(matches!(defect, Defect::Truncated { part, .. } if part == name), "{name}: {defect}");
        }
    }

    #[test]
    fn each_defect_has_its_own_error() {
        let cases: [(&str, usize, &[u8], Defect); 12] = [
            ("boot flag", 0x1fe, &[0, 0], Defect::Damaged { field: "boot_flag", offset: 0x1fe, expected: 0xaa55, found: 0 }),
            ("protocol 2.11", 0x206, &[0x0b, 0x02], Defect::OldProtocol { found: 0x020b, needed: 0x020c }),
            ("zImage", 0x211, &[0], Defect::LoadedLow { loadflags: 0 }),
            ("no alignment", 0x230, &[0, 0, 0, 0], Defect::Alignment { found: 0 }),
            ("odd alignment", 0x230, &[0, 0, 0x30, 0], Defect::Alignment { found: 0x30_0000 }),
            ("fixed", 0x234, &[0], Defect::NotRelocatable { lacks: "relocatable_kernel" }),
            ("32-bit", 0x236, &[0], Defect::Only32Bit { xloadflags: 0 }),
            ("low", 0x236, &[1], Defect::NotRelocatable { lacks: "XLF_CAN_BE_LOADED_ABOVE_4G" }),
            ("short header", 0x201, &[0x61], Defect::HeaderLength { end: 0x263, least: 0x264, most: 0x290 }),
            ("long header", 0x201, &[0x8f], Defect::HeaderLength { end: 0x291, least: 0x264, most: 0x290 }),
            ("init_size", 0x260, &[0x1f, 0x04], Defect::InitSize { init_size: 0x41f, payload: 0x420 }),
            (
                "no payload",
                0x1f4,
                &[0, 0],
                Defect::Truncated { len: PAYLOAD_AT + PAYLOAD_LEN, part: "the payload", end: PAYLOAD_AT as u64 + 1 },
            ),
        ];
        for (name, at, new, expected) in cases {
            assert_eq!(with(at, new), Err(expected), "{name}");
        }
    }

    #[test]
    fn length_of_the_header_has_no_sign() {
        // 0x8e is negative as the operand of the jump that it also is.
        let mut bytes = image();
        bytes[0x201] = 0x8e;
        let file = InputFile { path: "vmlinuz".into(), bytes };
        assert_eq!(kernel::parse(&file).unwrap().setup_header.len(), 0x290 - 0x1f1);
    }

    #[test]
    fn setup_of_no_sectors_has_four() {
        let mut bytes = image();
        bytes[0x1f1] = 0;
        bytes.splice(PAYLOAD_AT..PAYLOAD_AT, [0xdd; SECTOR_LEN]);
        let file = InputFile { path: "vmlinuz".into(), bytes };
        assert_eq!(kernel::parse(&file).unwrap().payload, &file.bytes[PAYLOAD_AT + SECTOR_LEN..]);
    }

    proptest! {
        #[test]
        fn changed_header_is_read_consistently_or_refused(at in 0x1f1..0x26cusize, new: [u8; 4]) {
            let mut bytes = image();
            bytes[at..at + 4].copy_from_slice(&new);
            let file = InputFile { path: "vmlinuz".into(), bytes };
            if let Ok(kernel) = kernel::parse(&file) {
                prop_assert!(kernel.alignment.is_power_of_two());
                prop_assert!(kernel.init_size >= kernel.payload.len() as u64 && !kernel.payload.is_empty());
                prop_assert!(SETUP_HEADER_AT + kernel.setup_header.len() <= SETUP_HEADER_MAX_END);
                prop_assert!(kernel.xloadflags & XLF_KERNEL_64 != 0);
            }
        }
    }
}
