//! The capture kernel's file. It is accepted if and only if it obeys every rule of boot.rst that
//! the loader names, with exactly the facts in the file. Every reason for a rejection is true.

use loader::kernel::{self, Defect, bzimage};
use loader::request::{InputFile, Request};

use crate::bytes::word;
use crate::machine::{MACHINE, accepted, request};
use crate::{Answer, Seed, purgatory_elf};

/// Offsets of the fields in the file and their lengths (Documentation/arch/x86/boot.rst, "The
/// Real-Mode Kernel Header").
mod field {
    pub const SETUP_SECTS: (u128, u128) = (0x1f1, 1);
    pub const SYSSIZE: (u128, u128) = (0x1f4, 4);
    pub const BOOT_FLAG: (u128, u128) = (0x1fe, 2);
    pub const JUMP_OPERAND: (u128, u128) = (0x201, 1);
    pub const HEADER: (u128, u128) = (0x202, 4);
    pub const VERSION: (u128, u128) = (0x206, 2);
    pub const LOADFLAGS: (u128, u128) = (0x211, 1);
    pub const KERNEL_ALIGNMENT: (u128, u128) = (0x230, 4);
    pub const RELOCATABLE_KERNEL: (u128, u128) = (0x234, 1);
    pub const XLOADFLAGS: (u128, u128) = (0x236, 2);
    pub const CMDLINE_SIZE: (u128, u128) = (0x238, 4);
    pub const PREF_ADDRESS: (u128, u128) = (0x258, 8);
    pub const INIT_SIZE: (u128, u128) = (0x260, 4);
}

/// The end of the last field that the loader reads, and of the room for the header in `struct
/// boot_params`.
const HEADER_END: std::ops::RangeInclusive<u128> = 0x264..=0x290;

/// Checks one file.
pub fn check(data: &[u8]) -> Answer {
    if kernel::format_of(data).is_some_and(|name| name != bzimage::FORMAT.name) {
        return Answer::Refused; // [`crate::kernel_file`] checks other formats
    }
    let file = InputFile { path: "vmlinuz".into(), bytes: data.to_vec() };
    match kernel::parse(&file) {
        Ok(kernel) => {
            let facts = Facts::read(data).expect("no kernel is shorter than its header");
            assert_eq!(facts.broken(data), [""; 0], "a rule is broken");
            assert_eq!(*kernel.setup_header, data[0x1f1..facts.header_end as usize]);
            assert_eq!(
                *kernel.payload,
                data[facts.payload_at as usize..facts.payload_end as usize]
            );
            assert!(
                data.starts_with(kernel.file) && kernel.file.len() as u128 >= facts.payload_end
            );
            assert_eq!(u128::from(kernel.init_size), facts.init_size);
            assert_eq!(u128::from(kernel.alignment), facts.alignment);
            assert_eq!(Some(u128::from(kernel.pref_address)), read(data, field::PREF_ADDRESS));
            assert_eq!(Some(u128::from(kernel.cmdline_size)), read(data, field::CMDLINE_SIZE));
            assert_eq!(u128::from(kernel.version), facts.version);
            assert_eq!(u128::from(kernel.xloadflags), facts.xloadflags);
            assert_eq!(kernel.entry_offset, 0x200);
            let wanted = kernel::measure(data).wanted.expect("a bzImage says where it ends");
            let cut = InputFile {
                path: "vmlinuz".into(),
                bytes: data[..data.len().min(wanted as usize)].to_vec(),
            };
            assert!(
                kernel == kernel::parse(&cut).expect("accepted"),
                "the wanted part means something else"
            );
            can_be_entered(file);
            Answer::Taken
        }
        Err(error) => {
            justify(&error.defect, data);
            let sound = Facts::read(data).is_some_and(|facts| facts.broken(data).is_empty());
            assert!(!sound, "rejected although no rule is broken: {}", error.defect);
            Answer::Refused
        }
    }
}

