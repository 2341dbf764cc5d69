//! A bzImage with every field right, and with each one wrong.

mod properties;

use proptest::prelude::*;

use super::*;
use crate::kernel;
use crate::request::InputFile;

const SETUP_SECTORS: usize = 3;
const PAYLOAD_AT: usize = (SETUP_SECTORS + 1) * SECTOR_LEN;
const PAYLOAD_LEN: usize = 0x420;

/// The smallest bzImage, with Debian's values in the fields that the loader reads.
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
    assert_eq!(
        (kernel.init_size, kernel.alignment, kernel.pref_address),
        (0x1000, 0x20_0000, 0x100_0000)
    );
    assert_eq!((kernel.cmdline_size, kernel.version, kernel.xloadflags), (2047, 0x020f, 0x7f));
    assert_eq!(kernel.entry_offset, 0x200);
}

#[test]
fn image_cut_anywhere_is_truncated_and_says_at_which_field() {
    let whole = image();
    assert_eq!(parse_file(vec![]), Err(Defect::Empty));
    for cut in 1..whole.len() {
        match parse_file(whole[..cut].to_vec()) {
            Err(Defect::Truncated { len, end, .. }) => {
                assert!(len == cut && end > cut as u64, "cut at {cut:#x}: {end:#x}")
            }
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
        assert!(
            matches!(defect, Defect::Truncated { part, .. } if part == name),
            "{name}: {defect}"
        );
    }
    let parts = [
        (0x26b, "the setup header"),
        (PAYLOAD_AT - 1, "the setup code"),
        (PAYLOAD_AT, "the payload"),
    ];
    for (cut, name) in parts {
        let defect = parse_file(whole[..cut].to_vec()).unwrap_err();
        assert!(
            matches!(defect, Defect::Truncated { part, .. } if part == name),
            "{name}: {defect}"
        );
    }
}

#[test]
fn each_defect_has_its_own_error() {
    let cases: [(&str, usize, &[u8], Defect); 12] = [
        (
            "boot flag",
            0x1fe,
            &[0, 0],
            Defect::Damaged { field: "boot_flag", offset: 0x1fe, expected: 0xaa55, found: 0 },
        ),
        (
            "protocol 2.11",
            0x206,
            &[0x0b, 0x02],
            Defect::OldProtocol { found: 0x020b, needed: 0x020c },
        ),
        ("zImage", 0x211, &[0], Defect::LoadedLow { loadflags: 0 }),
        ("no alignment", 0x230, &[0, 0, 0, 0], Defect::Alignment { found: 0 }),
        ("odd alignment", 0x230, &[0, 0, 0x30, 0], Defect::Alignment { found: 0x30_0000 }),
        ("fixed", 0x234, &[0], Defect::NotRelocatable { lacks: "relocatable_kernel" }),
        ("32-bit", 0x236, &[0], Defect::Only32Bit { xloadflags: 0 }),
        ("low", 0x236, &[1], Defect::NotRelocatable { lacks: "XLF_CAN_BE_LOADED_ABOVE_4G" }),
        (
            "short header",
            0x201,
            &[0x61],
            Defect::HeaderLength { end: 0x263, least: 0x264, most: 0x290 },
        ),
        (
            "long header",
            0x201,
            &[0x8f],
            Defect::HeaderLength { end: 0x291, least: 0x264, most: 0x290 },
        ),
        ("init_size", 0x260, &[0x1f, 0x04], Defect::InitSize { init_size: 0x41f, payload: 0x420 }),
        (
            "no payload",
            0x1f4,
            &[0, 0],
            Defect::Truncated {
                len: PAYLOAD_AT + PAYLOAD_LEN,
                part: "the payload",
                end: PAYLOAD_AT as u64 + 1,
            },
        ),
    ];
    for (name, at, new, expected) in cases {
        assert_eq!(with(at, new), Err(expected), "{name}");
    }
}

#[test]
fn length_of_the_header_has_no_sign() {
    // 0x8e is also the operand of a jump, where it is negative.
    let mut bytes = image();
    bytes[0x201] = 0x8e;
    let file = InputFile { path: "vmlinuz".into(), bytes };
    assert_eq!(kernel::parse(&file).unwrap().setup_header.len(), 0x290 - 0x1f1);
}

#[test]
fn payload_that_ends_before_its_entry_point_is_refused() {
    const WITHOUT_ENTRY: usize = 0x200;
    let mut bytes = image();
    bytes.truncate(PAYLOAD_AT + WITHOUT_ENTRY);
    bytes[0x1f4..0x1f8].copy_from_slice(&(WITHOUT_ENTRY as u32 / 16).to_le_bytes());
    let end = (PAYLOAD_AT + WITHOUT_ENTRY + 1) as u64;
    let expected = Defect::Truncated { len: bytes.len(), part: "the 64-bit entry point", end };
    assert_eq!(parse_file(bytes.clone()), Err(expected));
    bytes.push(0xcc);
    assert!(parse_file(bytes).is_err(), "a byte after the payload is none of it");
}

/// The kernel in a file with more bytes.
fn kernel_in(bytes: Vec<u8>) -> (Vec<u8>, usize) {
    let file = InputFile { path: "vmlinuz".into(), bytes };
    let kernel = kernel::parse(&file).unwrap();
    (kernel.payload.to_vec(), kernel.file.len())
}

#[test]
fn bytes_after_the_payload_are_not_part_of_the_kernel() {
    let whole = image();
    for padding in [vec![0; 1], vec![0; 7], vec![0; 1 << 20], vec![0xff; 4096], image()] {
        let padded = [whole.as_slice(), &padding].concat();
        let measured = measure(&padded[..PAYLOAD_AT]).unwrap();
        assert_eq!((measured.wanted, measured.memory), (Some(whole.len() as u64), 0x1000));
        assert_eq!(kernel_in(padded), (whole[PAYLOAD_AT..].to_vec(), whole.len()));
    }
}

#[test]
fn signature_for_efi_stays_with_the_file_and_padding_after_it_does_not() {
    const PE_AT: usize = 0x40;
    const SIGNATURE: usize = 1000;
    let mut signed = image();
    signed[0x3c] = PE_AT as u8;
    signed[PE_AT..PE_AT + 4].copy_from_slice(b"PE\0\0");
    signed[PE_AT + 4..PE_AT + 6].copy_from_slice(&0x8664_u16.to_le_bytes());
    signed[PE_AT + 20..PE_AT + 22].copy_from_slice(&240_u16.to_le_bytes());
    let optional = PE_AT + 24;
    signed[optional..optional + 2].copy_from_slice(&0x020b_u16.to_le_bytes()); // PE32+
    signed[optional + 108] = 16; // data directories
    let table = optional + 112 + 4 * 8;
    let at = signed.len();
    signed[table..table + 4].copy_from_slice(&(at as u32).to_le_bytes());
    signed[table + 4..table + 8].copy_from_slice(&(SIGNATURE as u32).to_le_bytes());
    signed.extend([0x30; SIGNATURE]);
    let payload = signed[PAYLOAD_AT..at].to_vec();
    for padding in [0, 1, 4096] {
        let mut padded = signed.clone();
        padded.resize(signed.len() + padding, 0);
        assert_eq!(kernel_in(padded), (payload.clone(), signed.len()), "{padding} bytes after it");
    }
    let cut = signed[..signed.len() - 1].to_vec();
    assert_eq!(
        kernel_in(cut.clone()),
        (payload, cut.len()),
        "whether it verifies is for the kernel to say"
    );
}

#[test]
fn zero_setup_sectors_mean_four() {
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
            prop_assert!(
                kernel.init_size >= kernel.payload.len() as u64 && !kernel.payload.is_empty()
            );
            prop_assert!(SETUP_HEADER_AT + kernel.setup_header.len() <= SETUP_HEADER_MAX_END);
            prop_assert!(kernel.xloadflags & XLF_KERNEL_64 != 0);
        }
    }
}
