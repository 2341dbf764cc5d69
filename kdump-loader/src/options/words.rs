//! `[0]` Parses option values, for the command line and the config alike.
//!
//! *On entry* text from the user. *On exit* a value within the purgatory's limits, or a message
//! that says what is valid.

pub mod saving; // with --capture

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use handoff::block::{HIGHEST_CONSOLE_PORT, MAX_LEAF_SIZE, MAX_RESET_DELAY_MS, MIN_LEAF_SIZE};
use handoff::{EngineId, OnCorrupt};
use loader::cmdline;
use loader::request::{Confidential, Console, EngineChoice, SignalChoice};

use super::BlackBoxChoice;

/// The value that leaves the choice to the loader.
pub const AUTO: &str = "auto";
/// The value that leaves something out.
pub const NONE: &str = "none";
const PVPANIC: &str = "pvpanic";
const IPMI: &str = "ipmi";
const YES: &str = "yes";
/// The value that denies something.
pub const NO: &str = "no";

/// A value of a fixed set, and its line in `--help`.
pub type Listed = (&'static str, &'static str);

/// What the purgatory does if the image is corrupt.
pub const ON_CORRUPT: [Listed; 3] = [
    ("reset", "Report what has changed, wait, and reset the machine"),
    ("halt", "Report what has changed, and halt"),
    ("boot", "Boot the capture kernel, whose command line reports the failure"),
];
/// Whether the machine is a confidential guest.
pub const CONFIDENTIAL: [Listed; 3] = [
    (AUTO, "Detect it from /proc/cpuinfo, /sys, /dev and CPUID"),
    (YES, "It is"),
    (NO, "It is not"),
];
/// Whether the image has a black box.
pub const BLACK_BOX: [Listed; 2] = [(AUTO, "If /var/lib/kdump-loader can be written"), (NO, "No")];
/// Digest engines.
pub const ENGINE: [Listed; 3] = [
    (AUTO, "The fastest engine that all CPUs support"),
    ("soft", "General-purpose instructions only"),
    ("sha-ni", "SHA-NI, several streams at once"),
];

/// clap's parser for a fixed set of values: `--help` and completions list them.
pub fn listed<T: Clone + Send + Sync + 'static>(
    values: &'static [Listed],
    parse: fn(&str) -> Result<T, String>,
) -> impl TypedValueParser<Value = T> {
    let values = values.iter().map(|&(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).try_map(move |name| parse(&name))
}

/// Parses a reset delay in seconds. Returns milliseconds.
pub fn reset_delay(text: &str) -> Result<u32, String> {
    let limit = MAX_RESET_DELAY_MS / 1000;
    let seconds = unsigned(text).filter(|&seconds| seconds <= limit);
    seconds
        .map(|seconds| seconds * 1000)
        .ok_or_else(|| format!("not a number of seconds from 0 to {limit}"))
}

/// Parses a decimal number without a sign, which `parse` would accept.
pub(super) fn unsigned(digits: &str) -> Option<u32> {
    if digits.starts_with('+') { None } else { digits.parse().ok() }
}

/// Parses a console: `auto`, `none`, a UART's name or its first I/O port.
pub fn console(text: &str) -> Result<Console, String> {
    let port = match text {
        AUTO => return Ok(Console::Auto),
        NONE => return Ok(Console::None),
        name => cmdline::legacy_port(name).or_else(|| cmdline::hexadecimal_port(name)),
    };
    port.map(Console::Port).ok_or_else(|| {
        format!(
            "not auto, ttyS0 to ttyS3, an I/O port from 0x1 to {HIGHEST_CONSOLE_PORT:#x} such \
                 as 0x3f8, or none"
        )
    })
}

/// Parses a leaf size in bytes; the suffixes K and M are powers of 1024.
pub fn leaf_size(text: &str) -> Result<u32, String> {
    let (digits, factor) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let size = unsigned(digits).and_then(|number| number.checked_mul(factor));
    size.filter(|size| size.is_power_of_two() && (MIN_LEAF_SIZE..=MAX_LEAF_SIZE).contains(size))
        .ok_or_else(|| {
            format!("not a power of two from {}K to {}M", MIN_LEAF_SIZE >> 10, MAX_LEAF_SIZE >> 20)
        })
}

/// Parses the action for a corrupt image.
pub fn on_corrupt(text: &str) -> Result<OnCorrupt, String> {
    let found = OnCorrupt::ALL.iter().copied().find(|action| action.word() == text);
    found.ok_or_else(|| {
        format!(
            "not {}",
            OnCorrupt::ALL.iter().map(|action| action.word()).collect::<Vec<_>>().join(", ")
        )
    })
}

/// Parses a digest engine: `auto`, or an engine's name.
pub fn engine(text: &str) -> Result<EngineChoice, String> {
    let named =
        EngineId::ALL.iter().copied().find(|engine| engine.word() == text).map(EngineChoice::Only);
    let found = if text == AUTO { Some(EngineChoice::Auto) } else { named };
    let names = || EngineId::ALL.iter().map(|engine| engine.word()).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("not {AUTO}, {}", names()))
}

