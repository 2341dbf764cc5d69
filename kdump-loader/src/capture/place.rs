//! `[1]` The text of `--capture`, before the machine is examined.
//!
//! *On entry* text from the user. *On exit* which kind of place it names, or what is valid.

use std::fmt;
use std::path::PathBuf;

use capture_init::DiskId;

/// Prefix of a partition's unique identifier, as in fstab(5).
const PART_UUID: &str = "PARTUUID=";
/// Prefix of a disk's serial number.
const SERIAL: &str = "serial:";
/// Links that udev makes to partitions by their unique identifiers.
const BY_PART_UUID: &str = "/dev/disk/by-partuuid/";
const DEVICES: &str = "/dev/";

/// Where the dump must go, as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A partition that holds nothing else, by its unique identifier in lower case.
    PartUuid(String),
    /// A whole disk that holds nothing else, by its serial number.
    Serial(String),
    /// A partition or disk that holds nothing else, by a path that may lead elsewhere after a boot.
    Device(PathBuf),
    /// A directory.
    Directory(PathBuf),
}

impl Place {
    /// Parses the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uuid = text.strip_prefix(PART_UUID).or_else(|| text.strip_prefix(BY_PART_UUID));
        if let Some(uuid) = uuid {
            let uuid = uuid.to_ascii_lowercase();
            return if is_part_uuid(&uuid) {
                Ok(Self::PartUuid(uuid))
            } else {
                Err("not the identifier of a partition, such as \
                     0fc63daf-8483-4772-8e79-3d69d8477de4 or 9e2a5c11-03; blkid prints it as \
                     PARTUUID"
                    .into())
            };
        }
        if let Some(serial) = text.strip_prefix(SERIAL) {
            let serial = serial.trim();
            return if serial.is_empty() || serial.chars().any(char::is_control) {
                Err("not a serial number; lsblk -o NAME,SERIAL prints it".into())
            } else {
                Ok(Self::Serial(serial.to_owned()))
            };
        }
        match text {
            _ if text.starts_with(DEVICES) => Ok(Self::Device(text.into())),
            _ if text.starts_with('/') => Ok(Self::Directory(text.into())),
            _ => Err(format!(
                "not a directory such as /var/crash, a device below /dev, {PART_UUID}… or \
                 {SERIAL}…; for a dump over the network, use the distribution's initrd (--initrd)"
            )),
        }
    }

    /// The identifier of a device, if it is one.
    pub fn id(&self) -> Option<DiskId> {
        match self {
            Self::PartUuid(uuid) => Some(DiskId::PartUuid(uuid.clone())),
            Self::Serial(serial) => Some(DiskId::Serial(serial.clone())),
            Self::Device(_) | Self::Directory(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartUuid(uuid) => write!(out, "{PART_UUID}{uuid}"),
            Self::Serial(serial) => write!(out, "{SERIAL}{serial}"),
            Self::Device(path) | Self::Directory(path) => write!(out, "{}", path.display()),
        }
    }
}

/// Whether it is a GUID, or an MSDOS disk's signature and a partition's number, in lower case
/// (`blkid_partition_get_uuid`, libblkid).
fn is_part_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = groups
        .iter()
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_hex && (lengths == [8, 4, 4, 4, 12] || matches!(lengths[..], [8, 2..=3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_place_is_parsed_and_printed() {
        let guid = "0fc63daf-8483-4772-8e79-3d69d8477de4";
        for (text, expected, printed) in [
            (format!("PARTUUID={guid}"), Place::PartUuid(guid.into()), format!("PARTUUID={guid}")),
            (
                format!("/dev/disk/by-partuuid/{}", guid.to_uppercase()),
                Place::PartUuid(guid.into()),
                format!("PARTUUID={guid}"),
            ),
            (
                "PARTUUID=9e2a5c11-03".into(),
                Place::PartUuid("9e2a5c11-03".into()),
                "PARTUUID=9e2a5c11-03".into(),
            ),
            ("serial: WD-1 2 ".into(), Place::Serial("WD-1 2".into()), "serial:WD-1 2".into()),
            ("/dev/vda3".into(), Place::Device("/dev/vda3".into()), "/dev/vda3".into()),
            ("/var/crash".into(), Place::Directory("/var/crash".into()), "/var/crash".into()),
        ] {
            let place = Place::parse(&text).unwrap();
            assert_eq!(place, expected, "{text}");
            assert_eq!(place.to_string(), printed);
            assert_eq!(Place::parse(&printed).unwrap(), expected, "the record keeps this text");
        }
    }

    #[test]
    fn text_that_names_no_place_is_refused_with_what_is_valid() {
        for (text, word) in [
            ("PARTUUID=", "blkid"),
            ("PARTUUID=0fc63daf-8483-4772-8e79", "blkid"),
            ("PARTUUID=9e2a5c11-0g", "blkid"),
            ("serial: ", "lsblk"),
            ("server:/export", "--initrd"),
            ("var/crash", "/var/crash"),
            ("UUID=5e61", "PARTUUID="),
            ("", "/var/crash"),
        ] {
            let message = Place::parse(text).unwrap_err();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
