//! Any text as a config: whatever `parse` says of it must hold.
//!
//! * An accepted config has a kernel, and values that the purgatory accepts.
//! * Written again, one key per line, it means the same.
//! * Every claim of an error holds: the file has the line, and an unknown key is not in the list.

use loader::request::Console;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Config, Defect, FilePolicy, KEYS};

/// In place of `uname -r`; no text has it by chance.
const RELEASE: &str = "6.12.0-any";
/// Values of some key, and of none.
const VALUES: [&str; 24] = [
    "true",
    "false",
    "'/k'",
    "'/boot/vmlinuz-{release}'",
    "'vmlinuz'",
    "'/dev/vda3'",
    "\"nr_cpus=1 a=\\\"b\\\"\"",
    "'''\nquiet'''",
    "'halt'",
    "'reset'",
    "5",
    "0x10",
    "3601",
    "-1",
    "'ttyS0'",
    "'0xfff9'",
    "'soft'",
    "'64K'",
    "'3K'",
    "'auto'",
    "'never'",
    "'always'",
    "[1, 2]",
    "{ a = 1 }",
];

/// Checks what `parse` says of a text; returns whether it is a config.
fn check(text: &str) -> bool {
    match Config::parse(text, RELEASE) {
        Ok(config) => {
            check_values(&config);
            let again = written(&config);
            assert_eq!(Config::parse(&again, RELEASE).as_ref(), Ok(&config), "{again}");
            true
        }
        Err(defect) => {
            check_defect(text, &defect);
            false
        }
    }
}

fn check_values(config: &Config) {
    let options = &config.options;
    for path in [Some(&options.kernel), options.initrd.as_ref(), options.purgatory.as_ref()]
        .into_iter()
        .flatten()
    {
        assert!(path.is_absolute(), "{path:?}");
    }
    for path in [Some(&options.kernel), options.initrd.as_ref()].into_iter().flatten() {
        assert!(!path.to_string_lossy().contains("{release}"), "{path:?}");
    }
    assert!(options.reset_delay.is_none_or(|delay| delay <= 3_600_000 && delay % 1000 == 0));
    assert!(
        options
            .leaf_size
            .is_none_or(|size| size.is_power_of_two() && (4 << 10..=64 << 20).contains(&size))
    );
    assert!(!matches!(options.console, Console::Port(0 | 0xfff9..)));
}

/// Every key that differs from its default, and `file`.
fn written(config: &Config) -> String {
    let options = serde_json::to_value(&config.options).unwrap();
    let file = match config.file {
        FilePolicy::Auto => "auto",
        FilePolicy::Never => "never",
        FilePolicy::Always => "always",
    };
    let lines = options.as_object().unwrap().iter().map(|(key, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), quoted);
        format!("{key} = {value}\n")
    });
    lines.chain([format!("file = {}\n", quoted(file))]).collect()
}

/// A basic string of TOML in which every character is an escape.
fn quoted(text: &str) -> String {
    let escaped: String =
        text.chars().map(|character| format!("\\U{:08x}", u32::from(character))).collect();
    format!("\"{escaped}\"")
}

fn check_defect(text: &str, defect: &Defect) {
    let lines = 1 + text.bytes().filter(|&byte| byte == b'\n').count();
    match defect {
        Defect::Syntax { line, message } => {
            assert!((1..=lines).contains(line) && !message.is_empty(), "{defect}")
        }
        Defect::UnknownKey { line, key } => {
            assert!((1..=lines).contains(line) && !KEYS.contains(&key.as_str()), "{defect}")
        }
        Defect::Value { line, key, message } => {
            assert!(
                (1..=lines).contains(line) && KEYS.contains(&key.as_str()) && !message.is_empty(),
                "{defect}"
            );
        }
        Defect::NotForFile { line, key } => {
            assert!(
                (1..=lines).contains(line)
                    && text.contains("always")
                    && KEYS.contains(&key.as_str()),
                "{defect}"
            );
        }
        Defect::TwoInitrds { line } => {
            let both = ["capture", "initrd"].iter().all(|key| text.contains(key));
            assert!((1..=lines).contains(line) && both, "{defect}");
        }
        Defect::OnlyCapture { line, key } => {
            assert!((1..=lines).contains(line) && KEYS.contains(&key.as_str()), "{defect}");
        }
        Defect::OnlyMakedumpfile { line, .. } => {
            assert!((1..=lines).contains(line) && text.contains("dump_level"), "{defect}");
        }
        Defect::NoKernel => {}
    }
}

fn text() -> impl Strategy<Value = String> {
    let key = || select(&KEYS[..]);
    let line = prop_oneof![
        8 => (key(), select(&VALUES[..])).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => ("[a-z_.]{1,9}", select(&VALUES[..])).prop_map(|(key, value)| format!("{key}={value}")),
        1 => (key(), "\\PC{0,12}").prop_map(|(key, value)| format!("{key} = {value}")),
        1 => "(#|\\[)?\\PC{0,12}\\]?",
    ];
    let kernel = select(&["", "kernel = '/k'\n", "kernel = '/boot/vmlinuz-{release}'\r\n"][..]);
    (kernel, proptest::collection::vec(line, 0..5))
        .prop_map(|(kernel, lines)| format!("{kernel}{}", lines.join("\n")))
}

proptest! {
    #[test]
    fn whatever_is_said_of_any_text_holds(text in text()) {
        check(&text);
    }
}

#[test]
fn texts_that_are_configs_and_texts_that_are_not() {
    let all = "# every key\nkernel = \"/boot/vmlinuz-{release}\"\n\
               initrd = '/boot/initrd.img-{release}'\nappend = \"nr_cpus=1 a=\\\"b\\\"\"\n\
               reuse_cmdline = true\nnoefi = false\non_corrupt = 'halt'\nreset_delay = 0x10\n\
               console = 'ttyS0'\nno_hotplug = true\nengine = 'soft'\n\
               leaf_size = '64K'\npurgatory = '/usr/lib/purgatory.ro'\nfile = 'never'\n";
    for config in [all, "kernel='/k'", "kernel = '/k'\nappend = '''\nquiet'''\nfile = 'always'\n"] {
        assert!(check(config), "{config}");
    }
    for other in [
        "kernel = '/k'\nkernle = '/l'\n",
        "kernel = '/k'\n[loader]\nengine = 'soft'\n",
        "kernel = 'vmlinuz'\n",
        "kernel = '/k'\nengine = 'soft'\nfile = 'always'\n",
        "initrd = '/i'\n",
        "kernel = '/k'\nreset_delay = 3601\n",
    ] {
        assert!(!check(other), "{other}");
    }
}
