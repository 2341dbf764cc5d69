//! `[0]` The values of the options that go with `--capture`.

use capture_init::DumpLevel;

use super::unsigned;

/// The levels of the built-in filter, with makedumpfile's numbers, which are sums of these:
/// pages of zeroes (1), the page cache (2, 4), pages of programs (8), free pages (16).
const BUILT_IN: [(u8, DumpLevel); 3] =
    [(17, DumpLevel::NoFreeOrZeroes), (1, DumpLevel::NoZeroes), (0, DumpLevel::All)];
/// makedumpfile's highest level, and its default here: all that it can leave out.
const HIGHEST: u8 = 31;
/// The default of the built-in filter.
const DEFAULT: u8 = 17;
/// Longest time in seconds: a day.
const MOST_SECONDS: u32 = 24 * 60 * 60;
/// Units of sizes, as powers of 1024.
const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

/// Parses a level of the dump. Whether the built-in filter has it is for [`built_in`] to say.
pub fn dump_level(text: &str) -> Result<u8, String> {
    (0..=HIGHEST).find(|level| level.to_string() == text).ok_or_else(|| {
        format!("not 17, 1 or 0, or with makedumpfile any number from 0 to {HIGHEST}")
    })
}

/// The level of a dump for which none was chosen.
pub fn default_level(by_makedumpfile: bool) -> u8 {
    if by_makedumpfile { HIGHEST } else { DEFAULT }
}

/// The built-in filter's level of this number. None if only makedumpfile has it.
pub fn built_in(level: u8) -> Option<DumpLevel> {
    BUILT_IN.into_iter().find(|&(number, _)| number == level).map(|(_, level)| level)
}

/// The built-in filter's level that leaves out most of what `level` leaves out, and nothing else.
pub fn nearest_built_in(level: u8) -> DumpLevel {
    let within = |&(number, _): &(u8, DumpLevel)| number & !level == 0;
    BUILT_IN.into_iter().find(within).map_or(DumpLevel::All, |(_, level)| level)
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
    fn levels_are_makedumpfiles_and_the_built_in_filter_has_three() {
        for (text, level) in [("17", 17), ("1", 1), ("0", 0), ("31", 31)] {
            assert_eq!(dump_level(text), Ok(level));
        }
        for wrong in ["32", "", "-1", "017", "+1"] {
            assert!(dump_level(wrong).unwrap_err().contains("17, 1 or 0"), "{wrong}");
        }
        let built_in: Vec<u8> = (0..=HIGHEST).filter(|&it| built_in(it).is_some()).collect();
        assert_eq!(built_in, [0, 1, 17]);
        assert!([false, true].map(default_level) == [17, 31]);
    }

    #[test]
    fn built_in_filter_leaves_out_nothing_that_makedumpfile_would_keep() {
        for (level, expected) in [
            (31, DumpLevel::NoFreeOrZeroes),
            (17, DumpLevel::NoFreeOrZeroes),
            (16, DumpLevel::All),
            (15, DumpLevel::NoZeroes),
            (30, DumpLevel::All),
        ] {
            assert_eq!(nearest_built_in(level), expected, "{level}");
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
