//! Decisions for options, alone and combined.

use super::*;
use crate::kexec::options::OPTIONS;
use crate::kexec::{ELSEWHERE, elsewhere};

fn decided(words: &str) -> Result<Decision, Error> {
    decide(shell(words))
}

/// Splits a line into words. Single quotes may enclose a word's value.
fn shell(line: &str) -> Vec<OsString> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for character in line.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take().map(OsString::from)),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word.map(OsString::from));
    words
}

#[track_caller]
fn load(words: &str) -> Load {
    match decided(words).unwrap().action {
        Action::Load(load) => *load,
        other => panic!("{words}: {other:?}"),
    }
}

#[track_caller]
fn action(words: &str) -> Action {
    decided(words).unwrap().action
}

#[test]
fn load_panic_arms_the_first_file() {
    let plain = load("-p k");
    let expected = Load {
        options: Options::new("k".into()),
        format: None,
        call: SystemCall::Auto,
        mem_min: 0,
        mem_max: u64::MAX,
        debug: false,
    };
    assert_eq!(plain, expected);
    assert_eq!(decided("-p"), Err(Error::NoKernel));
    let Decision { remarks, .. } = decided("-p k stray").unwrap();
    assert!(remarks[0].contains("stray is ignored"), "{remarks:?}");
}

#[test]
fn last_of_append_and_command_line_counts() {
    assert_eq!(load("-p k --append=a --command-line=b").options.append.as_deref(), Some("b"));
    assert_eq!(load("-p k --command-line=b --append=a").options.append.as_deref(), Some("a"));
    let reused = load("-p k --reuse-cmdline --append=a");
    assert_eq!((reused.options.reuse_cmdline, reused.options.append.as_deref()), (true, Some("a")));
}

#[test]
fn unload_and_load_panic_disarm_in_either_order() {
    assert_eq!(action("-p -u"), Action::Unload(SystemCall::Auto));
    assert_eq!(action("-u -p"), Action::Unload(SystemCall::Auto));
    assert_eq!(action("-s -p -u"), Action::Unload(SystemCall::FileLoad));
    assert_eq!(action("-cpu"), Action::Unload(SystemCall::Load));
    assert_eq!(action("-p -u k"), Action::Unload(SystemCall::Auto), "the last one counts");
    assert_eq!(
        load("-u -p k").options.kernel,
        std::path::Path::new("k"),
        "disarm, then arm: without the gap"
    );
}

#[test]
fn last_system_call_counts() {
    for (words, call) in [
        ("-p k", SystemCall::Auto),
        ("-p -s k", SystemCall::FileLoad),
        ("-p -s -c k", SystemCall::Load),
        ("-p -c k -a", SystemCall::Auto),
    ] {
        assert_eq!(load(words).call, call, "{words}");
    }
}

#[test]
fn status_wins_over_load_and_unload() {
    for words in ["-S", "--status", "-p -S", "-S -p k", "-u -S"] {
        assert_eq!(action(words), Action::Status, "{words}");
    }
}

#[test]
fn help_version_and_region_size_win_over_later_arguments() {
    assert_eq!(action("-h --bogus"), Action::Help);
    assert_eq!(action("-p k --version --help"), Action::Version);
    assert_eq!(action("--print-ckr-size -l"), Action::PrintRegionSize);
    assert!(matches!(decided("--bogus -h"), Err(Error::Word(_))));
}

#[test]
fn debug_only_changes_the_output() {
    for words in ["-d -p k", "-p -d k", "-p k --debug"] {
        assert_eq!(load(words), Load { debug: true, ..load("-p k") }, "{words}");
    }
}

#[test]
fn reboots_are_passed_on_by_name() {
    for (words, name) in [
        ("-l k", "--load "),
        ("-e", "--exec "),
        ("-p -x k", "--no-ifdown"),
        ("-f k", "--force"),
        ("-y -e", "--no-sync"),
        ("--load-preserve-context k", "--load-preserve-context"),
        ("-l -S", "--load "),
        ("-u", "--unload without --load-panic"),
        ("k", "without --load-panic"),
        ("", "without --load-panic"),
    ] {
        let Action::PassOn(because) = action(words) else { panic!("{words}") };
        assert!(because.contains(name), "{words}: {because}");
        assert!(elsewhere::none(&because).contains(ELSEWHERE));
    }
}

