//! The CPUs.
//!
//! * A list like `0-3,8` is accepted if and only if it is well-formed. The count is the number of
//!   CPUs that it names.
//! * /proc/cpuinfo grants a capability only if every CPU has it.

use loader::machine::{PHYSICAL_BITS, fuzzing};

use crate::{Answer, Seed};

/// Checks one text, as either file.
pub fn check(data: &[u8]) -> Answer {
    let found = fuzzing::possible_cpus(data).ok();
    assert_eq!(found.map(u128::from), count(data), "CPUs");
    let granted = check_cpuinfo(data);
    if found.is_some() || granted { Answer::Taken } else { Answer::Refused }
}

/// The number of CPUs that a list names; `None` if it is malformed or the number exceeds 32 bits.
fn count(data: &[u8]) -> Option<u128> {
    let list = data.strip_suffix(b"\n").unwrap_or(data);
    let mut count = 0;
    for part in list.split(|&byte| byte == b',') {
        let mut ends = part.splitn(2, |&byte| byte == b'-').map(decimal);
        let first = ends.next()??;
        let last = ends.next().unwrap_or(Some(first))?;
        if last < first {
            return None;
        }
        count += last - first + 1;
    }
    (count < 1 << 32).then_some(count)
}

/// A decimal number of 32 bits, without a sign.
fn decimal(digits: &[u8]) -> Option<u128> {
    let add = |value: u128, &digit: &u8| {
        let value = value * 10 + u128::from((digit as char).to_digit(10)?);
        (value < 1 << 32).then_some(value)
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// Whether the text was accepted.
fn check_cpuinfo(data: &[u8]) -> bool {
    let Ok(cpu) = fuzzing::cpuinfo(data) else { return false };
    let text = str::from_utf8(data).expect("only text is accepted");
    let mut flags = 0;
    let mut narrowest = u128::MAX;
    for line in text.split('\n') {
        let Some(colon) = line.find(':') else { continue };
        let (key, value) = (line[..colon].trim_end(), line[colon + 1..].trim());
        if key == "flags" {
            flags += 1;
            let has = |flag: &str| value.split([' ', '\t', '\r', '\x0c']).any(|word| word == flag);
            assert!(
                !cpu.sha_ni || (has("sha_ni") && has("ssse3") && has("sse4_1")),
                "SHA-NI that a CPU lacks: {line}"
            );
            assert!(!cpu.gbpages || has("pdpe1gb"), "1 GiB pages that a CPU lacks: {line}");
            assert!(!cpu.la57 || has("la57"), "five levels that a CPU lacks: {line}");
            assert!(
                cpu.confidential.is_none_or(|guest| has(guest.kind)),
                "a guest of another kind: {line}"
            );
        }
        if key == "address sizes" {
            let bits =
                value.split_once(" bits physical").and_then(|(bits, _)| decimal(bits.as_bytes()));
            narrowest = narrowest.min(bits.expect("a width is a number"));
        }
    }
    assert!(flags > 0, "no CPU has flags");
    assert_eq!(u128::from(cpu.physical_bits), narrowest, "the narrowest CPU decides");
    assert!(PHYSICAL_BITS.contains(&cpu.physical_bits));
    true
}

const CPUINFO: &str = "\
processor\t: 0
flags\t\t: fpu ssse3 sse4_1 pdpe1gb la57 sha_ni hypervisor sev_es
address sizes\t: 40 bits physical, 48 bits virtual

processor\t: 2
flags\t\t: fpu ssse3 sse4_1 sha_ni hypervisor sev_es
address sizes\t: 39 bits physical, 48 bits virtual
";

/// Lists as Linux writes them, two CPUs, and similar texts.
pub fn seeds() -> Vec<Seed> {
    vec![
        Seed::taken("one", "0\n"),
        Seed::taken("holes", "0-3,8,10-11\n"),
        Seed::taken("two-cpus", CPUINFO),
        Seed::refused("backwards", "3-0\n"),
        Seed::refused("too-many", "0-4294967295\n"),
        Seed::refused("no-width", "flags : fpu\n"),
    ]
}
