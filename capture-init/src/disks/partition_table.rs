//! The partition table of a disk: GPT (UEFI specification 2.10, §5.3) or MSDOS.
//!
//! *On entry* an open disk and the length of its blocks. *On exit* the ids of its partitions, as
//! Linux writes them in `PARTUUID=`. A GPT with a wrong checksum is an error: Linux shows no
//! partitions of it either.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The signature at the end of a boot sector.
const BOOT_SIGNATURE: [u8; 2] = [0x55, 0xaa];
const BOOT_SIGNATURE_AT: usize = 510;
/// The disk's signature.
const DISK_SIGNATURE_AT: usize = 440;
/// Four entries of 16 bytes; byte 4 of an entry is the type.
const ENTRIES_AT: usize = 446;
const ENTRY_LEN: usize = 16;
const TYPE_AT: usize = 4;
/// The type that protects a GPT.
const PROTECTIVE: u8 = 0xee;

const GPT_SIGNATURE: [u8; 8] = *b"EFI PART";
/// Bytes of a GPT header, which is at most a block.
const GPT_HEADER_LEN: usize = 92;
/// The header's checksum, which counts as zeroes in the header's checksum.
const CHECKSUM_AT: usize = 16;
/// Linux accepts no other length of an entry (`is_gpt_valid`, block/partitions/efi.c).
const GPT_ENTRY_LEN: usize = 128;
/// Most tables have 128 entries, which is 16 KiB.
const MOST_ENTRIES: u32 = 4096;
/// Where an entry has the partition's own GUID.
const UNIQUE_GUID_AT: usize = 16;

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    /// No table that this code knows.
    None,
    /// GPT: the number and the unique GUID of each partition.
    Gpt(Vec<(u32, String)>),
    /// MSDOS: the disk's signature. A partition's id is the signature and the number.
    Msdos {
        /// The signature; 0 if the disk has none.
        signature: u32,
    },
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The disk did not answer in time.
    #[error("does not answer")]
    Silent,
    /// The GPT is damaged.
    #[error("has a damaged GPT: {what} is {value:#x}, expected {expected:#x}")]
    Damaged {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What it should be.
        expected: u64,
    },
}

impl Table {
    /// Reads the table of a disk whose logical blocks have `block_len` bytes.
    pub fn read(disk: &File, block_len: u64) -> Result<Self, TableError> {
        let mut boot = [0; 512];
        match disk.read_exact_at(&mut boot, 0) {
            Ok(()) => {}
            // A disk without a medium has no bytes.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Self::None),
            Err(error) => return Err(error.into()),
        }
        if boot[BOOT_SIGNATURE_AT..] != BOOT_SIGNATURE {
            return Ok(Self::None);
        }
        let mut types = (0..4).map(|entry| boot[ENTRIES_AT + entry * ENTRY_LEN + TYPE_AT]);
        if types.any(|kind| kind == PROTECTIVE) {
            return gpt(disk, block_len);
        }
        Ok(Self::Msdos { signature: number_32(&boot, DISK_SIGNATURE_AT) })
    }

    /// The id of the partition with this number, counted from 1.
    pub fn part_uuid(&self, number: u32) -> Option<String> {
        match self {
            Self::None | Self::Msdos { signature: 0 } => None,
            Self::Gpt(guids) => {
                guids.iter().find(|(of, _)| *of == number).map(|(_, guid)| guid.clone())
            }
            // As in `msdos_partition` (block/partitions/msdos.c).
            Self::Msdos { signature } => Some(format!("{signature:08x}-{number:02x}")),
        }
    }
}

fn gpt(disk: &File, block_len: u64) -> Result<Table, TableError> {
    let mut header = [0; GPT_HEADER_LEN];
    disk.read_exact_at(&mut header, block_len)?;
    let expect = |what, value: u64, expected: u64| match value == expected {
        true => Ok(()),
        false => Err(TableError::Damaged { what, value, expected }),
    };
    expect("the signature", number_64(&header, 0), u64::from_le_bytes(GPT_SIGNATURE))?;
    let header_len = number_32(&header, 12);
    if (header_len as usize) < GPT_HEADER_LEN || u64::from(header_len) > block_len {
        expect("the header's length", header_len.into(), GPT_HEADER_LEN as u64)?;
    }
    let mut whole = vec![0; header_len as usize];
    disk.read_exact_at(&mut whole, block_len)?;
    whole[CHECKSUM_AT..CHECKSUM_AT + 4].fill(0);
    let checksum = number_32(&header, CHECKSUM_AT);
    expect("the header's checksum", checksum.into(), crc32fast::hash(&whole).into())?;

    let (entries_at, count) = (number_64(&header, 72), number_32(&header, 80));
    expect("the length of an entry", number_32(&header, 84).into(), GPT_ENTRY_LEN as u64)?;
    if count > MOST_ENTRIES {
        expect("the number of entries", count.into(), MOST_ENTRIES.into())?;
    }
    let mut entries = vec![0; count as usize * GPT_ENTRY_LEN];
    disk.read_exact_at(&mut entries, entries_at.saturating_mul(block_len))?;
    let checksum = number_32(&header, 88);
    expect("the entries' checksum", checksum.into(), crc32fast::hash(&entries).into())?;
    let used = (1..).zip(entries.chunks_exact(GPT_ENTRY_LEN)).filter(|(_, entry)| {
        // Unused entries have no type.
        entry[..16].iter().any(|&byte| byte != 0)
    });
    Ok(Table::Gpt(used.map(|(number, entry)| (number, guid(&entry[UNIQUE_GUID_AT..]))).collect()))
}

