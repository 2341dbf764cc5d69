//! Seconds since 1970 as a date and a time of day, in UTC.

const SECONDS_A_DAY: u64 = 86_400;

/// For people: `2026-11-28 23:09:50 UTC`.
pub fn for_people(seconds: u64) -> String {
    let (year, month, day) = date(seconds / SECONDS_A_DAY);
    let (hour, minute, second) = time(seconds);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// For names of files, which sort by time: `2026-11-28T23-09-50Z`.
pub fn for_names(seconds: u64) -> String {
    let (year, month, day) = date(seconds / SECONDS_A_DAY);
    let (hour, minute, second) = time(seconds);
    format!("{year}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}Z")
}

/// Whether [`for_names`] makes such a name, with a number after it if there were several.
pub fn is_name(name: &str) -> bool {
    let fits = |pattern: &str, text: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, expected)| match expected {
                b'0' => byte.is_ascii_digit(),
                _ => byte == expected,
            })
    };
    let (time, number) = name.split_at_checked(20).unwrap_or((name, ""));
    fits("0000-00-00T00-00-00Z", time) && (number.is_empty() || fits("-0", number))
}

fn time(seconds: u64) -> (u64, u64, u64) {
    let second = seconds % SECONDS_A_DAY;
    (second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day of a day since 1970, in the Gregorian calendar.
fn date(day: u64) -> (u64, u64, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // 400 years have 146 097 days, so the loops are short.
    let (mut year, mut left) = (1970 + day / 146_097 * 400, day % 146_097);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_796_000_000, "2026-11-30 00:53:20 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(for_people(seconds), expected);
        }
        assert_eq!(for_names(1_796_000_000), "2026-11-30T00-53-20Z");
        for_people(u64::MAX);
    }

    #[test]
    fn names_are_told_from_others() {
        for name in [&for_names(0), "2026-11-30T00-53-20Z", "2026-11-30T00-53-20Z-2"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "2026-11-30", "2026-11-30T00-53-20Z-", "2026-11-30T00-53-20Zä", "latest"]
        {
            assert!(!is_name(name), "{name}");
        }
    }
}
