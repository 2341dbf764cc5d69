//! `[0]` The values of the options that go with `--capture`.

use capture_init::DumpLevel;

use super::{Listed, unsigned};

/// What is left out of a dump, with makedumpfile's numbers.
pub const DUMP_LEVEL: [Listed; 3] =
    [("17", "Free pages and pages of zeroes"), ("1", "Pages of zeroes"), ("0", "Nothing")];
/// Longest time in seconds: a day.
const MOST_SECONDS: u32 = 24 * 60 * 60;
/// Units of sizes, as powers of 1024.
const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

/// Parses a level of the dump.
pub fn dump_level(text: &str) -> Result<DumpLevel, String> {
    match text {
        "17" => Ok(DumpLevel::NoFreeOrZeroes),
        "1" => Ok(DumpLevel::NoZeroes),
        "0" => Ok(DumpLevel::All),
        _ => {
            Err("not 17, 1 or 0; with makedumpfile's other levels, use the distribution's initrd \
                  (--initrd)"
                .into())
        }
    }
}

/// The number that [`dump_level`] parses.
pub fn dump_level_number(level: DumpLevel) -> i64 {
    match level {
        DumpLevel::NoFreeOrZeroes => 17,
        DumpLevel::NoZeroes => 1,
        DumpLevel::All => 0,
    }
}

/// Parses the time that saving the dump may take.
pub fn capture_timeout(text: &str) -> Result<u32, String> {
    unsigned(text)
        .filter(|seconds| (1..=MOST_SECONDS).contains(seconds))
        .ok_or_else(|| format!("not a number of seconds from 1 to {MOST_SECONDS}"))
}

/// Parses how many dumps stay.
pub fn keep_dumps(text: &str) -> Result<u32, String> {
    unsigned(text).filter(|&count| count > 0).ok_or_else(|| "not a number from 1".into())
}

/// Parses how many bytes of dumps stay; the suffixes K, M, G and T are powers of 1024.
pub fn keep_bytes(text: &str) -> Result<u64, String> {
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with([*unit, unit.to_ascii_lowercase()]));
    let (digits, shift) = unit.map_or((text, 0), |(_, shift)| (&text[..text.len() - 1], *shift));
    unsigned(digits)
        .map(u64::from)
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| "not a size such as 500M or 20G".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_level_is_parsed_and_printed() {
        for (text, _) in DUMP_LEVEL {
            let level = dump_level(text).unwrap();
            assert_eq!(dump_level_number(level).to_string(), text);
        }
        for wrong in ["31", "", "-1", "16", "017"] {
            assert!(dump_level(wrong).unwrap_err().contains("17, 1 or 0"), "{wrong}");
        }
    }

    #[test]
    fn limits_of_time_and_of_earlier_dumps_are_checked() {
        assert_eq!(capture_timeout("86400"), Ok(86_400));
        for wrong in ["0", "86401", "+5", "1m"] {
            assert!(capture_timeout(wrong).is_err(), "{wrong}");
        }
        assert_eq!(keep_dumps("1"), Ok(1));
        assert!(keep_dumps("0").is_err() && keep_dumps("all").is_err());
        assert_eq!(keep_bytes("20G"), Ok(20 << 30));
        assert_eq!(keep_bytes("500m"), Ok(500 << 20));
        assert_eq!(keep_bytes("4096"), Ok(4096));
        for wrong in ["0", "", "G", "1.5G", "5GB", "99999999T"] {
            assert!(keep_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