/// A GUID as text: three little-endian numbers, then eight bytes.
fn guid(bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!(
        "{:08x}-{:04x}-{:04x}-{}-{}",
        number_32(bytes, 0),
        u16::from_le_bytes([bytes[4], bytes[5]]),
        u16::from_le_bytes([bytes[6], bytes[7]]),
        hex(&bytes[8..10]),
        hex(&bytes[10..16])
    )
}

fn number_32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn number_64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

#[cfg(test)]
pub(super) mod example {
    //! Tables as sfdisk(8) writes them.

    use super::*;

    /// The unique GUID of partition 3 of [`gpt`].
    pub const GUID: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
    const GUID_BYTES: [u8; 16] = [
        0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9,
        0x3b,
    ];

    /// A disk with a GPT. Of 128 entries, entry 3 is used.
    pub fn gpt(block_len: usize) -> Vec<u8> {
        let mut disk = vec![0; 2 * block_len + 128 * GPT_ENTRY_LEN];
        disk[BOOT_SIGNATURE_AT..512].copy_from_slice(&BOOT_SIGNATURE);
        disk[ENTRIES_AT + TYPE_AT] = PROTECTIVE;
        let entry = 2 * block_len + 2 * GPT_ENTRY_LEN;
        disk[entry..entry + 16].fill(0xab);
        disk[entry + 16..entry + 32].copy_from_slice(&GUID_BYTES);
        let entries = crc32fast::hash(&disk[2 * block_len..]);
        let header = &mut disk[block_len..block_len + GPT_HEADER_LEN];
        header[..8].copy_from_slice(&GPT_SIGNATURE);
        header[12..16].copy_from_slice(&(GPT_HEADER_LEN as u32).to_le_bytes());
        header[72..80].copy_from_slice(&2u64.to_le_bytes());
        header[80..84].copy_from_slice(&128u32.to_le_bytes());
        header[84..88].copy_from_slice(&(GPT_ENTRY_LEN as u32).to_le_bytes());
        header[88..92].copy_from_slice(&entries.to_le_bytes());
        let checksum = crc32fast::hash(header);
        header[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
        disk
    }

    /// A disk with an MSDOS table.
    pub fn msdos(signature: u32) -> Vec<u8> {
        let mut disk = vec![0; 512];
        disk[BOOT_SIGNATURE_AT..512].copy_from_slice(&BOOT_SIGNATURE);
        disk[DISK_SIGNATURE_AT..DISK_SIGNATURE_AT + 4].copy_from_slice(&signature.to_le_bytes());
        disk[ENTRIES_AT + TYPE_AT] = 0x83;
        disk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], block_len: u64) -> Result<Table, TableError> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        Table::read(&file, block_len)
    }

    #[test]
    fn gpt_has_the_id_of_its_partition_with_either_length_of_blocks() {
        for block_len in [512, 4096] {
            let table = read(&example::gpt(block_len), block_len as u64).unwrap();
            assert_eq!(table.part_uuid(3).as_deref(), Some(example::GUID));
            assert_eq!(table.part_uuid(1), None, "an unused entry");
        }
    }

    #[test]
    fn msdos_partition_has_the_signature_and_its_number_in_hexadecimal() {
        let table = read(&example::msdos(0x1a2b3c), 512).unwrap();
        assert_eq!(table.part_uuid(12).as_deref(), Some("001a2b3c-0c"));
        assert_eq!(read(&example::msdos(0), 512).unwrap().part_uuid(1), None, "no signature");
    }

    #[test]
    fn disk_without_a_table_has_no_ids() {
        assert_eq!(read(&[0; 4096], 512).unwrap(), Table::None);
        assert_eq!(read(&[], 512).unwrap(), Table::None, "no medium");
    }

    proptest! {
        #[test]
        fn flipped_bit_in_a_gpt_is_noticed(bit in 0..(GPT_HEADER_LEN + 128 * GPT_ENTRY_LEN) * 8) {
            let mut disk = example::gpt(512);
            let byte = bit / 8;
            let at = if byte < GPT_HEADER_LEN { 512 + byte } else { 1024 + byte - GPT_HEADER_LEN };
            disk[at] ^= 1 << (bit % 8);
            prop_assert!(read(&disk, 512).is_err());
        }
    }
}
