//! What bash, zsh and fish offer when a user types a line and presses Tab.
//!
//! A shell that is not installed is skipped, and the test says so. Often fish and zsh are not.

use xshell::cmd;

use super::*;
use crate::command;

/// A line that a user types before Tab, and every word that must be offered.
const LINES: [(&str, &[&str]); 4] = [
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
/// Fish completes only commands that it finds.
const FISH: &str = r#"
ln -s /bin/true "$DIR/kdump-loader"
set PATH "$DIR" $PATH
source "$DIR/fish/kdump-loader.fish"
complete --do-complete "$LINE"
"#;
/// Types into a second zsh. Ctrl-U erases the line, and what is printed next follows the whole
/// list.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh --no-rcs -i
zpty -w shell "stty rows 100 columns 200; unsetopt prompt_sp list_ambiguous always_last_prompt"
zpty -w shell "LISTMAX=-1; fpath=('$DIR/zsh' \$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w shell "PS1='rea''dy%%'"
zpty -r shell shown '*ready%*'
zpty -w -n shell "$LINE"$'\t'
zpty -w shell $'\x15'"echo fin''ished"
zpty -r shell shown '*finished*'
print -r -- "$shown"
"#;

#[test]
fn every_shell_completes_commands_and_flags_below_them() {
    let sh = xshell::Shell::new().unwrap();
    let scripts =
        [("bash", "--norc", BASH), ("zsh", "--no-rcs", ZSH), ("fish", "--no-config", FISH)];
    for (shell, option, script) in scripts {
        if !command::is_installed(&sh, shell) {
            eprintln!("skipped: {shell} is not installed");
            continue;
        }
        for (line, words) in LINES {
            let dir = sh.create_temp_dir().unwrap();
            write(&sh, dir.path()).unwrap();
            let run = cmd!(sh, "timeout 120 {shell} {option} -c {script}");
            let run = run.env("DIR", dir.path()).env("LINE", line).env("HOME", dir.path());
            let shown = command::read(run).unwrap();
            for word in words {
                assert!(
                    shown.contains(word),
                    "{shell} does not offer {word} after {line}: {shown}"
                );
            }
        }
    }
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
