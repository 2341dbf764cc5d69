//! `[2a]` A bzImage: boot sector and setup code, then the payload
//! (Documentation/arch/x86/boot.rst).
//!
//! The checks are those of `bzImage64_probe` (arch/x86/kernel/kexec-bzimage64.c), and those that
//! boot.rst requires of a boot loader.

use std::borrow::Cow;
use std::mem::offset_of;
use std::ops::Range;

use object::LittleEndian;
use object::pe::IMAGE_DIRECTORY_ENTRY_SECURITY;
use object::read::pe::PeFile64;

use super::uapi::{BootParams, SetupHeader};
use super::{CaptureKernel, Defect, Format, Measure};

/// The row of [`super::FORMATS`].
pub const FORMAT: Format = Format { name: "bzImage", probe, measure, parse };

/// `XLF_KERNEL_64`: there is a 64-bit entry point at 0x200 (boot.rst, "xloadflags").
pub(crate) const XLF_KERNEL_64: u16 = 1 << 0;
/// `XLF_CAN_BE_LOADED_ABOVE_4G`: kernel, command line, initrd and boot_params may be above 4 GiB.
pub(crate) const XLF_CAN_BE_LOADED_ABOVE_4G: u16 = 1 << 1;
/// `XLF_EFI_KEXEC`: it can take over EFI runtime services that another kernel has already mapped.
pub(crate) const XLF_EFI_KEXEC: u16 = 1 << 4;
/// `XLF_5LEVEL`: it can be entered with five levels of page tables.
pub(crate) const XLF_5LEVEL: u16 = 1 << 5;

/// Where the setup header begins, in the file and in `struct boot_params` (boot.rst, "The Real-Mode
/// Kernel Header").
pub const SETUP_HEADER_AT: usize = offset_of!(BootParams, hdr);
/// The byte at 0x201, the operand of a short jump, is the header's length counted from here.
pub(crate) const SETUP_HEADER_END_BASE: usize = HEADER.1;
/// The header must end before `edd_mbr_sig_buffer`, the next field of `struct boot_params`.
pub(crate) const SETUP_HEADER_MAX_END: usize = offset_of!(BootParams, edd_mbr_sig_buffer);

/// The oldest protocol with `xloadflags` (boot.rst: 2.12, Linux 3.8).
const OLDEST_VERSION: u16 = 0x020c;
/// `LOADED_HIGH` in `loadflags`: a bzImage, not a zImage.
const LOADED_HIGH: u8 = 1 << 0;
/// The unit of `setup_sects`.
const SECTOR_LEN: usize = 512;
/// The meaning of `setup_sects` = 0 (boot.rst, "setup_sects").
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
/// The operand of the jump, which is the header's length.
const HEADER_LENGTH: Field = Field("jump", SETUP_HEADER_AT + offset_of!(SetupHeader, jump) + 1);

const HDRS: [u8; 4] = *b"HdrS";
const BOOT_FLAG_VALUE: u16 = 0xaa55;
/// End of the last field that is read here.
const LEAST_HEADER_END: usize = INIT_SIZE.1 + 4;

/// A file with the magic number is a bzImage. A file too short for the magic number may be the
/// beginning of one.
fn probe(bytes: &[u8]) -> bool {
    match bytes.get(HEADER.1..HEADER.1 + HDRS.len()) {
        Some(magic) => magic == HDRS,
        None => super::FOREIGN.iter().all(|(signature, _)| !bytes.starts_with(signature)),
    }
}

/// The fields of a header that passed all checks.
struct Layout<'a> {
    setup_header: &'a [u8],
    /// Where the payload is in the file.
    payload: Range<u64>,
    init_size: u64,
    alignment: u32,
    pref_address: u64,
    cmdline_size: u32,
    version: u16,
    xloadflags: u16,
}

fn measure(head: &[u8]) -> Option<Measure> {
    let layout = Layout::read(head).ok()?;
    Some(Measure {
        wanted: Some(end_of_file(head, layout.payload.end)),
        memory: layout.init_size,
        initrd: 0,
    })
}

