//! What bash offers when a user types a line and presses Tab, and that each shell's file knows all
//! commands. Only bash's is changed after clap_complete has made it.
//!
//! Without bash the first is skipped, and the test says so.

use xshell::cmd;

use super::*;
use crate::command;

/// A line that a user types before Tab, and every word that must be offered.
const LINES: [(&str, &[&str]); 6] = [
    (
        "kdump-loader ",
        &[
            "inspect", "last", "load", "plan", "reload", "service", "snapshot", "status", "unload",
            "watch",
        ],
    ),
    ("kdump-loader status --", &["--json", "--prometheus", "--strict"]),
    ("kdump-loader service ", &["check", "install", "uninstall"]),
    ("kdump-loader service install --", &["--dry-run", "--mask-conflicts", "--root"]),
    ("kdump-loader service install --distribution ", &["debian", "fedora", "suse"]),
    ("kdump-loader load --engine s", &["soft", "sha-ni"]),
];

/// Calls the function that the script registers, as bash does. The last word may be empty.
const BASH: &str = r#"
source "$DIR/bash/kdump-loader"
function=$(complete -p kdump-loader | sed 's/.*-F \([^ ]*\).*/\1/')
read -ra COMP_WORDS <<<"$LINE"
case $LINE in *' ') COMP_WORDS+=('') ;; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"$function" kdump-loader "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[test]
fn bash_completes_commands_and_flags_below_them() {
    let sh = xshell::Shell::new().unwrap();
    if !command::is_installed(&sh, "bash") {
        return eprintln!("skipped: bash is not installed");
    }
    let dir = sh.create_temp_dir().unwrap();
    write(&sh, dir.path()).unwrap();
    for (line, words) in LINES {
        let run = cmd!(sh, "timeout 120 bash --norc -c {BASH}");
        let shown = command::read(run.env("DIR", dir.path()).env("LINE", line)).unwrap();
        for word in words {
            assert!(shown.contains(word), "bash does not offer {word} after {line}: {shown}");
        }
    }
}

#[test]
fn no_shell_offers_a_hidden_option() {
    let sh = xshell::Shell::new().unwrap();
    let dir = sh.create_temp_dir().unwrap();
    write(&sh, dir.path()).unwrap();
    let program = kdump_loader::command();
    let mut hidden = 0;
    for command in program.get_subcommands() {
        for option in command.get_arguments().filter(|option| option.is_hide_set()) {
            hidden += 1;
            let (name, help) = (option.get_id(), option.get_help().unwrap().to_string());
            for file in ["zsh/_kdump-loader", "fish/kdump-loader.fish"] {
                let text = sh.read_file(dir.path().join(file)).unwrap();
                assert!(!text.contains(&help), "{name} of {} is in {file}", command.get_name());
            }
        }
    }
    assert!(hidden > 0, "--root of status and last");
    let bash = sh.read_file(dir.path().join("bash/kdump-loader")).unwrap();
    let (_, after) = bash.split_once("kdump_loader__subcmd__status)\n").unwrap();
    let (options, _) = after.split_once("return 0").unwrap();
    assert!(options.contains("--strict") && !options.contains("--root"), "{options}");
}

#[test]
fn completions_of_every_shell_know_commands_and_flags() {
    let sh = xshell::Shell::new().unwrap();
    let dir = sh.create_temp_dir().unwrap();
    write(&sh, dir.path()).unwrap();
    for (file, flag) in [
        ("bash/kdump-loader", "--mask-conflicts"),
        ("zsh/_kdump-loader", "--mask-conflicts"),
        ("fish/kdump-loader.fish", "-l mask-conflicts"),
    ] {
        let text = sh.read_file(dir.path().join(file)).unwrap();
        for word in ["load", "service", "uninstall", flag] {
            assert!(text.contains(word), "{word} is not in {file}");
        }
    }
}
