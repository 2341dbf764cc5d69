//! The man pages: which there are, what each must have, and what the programs that show them say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use kdump_loader::options::config::KEYS;
use tempfile::TempDir;

use crate::fixture::{assert_says, program, run};

/// Every page of a command, and words that must be on it.
const PAGES: [(&str, &[&str]); 14] = [
    ("kdump-loader.8", &["kdump\\-loader\\-load(8)", "kdump\\-loader.toml"]),
    ("kdump-loader-load.8", &["\\-\\-on\\-corrupt", "\\-\\-reuse\\-cmdline"]),
    ("kdump-loader-unload.8", &["Disarm"]),
    ("kdump-loader-reload.8", &["kdump\\-loader.toml", "\\-\\-queue"]),
    ("kdump-loader-status.8", &["\\-\\-json", "\\-\\-strict"]),
    ("kdump-loader-watch.8", &["\\-\\-json"]),
    ("kdump-loader-plan.8", &["\\-\\-snapshot", "\\-\\-svg"]),
    ("kdump-loader-inspect.8", &["bzImage"]),
    ("kdump-loader-snapshot.8", &["DIR"]),
    ("kdump-loader-kexec.8", &["kexec\\-tools", "255"]),
    ("kdump-loader-service.8", &["kdump\\-loader\\-service\\-install(8)"]),
    ("kdump-loader-service-install.8", &["\\-\\-mask\\-conflicts", "\\-\\-root"]),
    ("kdump-loader-service-uninstall.8", &["\\-\\-dry\\-run"]),
    ("kdump-loader-service-check.8", &["\\-\\-json"]),
];
const CONFIG: &str = "kdump-loader.toml.5";
/// What a reader expects on every page of section 8 (man-pages(7)).
const SECTIONS: [&str; 6] = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"];

fn pages() -> (TempDir, BTreeMap<String, String>) {
    let dir = tempfile::tempdir().unwrap();
    let result = run(program().arg("generate-man").arg(dir.path()));
    assert_eq!((result.code, result.stdout.as_str()), (Some(0), ""), "{}", result.stderr);
    let page = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap());
    let pages = fs::read_dir(dir.path()).unwrap().map(|entry| page(entry.unwrap())).collect();
    (dir, pages)
}

fn has_section(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.strip_prefix(".SH ").is_some_and(|heading| heading.trim_matches('"') == name))
}

#[test]
fn every_command_has_a_page_with_exit_status_examples_and_neighbors() {
    let (_dir, pages) = pages();
    for (name, text) in pages.iter().filter(|(name, _)| *name != CONFIG) {
        for section in SECTIONS {
            assert!(has_section(text, section), "{name} lacks {section}: give the command an entry in cli/manual.rs");
        }
    }
    for (page, words) in PAGES {
        assert_says(&pages[page], words);
    }
    for page in ["kdump-loader.8", "kdump-loader-reload.8", "kdump-loader-service-install.8"] {
        assert!(has_section(&pages[page], "FILES"), "{page}");
        assert_says(&pages[page], &["/etc/kdump\\-loader.toml"]);
    }
    assert!(!pages.keys().any(|page| page.contains("generate")), "hidden commands have no page");
}

#[test]
fn every_key_of_the_config_is_on_its_page_with_its_default() {
    let (_dir, pages) = pages();
    let text = &pages[CONFIG];
    for key in KEYS {
        assert_eq!(text.matches(&format!("\\fB{key}\\fR = ")).count(), 1, "{key}");
    }
    assert_eq!(text.matches("Default: ").count(), KEYS.len());
    for section in ["NAME", "DESCRIPTION", "FILES", "EXAMPLES", "SEE ALSO"] {
        assert!(has_section(text, section), "{section}");
    }
}

/// Of this program; pages of other packages may be missing.
#[test]
fn pages_refer_only_to_pages_that_exist() {
    let (_dir, pages) = pages();
    for (name, text) in &pages {
        let (_, see_also) = text.split_once(".SH \"SEE ALSO\"").unwrap();
        for word in see_also.split("\\fB").skip(1) {
            let (page, rest) = word.split_once("\\fR(").unwrap();
            let page = format!("{}.{}", page.replace('\\', ""), rest.split(')').next().unwrap());
            assert!(!page.starts_with("kdump-loader") || pages.contains_key(&page), "{name} refers to {page}");
        }
    }
}

#[test]
fn programs_that_show_pages_find_nothing_wrong_with_them() {
    let (dir, pages) = pages();
    let checkers: [(&str, &[&str]); 2] = [("groff", &["-ww", "-z", "-man", "-Tutf8"]), ("mandoc", &["-Tlint", "-W", "warning"])];
    for (checker, arguments) in checkers {
        for page in pages.keys() {
            let Ok(output) = Command::new(checker).args(arguments).arg(Path::new(dir.path()).join(page)).output() else {
                eprintln!("skipped: {checker} is not installed");
                break;
            };
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert_eq!(said, "", "{checker} on {page}");
        }
    }
}
