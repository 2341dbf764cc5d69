//! Which man pages there are, what each must have, and that formatters find no fault with them.

use std::collections::BTreeMap;

use kdump_loader::options::config::KEYS;
use xshell::cmd;

use super::*;

const CONFIG: &str = "kdump-loader.toml.5";
/// The sections that man-pages(7) expects on every page of section 8.
const SECTIONS: [&str; 6] =
    ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"];

fn pages() -> BTreeMap<String, String> {
    super::pages().unwrap().into_iter().collect()
}

fn has_section(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        line.strip_prefix(".SH ").is_some_and(|heading| heading.trim_matches('"') == name)
    })
}

#[test]
fn every_command_has_a_page_with_exit_status_examples_and_neighbors() {
    let pages = pages();
    for (name, text) in pages.iter().filter(|(name, _)| *name != CONFIG) {
        for section in SECTIONS {
            assert!(
                has_section(text, section),
                "{name} lacks {section}: add the command to kdump-loader/src/cli/manual.rs"
            );
        }
    }
}

#[test]
fn every_key_of_the_config_is_on_its_page_with_its_default() {
    let pages = pages();
    let text = &pages[CONFIG];
    for key in KEYS {
        assert_eq!(text.matches(&format!("\\fB{key}\\fR = ")).count(), 1, "{key}");
    }
    assert_eq!(text.matches("Default: ").count(), KEYS.len());
    for section in ["NAME", "DESCRIPTION", "FILES", "EXAMPLES", "SEE ALSO"] {
        assert!(has_section(text, section), "{section}");
    }
}

/// Pages of this program. Pages of other packages may be missing.
#[test]
fn pages_refer_only_to_pages_that_exist() {
    let pages = pages();
    for (name, text) in &pages {
        let (_, see_also) = text.split_once(".SH \"SEE ALSO\"").unwrap();
        for word in see_also.split("\\fB").skip(1) {
            let (page, rest) = word.split_once("\\fR(").unwrap();
            let page = format!("{}.{}", page.replace('\\', ""), rest.split(')').next().unwrap());
            assert!(
                !page.starts_with("kdump-loader") || pages.contains_key(&page),
                "{name} refers to {page}"
            );
        }
    }
}

#[test]
fn formatters_find_no_fault_with_the_pages() {
    let sh = Shell::new().unwrap();
    let dir = sh.create_temp_dir().unwrap();
    write(&sh, dir.path()).unwrap();
    let formatters: [(&str, &[&str]); 2] =
        [("groff", &["-ww", "-z", "-man", "-Tutf8"]), ("mandoc", &["-Tlint", "-W", "warning"])];
    for (formatter, options) in formatters {
        if std::process::Command::new(formatter).arg("-V").output().is_err() {
            eprintln!("skipped: {formatter} is not installed");
            continue;
        }
        for page in sh.read_dir(dir.path()).unwrap() {
            let output = cmd!(sh, "{formatter} {options...} {page}")
                .quiet()
                .ignore_status()
                .output()
                .unwrap();
            let said =
                String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert_eq!(said, "", "{formatter} on {}", page.display());
        }
    }
}
