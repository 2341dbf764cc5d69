//! The table as text: `--help` and docs/kexec-options.md. A test compares the document with the
//! table.

use std::fmt::Write;

use super::options::{Fate, OPTIONS, Opt};
use super::{ELSEWHERE, NAME, PEER};

/// What `--help` prints.
pub fn help() -> String {
    let mut text = format!("Usage: {NAME} -p [OPTION]... FILE    arm the capture kernel FILE\n");
    for (call, effect) in
        [("-p -u", "disarm it"), ("-S", "exit status 1 if one is armed, 0 if not")]
    {
        let _ = writeln!(text, "       {NAME} {call:23}{effect}");
    }
    let _ = write!(
        text,
        "\nkdump-loader handles the options of {PEER} for capture kernels. \
         Calls for reboots go to another kexec:\n\
         {ELSEWHERE}=FILE, kexec.distrib, or the next kexec in PATH.\n\n"
    );
    for opt in OPTIONS {
        let _ = writeln!(text, "{}\n        {}{}", typed(opt), heading(opt.fate), opt.here);
    }
    text
}

/// docs/kexec-options.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "<!-- Made from kdump-loader/src/kexec/options/table.rs by `cargo xtask fixture \
         kexec-options`; a test compares the two. -->\n\n# Called as `kexec`\n\n",
    );
    let _ = write!(
        text,
        "`kdump-loader kexec …`, or the program under the name `kexec`, takes the options of \
         {PEER} for capture kernels. It parses them as kexec-tools does: options before or after \
         the file, several short options in one word, abbreviated long options, values after `=` \
         or in the next word.\n\n\
         Exit status: 0 success, 1 usage error or failure before the system call, 255 the kernel \
         rejected the call. For `-S`, see the table.\n\n\
         Calls for reboots go unchanged to another program. The first of these is used:\n\n\
         1. the program that the environment variable `{ELSEWHERE}` names,\n\
         2. `kexec.distrib` next to this program or in PATH,\n\
         3. the next `kexec` in PATH that is not this program.\n\n\
         If there is none, the call is rejected.\n\n\
         | option | support | effect |\n| --- | --- | --- |\n"
    );
    for opt in OPTIONS {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            typed(opt),
            fate(opt.fate),
            opt.here.replace('|', "\\|")
        );
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
        Fate::Supported(_) => "supported",
        Fate::Accepted => "accepted, no effect",
        Fate::Ignored => "ignored with a warning",
        Fate::Rejected => "rejected",
        Fate::PassedOn => "passed on",
    }
}

/// In the help, only options without support need a heading. The text of an ignored option already
/// says that it has no effect.
fn heading(of: Fate) -> String {
    match of {
        Fate::Supported(_) | Fate::Ignored => String::new(),
        other => format!("{}: ", fate(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_table_in_docs_is_current() {
        let written = include_str!("../../../docs/kexec-options.md");
        let remedy = "run `cargo xtask fixture kexec-options`";
        assert!(
            written == markdown(),
            "docs/kexec-options.md is not what the table says: {remedy}"
        );
    }

    #[test]
    fn help_has_a_line_for_every_option() {
        for opt in OPTIONS {
            assert!(help().contains(&format!("--{}", opt.long)), "{}", opt.long);
        }
    }
}