/// If the image fits the crash region, the purgatory accepts it.
fn can_be_entered(kernel: InputFile) {
    let purgatory = InputFile { path: "purgatory.elf".into(), bytes: purgatory_elf::elf(0, false) };
    let program = loader::purgatory::parse(&purgatory).expect("a purgatory");
    let request = Request { kernel, ..request(purgatory) };
    if let Ok(image) = loader::build(&request, &MACHINE) {
        accepted(&image, &program);
    }
}

fn read(data: &[u8], (at, len): (u128, u128)) -> Option<u128> {
    word(data, at, len)
}

struct Facts {
    payload_at: u128,
    payload_end: u128,
    boot_flag: u128,
    header_end: u128,
    magic: u128,
    version: u128,
    loadflags: u128,
    alignment: u128,
    relocatable: u128,
    xloadflags: u128,
    init_size: u128,
}

impl Facts {
    /// `None` if the file ends before the last fact.
    fn read(data: &[u8]) -> Option<Self> {
        // 0 means 4, and the boot sector does not count (boot.rst, "setup_sects").
        let setup_sects = match read(data, field::SETUP_SECTS)? {
            0 => 4,
            sectors => sectors,
        };
        let payload_at = (setup_sects + 1) * 512;
        Some(Self {
            payload_at,
            payload_end: payload_at + read(data, field::SYSSIZE)? * 16,
            boot_flag: read(data, field::BOOT_FLAG)?,
            header_end: 0x202 + read(data, field::JUMP_OPERAND)?,
            magic: read(data, field::HEADER)?,
            version: read(data, field::VERSION)?,
            loadflags: read(data, field::LOADFLAGS)?,
            alignment: read(data, field::KERNEL_ALIGNMENT)?,
            relocatable: read(data, field::RELOCATABLE_KERNEL)?,
            xloadflags: read(data, field::XLOADFLAGS)?,
            init_size: read(data, field::INIT_SIZE)?,
        })
    }

    /// The rules that the file breaks.
    fn broken(&self, data: &[u8]) -> Vec<&'static str> {
        let len = data.len() as u128;
        let rules = [
            ("boot_flag", self.boot_flag == 0xaa55),
            ("header", self.magic == 0x5372_6448),
            ("version", self.version >= 0x20c),
            ("loadflags", self.loadflags % 2 == 1),
            ("kernel_alignment", (0..32).any(|bit| self.alignment == 1 << bit)),
            ("relocatable_kernel", self.relocatable > 0),
            ("xloadflags", self.xloadflags % 4 == 3),
            ("jump", HEADER_END.contains(&self.header_end)),
            ("end of the header", self.header_end <= len),
            ("setup_sects", self.payload_at < len),
            ("syssize", self.payload_at < self.payload_end && self.payload_end <= len),
            ("64-bit entry point", self.payload_at + 0x200 < self.payload_end),
            ("init_size", self.payload_at + self.init_size >= self.payload_end),
        ];
        rules.into_iter().filter(|(_, kept)| !kept).map(|(rule, _)| rule).collect()
    }
}