/// Parses whether the image has a black box: `auto`, `no`.
pub fn black_box(text: &str) -> Result<BlackBoxChoice, String> {
    let choices = [BlackBoxChoice::Auto, BlackBoxChoice::No];
    let found = choices.into_iter().find(|&choice| black_box_word(choice) == text);
    found.ok_or_else(|| format!("not {AUTO}, {NO}"))
}

/// The text that [`black_box`] parses.
pub fn black_box_word(choice: BlackBoxChoice) -> &'static str {
    match choice {
        BlackBoxChoice::Auto => AUTO,
        BlackBoxChoice::No => NO,
    }
}

/// Parses signals: `auto`, `none`, or names of devices with commas between them.
pub fn signal(text: &str) -> Result<SignalChoice, String> {
    let (mut pvpanic, mut ipmi) = (false, false);
    match text {
        AUTO => return Ok(SignalChoice::Auto),
        NONE => return Ok(SignalChoice::None),
        _ => {}
    }
    for name in text.split(',') {
        match name {
            PVPANIC => pvpanic = true,
            IPMI => ipmi = true,
            _ => return Err(format!("not {AUTO}, {PVPANIC}, {IPMI}, {PVPANIC},{IPMI} or {NONE}")),
        }
    }
    Ok(SignalChoice::Only { pvpanic, ipmi })
}

/// The text that [`signal`] parses.
pub fn signal_word(choice: SignalChoice) -> &'static str {
    match choice {
        SignalChoice::Auto => AUTO,
        SignalChoice::Only { pvpanic: true, ipmi: true } => "pvpanic,ipmi",
        SignalChoice::Only { pvpanic: true, .. } => PVPANIC,
        SignalChoice::Only { ipmi: true, .. } => IPMI,
        SignalChoice::None | SignalChoice::Only { .. } => NONE,
    }
}

/// Parses whether this is a confidential guest: `auto`, `yes`, `no`.
pub fn confidential(text: &str) -> Result<Confidential, String> {
    let choices = [Confidential::Auto, Confidential::Yes, Confidential::No];
    let found = choices.into_iter().find(|&choice| confidential_word(choice) == text);
    found.ok_or_else(|| format!("not {AUTO}, {YES}, {NO}"))
}

/// The text that [`confidential`] parses.
pub fn confidential_word(confidential: Confidential) -> &'static str {
    match confidential {
        Confidential::Auto => AUTO,
        Confidential::Yes => YES,
        Confidential::No => NO,
    }
}

/// The text that [`console`] parses.
pub fn console_word(console: Console) -> String {
    match console {
        Console::Auto => AUTO.to_owned(),
        Console::None => NONE.to_owned(),
        Console::Port(port) => format!("{port:#x}"),
    }
}

