//! Valid configs, and the errors of invalid ones.

mod files; // configs on a machine

use std::collections::BTreeSet;

use handoff::{EngineId, OnCorrupt};
use loader::cmdline::Base;
use loader::request::{Confidential, Console, EngineChoice, SignalChoice};

use super::*;
use crate::capture::Place;
use crate::options::BlackBoxChoice;

fn parse(text: &str) -> Result<Config, Defect> {
    Config::parse(text, "6.12.95-amd64")
}

fn refused(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn every_key_has_the_effect_of_its_option() {
    let text = "
        kernel = '/boot/vmlinuz-{release}'
        initrd = '/boot/kdump-{release}.img' # of the same release
        append = \"nr_cpus=1 dyndbg=\\\"file x +p\\\"\"
        reuse_cmdline = true
        noefi = true
        on_corrupt = 'halt'
        reset_delay = 5
        console = 'ttyS1'
        confidential = 'yes'
        no_hotplug = true
        engine = 'soft'
        leaf_size = '64K'
        black_box = 'no'
        signal = 'ipmi'
        purgatory = '/usr/lib/purgatory.ro'
        file = 'never'
    ";
    let options = Options {
        kernel: "/boot/vmlinuz-6.12.95-amd64".into(),
        initrd: Some("/boot/kdump-6.12.95-amd64.img".into()),
        append: Some("nr_cpus=1 dyndbg=\"file x +p\"".into()),
        reuse_cmdline: true,
        noefi: true,
        on_corrupt: Some(OnCorrupt::Halt),
        reset_delay: Some(5000),
        console: Console::Port(0x2f8),
        confidential: Confidential::Yes,
        no_hotplug: true,
        engine: EngineChoice::Only(EngineId::Soft),
        leaf_size: Some(64 << 10),
        black_box: BlackBoxChoice::No,
        signal: SignalChoice::Only { pvpanic: false, ipmi: true },
        purgatory: Some("/usr/lib/purgatory.ro".into()),
        ..Options::default()
    };
    let config = parse(text).unwrap();
    assert_eq!(config, Config { options, file: FilePolicy::Never });

    let text = "
        kernel = '/boot/vmlinuz'
        capture = 'PARTUUID=9E2A5C11-03'
        makedumpfile = '/usr/bin/makedumpfile'
        dump_level = 30
        capture_timeout = 90
        keep_dumps = 2
        keep_bytes = '20G'
    ";
    let options = Options {
        capture: Some(Place::PartUuid("9e2a5c11-03".into())),
        makedumpfile: Some("/usr/bin/makedumpfile".into()),
        dump_level: Some(30),
        capture_timeout: Some(90),
        keep_dumps: Some(2),
        keep_bytes: Some(20 << 30),
        ..Options::new("/boot/vmlinuz".into())
    };
    let capturing = parse(text).unwrap();
    assert_eq!(capturing, Config { options, file: FilePolicy::Auto });

    // The record keeps every option, so that a change is noticed. The system call has its own
    // field.
    let mut keys: Vec<_> = KEYS.into_iter().filter(|key| *key != "file").collect();
    keys.sort_unstable();
    let words = config.options.words().into_keys().chain(capturing.options.words().into_keys());
    assert_eq!(words.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(), keys);
}

#[test]
fn capture_and_initrd_exclude_each_other_and_keys_of_capture_need_it() {
    let message = refused("kernel = '/k'\ninitrd = '/i'\ncapture = '/var/crash'");
    assert!(message.contains("line 3") && message.contains("initrd of its own"), "{message}");
    for line in [
        "makedumpfile = '/m'",
        "dump_level = 1",
        "capture_timeout = 9",
        "keep_dumps = 9",
        "keep_bytes = '9G'",
    ] {
        let message = refused(&format!("kernel = '/k'\n{line}"));
        assert!(message.contains("line 2") && message.contains("with `capture`"), "{message}");
    }
    for line in
        ["capture = 'var/crash'", "makedumpfile = 'm'", "dump_level = 32", "keep_bytes = 'all'"]
    {
        let message = refused(&format!("kernel = '/k'\n{line}"));
        assert!(message.contains("line 2: the value of"), "{message}");
    }
}

#[test]
fn levels_of_makedumpfile_need_makedumpfile() {
    let text = "kernel = '/k'\ncapture = '/var/crash'\ndump_level = 31";
    let message = refused(text);
    assert!(message.contains("line 3") && message.contains("needs `makedumpfile`"), "{message}");
    let level = |text: &str| parse(text).unwrap().options.level();
    assert_eq!(level(&format!("{text}\nmakedumpfile = '/m'")), 31);
    assert_eq!(level("kernel = '/k'\ncapture = '/var/crash'\nmakedumpfile = '/m'"), 31);
    assert_eq!(level("kernel = '/k'\ncapture = '/var/crash'"), 17);
}

#[test]
fn every_key_is_parsed_and_described_in_the_installed_config() {
    let installed = include_str!("../../service/dist/kdump-loader.toml");
    for key in keys::ALL {
        let known = parse(&format!("kernel = '/k'\n{} = []", key.name)).unwrap_err();
        assert!(!matches!(known, Defect::UnknownKey { .. }), "{}: {known}", key.name);
        assert!(
            installed
                .lines()
                .any(|line| line.trim_start_matches('#').starts_with(&format!("{} = ", key.name))),
            "{}",
            key.name
        );
        assert!(
            key.meaning.ends_with('.') && !key.value.is_empty() && !key.default.is_empty(),
            "{}",
            key.name
        );
    }
}

/// The value of every `append` in the config that is installed, whether it is commented out or not.
fn shipped_lines() -> Vec<&'static str> {
    let config = include_str!("../../service/dist/kdump-loader.toml");
    let values =
        config.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix("append = \""));
    values.map(|value| value.strip_suffix('"').unwrap()).collect()
}