/// Panics unless the error's reason is true.
fn justify(defect: &Defect, data: &[u8]) {
    let value = |field| read(data, field);
    let justified = match *defect {
        Defect::Empty => data.is_empty(),
        Defect::Truncated { len, part, end } => {
            let no_payload = part == "the payload" && value(field::SYSSIZE) == Some(0);
            // A payload without the entry point ends before the file, or with it.
            let is_end = len == data.len() || part == "the 64-bit entry point" && len < data.len();
            is_end && (end > len as u64 || no_payload)
        }
        Defect::UnknownFormat { .. } => {
            !data.is_empty() && value(field::HEADER) != Some(0x5372_6448)
        }
        Defect::Damaged { field: name, offset, expected, found } => {
            let (at, len) = if name == "boot_flag" { field::BOOT_FLAG } else { field::HEADER };
            offset as u128 == at && value((at, len)) == Some(found.into()) && found != expected
        }
        Defect::OldProtocol { found, needed } => {
            value(field::VERSION) == Some(found.into()) && found < needed && needed == 0x20c
        }
        Defect::LoadedLow { loadflags } => {
            value(field::LOADFLAGS) == Some(loadflags.into()) && loadflags % 2 == 0
        }
        Defect::Only32Bit { xloadflags } => {
            value(field::XLOADFLAGS) == Some(xloadflags.into()) && xloadflags % 2 == 0
        }
        Defect::NotRelocatable { lacks: "relocatable_kernel" } => {
            value(field::RELOCATABLE_KERNEL) == Some(0)
        }
        Defect::NotRelocatable { .. } => {
            value(field::XLOADFLAGS).is_some_and(|flags| flags & 2 == 0)
        }
        Defect::Alignment { found } => {
            value(field::KERNEL_ALIGNMENT) == Some(found.into())
                && (0..32).all(|bit| u64::from(found) != 1 << bit)
        }
        Defect::HeaderLength { end, least, most } => {
            value(field::JUMP_OPERAND).is_some_and(|operand| operand + 0x202 == end as u128)
                && (least as u128, most as u128) == (*HEADER_END.start(), *HEADER_END.end())
                && !HEADER_END.contains(&(end as u128))
        }
        Defect::Inside { .. }
        | Defect::Segments { .. }
        | Defect::WithoutCode { .. }
        | Defect::NotForKernel => false,
        Defect::InitSize { init_size, payload } => {
            value(field::INIT_SIZE) == Some(init_size.into()) && init_size < payload
        }
    };
    assert!(justified, "rejected for a false reason: {defect}");
}

/// A bzImage of protocol 2.15 with `payload` after one sector of setup code, and Debian's values in
/// the fields that the loader reads.
pub fn image(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    let fields: [((u128, u128), u64); 13] = [
        (field::SETUP_SECTS, 1),
        (field::SYSSIZE, payload.len() as u64 / 16),
        (field::BOOT_FLAG, 0xaa55),
        (field::JUMP_OPERAND, 0x6a),
        (field::HEADER, u32::from_le_bytes(*b"HdrS").into()),
        (field::VERSION, 0x20f),
        (field::LOADFLAGS, 1),
        (field::KERNEL_ALIGNMENT, 2 << 20),
        (field::RELOCATABLE_KERNEL, 1),
        (field::XLOADFLAGS, 0x7f),
        (field::CMDLINE_SIZE, 2047),
        (field::PREF_ADDRESS, 16 << 20),
        (field::INIT_SIZE, 1 << 20),
    ];
    for ((at, len), value) in fields {
        bytes[at as usize..][..len as usize].copy_from_slice(&value.to_le_bytes()[..len as usize]);
    }
    bytes.extend(payload);
    bytes
}

/// A kernel, one with a signature after it, and files that are mistaken for kernels.
pub fn seeds() -> Vec<Seed> {
    const PAYLOAD: [u8; 0x210] = [0xcc; 0x210];
    let mut pe = vec![0; 0x210];
    pe[..2].copy_from_slice(b"MZ");
    pe[0x3c] = 0x80;
    pe[0x80..0x84].copy_from_slice(b"PE\0\0");
    vec![
        Seed::taken("kernel", image(&PAYLOAD)),
        Seed::taken("signed-kernel", [image(&PAYLOAD), vec![0x30; 40]].concat()),
        Seed::taken("padded-kernel", [image(&PAYLOAD), vec![0; 0x1000]].concat()),
        Seed::refused("cut-payload", &image(&PAYLOAD)[..0x608]),
        Seed::refused("without-entry-point", image(&PAYLOAD[..0x200])),
        Seed::refused("efi-program", pe),
        Seed::refused("elf", b"\x7fELF\x02\x01\x01"),
        Seed::refused("zstd", b"\x28\xb5\x2f\xfd"),
    ]
}