#[test]
fn unsupported_option_is_rejected_with_name_and_reason() {
    for name in ["real-mode", "entry-32bit", "args-elf", "args-none", "module=m", "dtb=d"] {
        let error = decided(&format!("-p k --{name}")).unwrap_err();
        let Error::Rejected { option, reason } = error else { panic!("{error}") };
        assert!(name.starts_with(option) && reason.len() > 20, "{option} {reason}");
    }
}

#[test]
fn ignored_options_cause_warnings_and_needless_ones_do_not() {
    let Decision { action, remarks } =
        decided("-p k -i --console-vga --reset-vga --serial-baud=9600 --pass-memmap-cmdline")
            .unwrap();
    assert_eq!(action, Action::Load(Box::new(load("-p k"))));
    assert_eq!(remarks.len(), 5);
    assert!(
        remarks[0].starts_with("--no-checks has no effect: the purgatory always verifies"),
        "{remarks:?}"
    );
    let silent = decided(
        "-p k --args-linux --elf64-core-headers --elf32-core-headers --reuse-video-type --hotplug",
    )
    .unwrap();
    assert_eq!(silent, decided("-p k").unwrap());
}

#[test]
fn serial_names_the_purgatorys_console() {
    assert_eq!(load("-p k --serial=ttyS1").options.console, Console::Port(0x2f8));
    assert_eq!(load("-p k --serial=0x3e8 --console-serial").options.console, Console::Port(0x3e8));
    assert_eq!(load("-p k --console-serial --serial=0x3e8").options.console, Console::Port(0x3e8));
    assert_eq!(load("-p k --console-serial").options.console, Console::Port(0x3f8));
    assert!(matches!(decided("-p k --serial=com1"), Err(Error::Value { option: "serial", .. })));
}

#[test]
fn addresses_are_decimal_octal_or_hexadecimal() {
    let both = load("-p k --mem-min=0x10000000 --mem-max 1073741823");
    assert_eq!((both.mem_min, both.mem_max), (0x1000_0000, 0x3fff_ffff));
    assert_eq!(load("-p k --mem-min=010").mem_min, 8);
    for wrong in ["", "0x", "ten", "+1", "0x+1", "09"] {
        let error = decided(&format!("-p k --mem-min={wrong}")).unwrap_err();
        assert!(matches!(&error, Error::Value { option: "mem-min", .. }), "{wrong}: {error}");
    }
    assert_eq!(load("-p k --mem-min=0").mem_min, 0);
}

#[test]
fn only_types_of_capture_kernels_are_accepted() {
    assert_eq!(load("-p -t bzImage64 k").format, Some("bzImage"));
    assert_eq!(load("-p k --type=uki").format, Some("unified kernel image"));
    assert!(decided("-p k -t multiboot-x86").unwrap_err().to_string().contains("multiboot-x86"));
}

#[test]
fn file_load_warns_about_options_without_effect() {
    let Decision { remarks, .. } =
        decided("-p -s k --mem-min=1 --noefi --serial=ttyS0 --initrd=i").unwrap();
    assert_eq!(remarks.len(), 3, "{remarks:?}");
    assert!(decided("-p -a k --mem-min=1").unwrap().remarks.is_empty());
}

#[test]
fn every_option_is_treated_as_the_table_says() {
    for opt in OPTIONS {
        let value = opt.value.map_or_else(String::new, |value| match value {
            "ADDR" => "=0x1000".into(),
            "PORT" => "=ttyS0".into(),
            "TYPE" => "=bzImage64".into(),
            other => format!("={other}"),
        });
        let decision = decided(&format!("-p k --{}{value}", opt.long));
        match opt.fate {
            Fate::Rejected => {
                assert!(matches!(decision, Err(Error::Rejected { .. })), "--{}", opt.long)
            }
            Fate::PassedOn => {
                assert!(matches!(decision.unwrap().action, Action::PassOn(_)), "--{}", opt.long)
            }
            Fate::Ignored => assert_eq!(decision.unwrap().remarks.len(), 1, "--{}", opt.long),
            Fate::Accepted => assert_eq!(decision, decided("-p k"), "--{}", opt.long),
            Fate::Supported(_) => assert!(decision.unwrap().remarks.is_empty(), "--{}", opt.long),
        }
    }
}