/// The text that [`engine`] parses.
pub fn engine_word(engine: EngineChoice) -> &'static str {
    match engine {
        EngineChoice::Auto => AUTO,
        EngineChoice::Only(engine) => engine.word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_within_limits() {
        assert_eq!(leaf_size("64K"), Ok(64 << 10));
        assert_eq!(leaf_size("1M"), Ok(1 << 20));
        assert_eq!(leaf_size("4096"), Ok(4096));
        for wrong in ["", "K", "0", "3K", "2K", "128M", "4096M", "-4K", "+4K", "64KB"] {
            assert!(leaf_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn consoles_are_names_or_ports() {
        assert_eq!(console("auto"), Ok(Console::Auto));
        assert_eq!(console("none"), Ok(Console::None));
        assert_eq!(console("ttyS0"), Ok(Console::Port(0x3f8)));
        assert_eq!(console("ttyS3"), Ok(Console::Port(0x2e8)));
        assert_eq!(console("0x3e8"), Ok(Console::Port(0x3e8)));
        for wrong in [
            "",
            "ttyS4",
            "tty0",
            "0x",
            "0x0",
            "0xfffd",
            "0x10000",
            "3f8",
            "0x+3f8",
            "ttyS0,115200",
            "uart,io,0x3f8",
        ] {
            assert!(console(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn delays_are_whole_seconds_up_to_an_hour() {
        assert_eq!(reset_delay("0"), Ok(0));
        assert_eq!(reset_delay("3600"), Ok(3_600_000));
        for wrong in ["3601", "-1", "+5", "1.5", "soon"] {
            assert!(reset_delay(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn signals_are_devices_with_commas_between_them() {
        for choice in [
            SignalChoice::Auto,
            SignalChoice::None,
            SignalChoice::Only { pvpanic: true, ipmi: false },
            SignalChoice::Only { pvpanic: false, ipmi: true },
            SignalChoice::Only { pvpanic: true, ipmi: true },
        ] {
            assert_eq!(signal(signal_word(choice)), Ok(choice));
        }
        assert_eq!(signal("ipmi,pvpanic"), signal("pvpanic,ipmi"));
        for wrong in ["", "pvpanic,", ",ipmi", "pvpanic, ipmi", "auto,ipmi", "none,ipmi", "IPMI"] {
            assert!(signal(wrong).unwrap_err().contains("pvpanic,ipmi or none"), "{wrong}");
        }
    }

    #[test]
    fn text_of_a_value_parses_to_the_value() {
        for choice in [
            EngineChoice::Auto,
            EngineChoice::Only(EngineId::Soft),
            EngineChoice::Only(EngineId::ShaNi),
        ] {
            assert_eq!(engine(engine_word(choice)), Ok(choice));
        }
        for console in [Console::Auto, Console::None, Console::Port(0x3f8)] {
            assert_eq!(super::console(&console_word(console)), Ok(console));
        }
        for choice in [BlackBoxChoice::Auto, BlackBoxChoice::No] {
            assert_eq!(black_box(black_box_word(choice)), Ok(choice));
        }
        assert!(BLACK_BOX.iter().all(|(name, _)| black_box(name).is_ok()));
        assert!(black_box("yes").unwrap_err().contains("auto, no"));
        for choice in [Confidential::Auto, Confidential::Yes, Confidential::No] {
            assert_eq!(confidential(confidential_word(choice)), Ok(choice));
        }
        assert!(confidential("sev").unwrap_err().contains("auto, yes, no"));
        assert_eq!(on_corrupt("halt"), Ok(OnCorrupt::Halt));
        assert!(on_corrupt("stop").unwrap_err().contains("reset, halt, boot"));
        // What --help lists is what is parsed.
        assert!(
            ON_CORRUPT.iter().all(|(name, _)| on_corrupt(name).is_ok())
                && ON_CORRUPT.len() == OnCorrupt::ALL.len()
        );
        assert!(
            ENGINE.iter().all(|(name, _)| engine(name).is_ok())
                && ENGINE.len() == 1 + EngineId::ALL.len()
        );
        assert!(CONFIDENTIAL.iter().all(|(name, _)| confidential(name).is_ok()));
        assert!(engine("fast").unwrap_err().contains("auto, soft, sha-ni"));
    }
}