#[test]
fn lines_of_the_shipped_config_are_fit_for_a_capture_kernel() {
    let shipped = shipped_lines();
    assert_eq!(shipped.len(), 3, "{shipped:?}");
    for line in shipped {
        assert!(Base::from(line).unfit().is_empty(), "{line}: {:?}", Base::from(line).unfit());
    }
}

#[test]
fn list_without_absolute_paths_is_rejected() {
    let empty = refused("kernel = []");
    assert!(empty.ends_with("the value of `kernel` is an empty list"), "{empty}");
    for text in [
        "kernel = '/k'\ninitrd = []",
        "kernel = '/k'\ninitrd = ['i']",
        "kernel = '/k'\ninitrd = [1]",
    ] {
        assert!(matches!(parse(text), Err(Defect::Value { line: 2, .. })), "{text}");
    }
}

#[test]
fn unknown_key_is_named_with_its_line() {
    let message = refused("kernel = '/k'\n\n# the initrd\ninitird = '/i'\n");
    assert!(
        message.starts_with("line 4: unknown key `initird`") && message.contains("initrd, capture"),
        "{message}"
    );
    let message = refused("kernel = '/k'\n[loader]\nappend = 'x'\n");
    assert!(message.starts_with("line 2") && message.contains("`loader`"), "{message}");
}

#[test]
fn wrong_value_is_named_with_key_and_line() {
    for (text, words) in [
        ("kernel = 3", ["line 1", "`kernel`", "integer"]),
        ("kernel = '/k'\nreuse_cmdline = 'yes'", ["line 2", "`reuse_cmdline`", "boolean"]),
        (
            "kernel = '/k'\nappend = '''\na\nb'''\nreset_delay = 3601",
            ["line 5", "`reset_delay`", "0 to 3600"],
        ),
        ("kernel = '/k'\nreset_delay = -1", ["line 2", "`reset_delay`", "0 to 3600"]),
        ("kernel = '/k'\nreset_delay = '10'", ["line 2", "`reset_delay`", "expected an integer"]),
        ("kernel = '/k'\nconsole = 1", ["line 2", "`console`", "expected a string"]),
        ("kernel = '/k'\npurgatory = 1", ["line 2", "`purgatory`", "expected a string"]),
        ("kernel = '/k'\non_corrupt = 'explode'", ["line 2", "`on_corrupt`", "reset, halt, boot"]),
        ("kernel = '/k'\nengine = 'md5'", ["line 2", "`engine`", "sha-ni"]),
        ("kernel = '/k'\nleaf_size = '3K'", ["line 2", "`leaf_size`", "power of two"]),
        ("kernel = '/k'\nconsole = 'tty0'", ["line 2", "`console`", "ttyS0"]),
        ("kernel = '/k'\nfile = 'sometimes'", ["line 2", "`file`", "auto, never or always"]),
        ("kernel = 'vmlinuz'", ["line 1", "`kernel`", "absolute"]),
        ("kernel = ''", ["line 1", "`kernel`", "absolute"]),
    ] {
        let message = refused(text);
        for word in words {
            assert!(message.contains(word), "{word:?} is missing in: {message}");
        }
    }
}

#[test]
fn first_error_in_the_file_is_reported() {
    assert!(refused("zzz = 1\nkernel = 3").contains("`zzz`"));
    assert!(refused("kernel = 3\naaa = 1").contains("`kernel`"));
}

#[test]
fn invalid_toml_is_rejected_with_its_line() {
    for (text, line) in [
        ("kernel = '/k'\ninitrd", 2),
        ("kernel = '/k'\nkernel = '/l'", 2),
        ("kernel = \"/k", 1),
        ("=", 1),
    ] {
        let Err(Defect::Syntax { line: named, message }) = parse(text) else {
            panic!("{text:?} was accepted")
        };
        assert_eq!(named, line, "{text:?}: {message}");
        assert!(!message.is_empty());
    }
}

#[test]
fn config_without_a_kernel_is_rejected() {
    for text in ["", "initrd = '/i'"] {
        assert_eq!(parse(text), Err(Defect::NoKernel));
    }
}

#[test]
fn keys_that_do_not_apply_to_kexec_file_load_are_rejected_with_it() {
    let meaning = keys::ALL.iter().find(|key| key.name == "file").unwrap().meaning;
    for key in NOT_FOR_FILE {
        assert!(meaning.contains(key), "the manual page does not name {key}");
        let value = match key {
            "noefi" | "no_hotplug" => "false",
            "reset_delay" => "10",
            "on_corrupt" => "'reset'",
            "leaf_size" => "'4K'",
            "black_box" => "'no'",
            "signal" => "'none'",
            "purgatory" => "'/p'",
            _ => "'auto'",
        };
        let text = format!("kernel = '/k'\n{key} = {value}\nfile = 'always'");
        assert_eq!(parse(&text), Err(Defect::NotForFile { line: 2, key: key.into() }));
        assert!(parse(&text.replace("always", "auto")).is_ok());
    }
    assert!(
        parse("kernel = '/k'\ninitrd = '/i'\nappend = 'x'\nreuse_cmdline = true\nfile = 'always'")
            .is_ok()
    );
}
