//! The table as text: what `--help` prints, and docs/kexec-options.md, which a test holds against it.

use std::fmt::Write;

use super::options::{Fate, OPTIONS, Opt};
use super::{ELSEWHERE, NAME, PEER};

/// What `--help` prints.
pub fn help() -> String {
    let mut text = format!(
        "Usage: {NAME} -p [OPTION]... FILE    arm the capture kernel FILE\n       {NAME} -p -u                  disarm it\n       {NAME} -S                     \
         exit status 1 if one is armed, 0 if not\n\nThe crash half of {PEER}, by kdump-loader. The rest goes to kexec.distrib, to the next kexec in PATH, or to \
         {ELSEWHERE}=FILE.\n\n"
    );
    for opt in OPTIONS {
        let _ = writeln!(text, "{}\n        {}{}", typed(opt), heading(opt.fate), opt.here);
    }
    text
}

/// docs/kexec-options.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "<!-- Made from kdump-loader/src/kexec/options.rs by `kdump-loader generate-kexec-options`; a test compares the two. -->\n\n# Called as `kexec`\n\n",
    );
    let _ = write!(
        text,
        "`kdump-loader kexec …`, or the program under the name `kexec`, is the crash half of {PEER}: options in any order, before and behind \
         the file, short ones in one word, long ones cut short, values after `=` or in the next word.\n\n\
         The exit status is 0 when it was done, 1 when the call was not understood or refused before the kernel was asked, 255 when the kernel \
         refused; `-S` has its own.\n\n\
         What is about reboots goes, word for word, to another program: the one that the environment variable `{ELSEWHERE}` names, else \
         `kexec.distrib` beside this program or in PATH, else the next `kexec` in PATH that is not this program. Without one it is refused.\n\n\
         | option | fate | what happens here |\n| --- | --- | --- |\n"
    );
    for opt in OPTIONS {
        let _ = writeln!(text, "| `{}` | {} | {} |", typed(opt), fate(opt.fate), opt.here.replace('|', "\\|"));
    }
    text
}

fn typed(opt: &Opt) -> String {
    let short = opt.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let value = opt.value.map(|value| format!("={value}")).unwrap_or_default();
    format!("{short}--{}{value}", opt.long)
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Obeyed(_) => "obeyed",
        Fate::Silent => "accepted",
        Fate::Ignored => "ignored, and said so",
        Fate::Refused => "refused",
        Fate::PassedOn => "passed on",
    }
}

/// In the help, what is done needs no heading.
fn heading(of: Fate) -> String {
    match of {
        Fate::Obeyed(_) => String::new(),
        other => format!("{}: ", fate(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_table_in_docs_is_current() {
        let written = include_str!("../../../docs/kexec-options.md");
        let remedy = "run `cargo run -p loader -- generate-kexec-options >docs/kexec-options.md`";
        assert!(written == markdown(), "docs/kexec-options.md is not what the table says: {remedy}");
    }

    #[test]
    fn help_has_a_line_for_every_option() {
        for opt in OPTIONS {
            assert!(help().contains(&format!("--{}", opt.long)), "{}", opt.long);
        }
    }
}