/// Where the file ends by its own headers: after its payload, or after the EFI signature that may
/// follow. Later bytes are not part of it. They are the rest of a partition, or padding by another
/// tool.
fn end_of_file(bytes: &[u8], payload_end: u64) -> u64 {
    let signature = PeFile64::parse(bytes).ok().and_then(|file| {
        let table = file.data_directory(IMAGE_DIRECTORY_ENTRY_SECURITY)?;
        // Unlike all others, this directory's address is an offset in the file (PE/COFF
        // specification, "The Attribute Certificate Table").
        Some(
            u64::from(table.virtual_address.get(LittleEndian))
                + u64::from(table.size.get(LittleEndian)),
        )
    });
    signature.unwrap_or(0).max(payload_end)
}

fn parse(bytes: &[u8]) -> Result<CaptureKernel<'_>, Defect> {
    let layout = Layout::read(bytes)?;
    let Range { start, end } = layout.payload;
    let header = Header(bytes);
    header.part("the setup code", 0, start as usize)?;
    if start == end || (bytes.len() as u64) < end {
        return Err(Defect::Truncated {
            len: bytes.len(),
            part: "the payload",
            end: end.max(start + 1),
        });
    }
    let payload = &bytes[start as usize..end as usize];
    // The purgatory jumps only into bytes that it has hashed. Otherwise it would reject its block
    // after the panic.
    if payload.len() as u64 <= ENTRY_OFFSET {
        let (len, end) = (end as usize, start + ENTRY_OFFSET + 1);
        return Err(Defect::Truncated { len, part: "the 64-bit entry point", end });
    }
    if layout.init_size < payload.len() as u64 {
        return Err(Defect::InitSize {
            init_size: layout.init_size,
            payload: payload.len() as u64,
        });
    }
    let file_end = end_of_file(bytes, end).min(bytes.len() as u64);
    Ok(CaptureKernel {
        file: &bytes[..file_end as usize],
        setup_header: Cow::Borrowed(layout.setup_header),
        payload: Cow::Borrowed(payload),
        init_size: layout.init_size,
        alignment: layout.alignment.into(),
        pref_address: layout.pref_address,
        cmdline_size: layout.cmdline_size,
        version: layout.version,
        xloadflags: layout.xloadflags,
        entry_offset: ENTRY_OFFSET,
    })
}

impl<'a> Layout<'a> {
    /// Reads the header and checks every field that has a rule, except where the file must end.
    fn read(bytes: &'a [u8]) -> Result<Self, Defect> {
        let header = Header(bytes);
        let [setup_sects] = header.field(SETUP_SECTS)?;
        let syssize = u32::from_le_bytes(header.field(SYSSIZE)?);
        header.expect_u16(BOOT_FLAG, BOOT_FLAG_VALUE)?;
        let [header_length] = header.field(HEADER_LENGTH)?;
        let magic = u32::from_le_bytes(header.field(HEADER)?);
        if magic != u32::from_le_bytes(HDRS) {
            let expected = u32::from_le_bytes(HDRS).into();
            return Err(Defect::Damaged {
                field: HEADER.0,
                offset: HEADER.1,
                expected,
                found: magic.into(),
            });
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

        // The byte is the operand of a jump, but here it is a length, so it has no sign.
        // kexec-tools reads it as signed, which cuts long headers.
        let header_end = SETUP_HEADER_END_BASE + usize::from(header_length);
        if !(LEAST_HEADER_END..=SETUP_HEADER_MAX_END).contains(&header_end) {
            return Err(Defect::HeaderLength {
                end: header_end,
                least: LEAST_HEADER_END,
                most: SETUP_HEADER_MAX_END,
            });
        }
        let setup_header = header.part("the setup header", SETUP_HEADER_AT, header_end)?;

        let setup_sects = if setup_sects == 0 { DEFAULT_SETUP_SECTS } else { setup_sects };
        let payload_at = ((usize::from(setup_sects) + 1) * SECTOR_LEN) as u64;
        let payload = payload_at..payload_at + u64::from(syssize) * PARAGRAPH_LEN;
        Ok(Self {
            setup_header,
            payload,
            init_size,
            alignment: kernel_alignment,
            pref_address,
            cmdline_size,
            version,
            xloadflags,
        })
    }
}

/// The file's bytes, which may end anywhere.
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
mod tests;
