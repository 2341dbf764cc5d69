//! The documents of this repository, held against what they name: paths, headings, commands,
//! scenarios, verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use handoff::Verdict;
use qemu_runner::scenario::scenarios;

/// A record of the past. It names what is gone.
const HISTORY: &str = "CHANGELOG.md";
/// What building makes.
const BUILT: &str = "target/";

/// A document, by lines, with its place below the root.
struct Document {
    path: PathBuf,
    text: String,
}

/// A line of a document.
struct Line<'a> {
    number: usize,
    text: &'a str,
    /// It belongs to a fenced block.
    is_code: bool,
    /// The folder that the heading above it names.
    folder: Option<&'a str>,
}

impl Document {
    fn lines(&self) -> Vec<Line<'_>> {
        let (mut lines, mut is_code, mut folder) = (Vec::new(), false, None);
        for (number, text) in (1..).zip(self.text.lines()) {
            if text.trim_start().starts_with("```") {
                is_code = !is_code;
                continue;
            }
            if !is_code && text.starts_with('#') {
                folder = spans(text).into_iter().find(|span| span.ends_with('/'));
            }
            lines.push(Line { number, text, is_code, folder });
        }
        lines
    }

    /// As GitHub makes them of headings.
    fn anchors(&self) -> BTreeSet<String> {
        let headings =
            self.lines().into_iter().filter(|line| !line.is_code && line.text.starts_with('#'));
        let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
        headings
            .map(|line| {
                line.text
                    .trim_start_matches('#')
                    .trim()
                    .to_lowercase()
                    .chars()
                    .filter(kept)
                    .collect::<String>()
            })
            .map(|heading| heading.replace(' ', "-"))
            .collect()
    }

    /// A message about a line.
    fn at(&self, line: &Line<'_>, message: impl std::fmt::Display) -> String {
        format!("{}:{}: {message}", self.path.display(), line.number)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every file with this ending, by its path below the root. What building makes is left out.
fn files(ending: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            match entry.file_type().unwrap().is_dir() {
                true if name != "target" && !name.starts_with('.') => {
                    folders.push(folder.join(name))
                }
                false if name.ends_with(ending) => found.push(folder.join(name)),
                _ => {}
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} below {}", root().display());
    found.sort();
    found
}

/// Every document, whatever folder it is in.
fn documents() -> Vec<Document> {
    let read =
        |path: PathBuf| Document { text: fs::read_to_string(root().join(&path)).unwrap(), path };
    files(".md").into_iter().map(read).collect()
}

/// What stands between backticks.
fn spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// Where links lead.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, open)| line[at + open.len()..].split(')').next())
}

/// A path of this repository, as far as one can tell by looking.
fn is_path(span: &str, top: &BTreeSet<String>) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
    let first = span.split('/').next().unwrap_or_default();
    span.contains('/') && !span.starts_with(BUILT) && span.chars().all(plain) && top.contains(first)
}

/// The folders at the root.
fn top_folders() -> BTreeSet<String> {
    let entries =
        fs::read_dir(root()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn links_lead_to_files_and_headings() {
    let documents = documents();
    let mut complaints = Vec::new();
    for document in &documents {
        let folder = document.path.parent().unwrap();
        for line in document.lines().iter().filter(|line| !line.is_code) {
            for link in links(line.text).filter(|link| !link.contains("://")) {
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let leads_to =
                    if file.is_empty() { document.path.clone() } else { folder.join(file) };
                let Ok(full) = root().join(&leads_to).canonicalize() else {
                    complaints.push(document.at(line, format!("the link {link} leads nowhere")));
                    continue;
                };
                let target = documents
                    .iter()
                    .find(|other| root().join(&other.path).canonicalize().unwrap() == full);
                if !anchor.is_empty()
                    && !target.is_some_and(|target| target.anchors().contains(anchor))
                {
                    complaints
                        .push(document.at(line, format!("the link {link} leads to no heading")));
                }
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn paths_exist() {
    let top = top_folders();
    let mut complaints = Vec::new();
    for document in documents().iter().filter(|document| document.path != Path::new(HISTORY)) {
        for line in document.lines().iter().filter(|line| !line.is_code) {
            // Below a heading that names a folder, the first cell of a row names what is in it.
            let row = line.folder.and_then(|folder| {
                Some((folder, line.text.strip_prefix("| ")?.split(" |").next()?))
            });
            let rest = row.map_or(line.text, |(_, cell)| &line.text[cell.len()..]);
            for span in spans(rest).into_iter().filter(|span| is_path(span, &top)) {
                if !root().join(span).exists() {
                    complaints.push(document.at(line, format!("{span} does not exist")));
                }
            }
            let Some((folder, cell)) = row else { continue };
            let own = root().join(document.path.parent().unwrap()).join(folder);
            for span in spans(cell) {
                if !own.join(span).exists() && !root().join(folder).join(span).exists() {
                    complaints.push(document.at(line, format!("{folder}{span} does not exist")));
                }
            }
        }
    }
    assert_none(complaints);
}

/// What `cargo xtask … --help` prints, for each command once.
#[derive(Default)]
struct Help(BTreeMap<Vec<String>, Option<String>>);

impl Help {
    /// Nothing if there is no such command.
    fn of(&mut self, command: &[&str]) -> Option<&str> {
        let key: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let run = || {
            let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
                .args(command)
                .arg("--help")
                .output()
                .unwrap();
            output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
        };
        self.0.entry(key).or_insert_with(run).as_deref()
    }
}

/// What is wrong with the words after `cargo xtask`.
fn wrong_with(words: &[&str], help: &mut Help) -> Option<String> {
    let command = match words {
        [] => return None,
        ["qemu", "bare", ..] => &words[..2],
        _ => &words[..1],
    };
    let Some(text) = help.of(command) else {
        return Some(format!("there is no cargo xtask {}", command.join(" ")));
    };
    let rest = &words[command.len()..];
    let flags = rest
        .iter()
        .filter(|word| word.starts_with("--"))
        .map(|word| word.split(['=', '[']).next().unwrap_or_default());
    if let Some(flag) = flags.into_iter().find(|flag| !text.contains(*flag)) {
        return Some(format!("cargo xtask {} has no {flag}", command.join(" ")));
    }
    let is_name = |word: &&&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    let names: Vec<&&str> =
        rest.iter().take_while(|word| !word.starts_with("--")).filter(is_name).collect();
    match command {
        ["qemu"] => names
            .into_iter()
            .find(|name| !is_scenario(name))
            .map(|name| format!("there is no scenario {name}")),
        ["qemu", "bare"] => {
            let is_case =
                |name: &str| qemu_runner::bare::cases().any(|case| case.name.starts_with(name));
            names
                .into_iter()
                .find(|name| !is_case(name))
                .map(|name| format!("there is no case {name}"))
        }
        _ => None,
    }
}

/// Whether there is a scenario of this name, or one that begins so.
fn is_scenario(name: &str) -> bool {
    match name.strip_suffix('*') {
        Some(beginning) => scenarios().iter().any(|scenario| scenario.name.starts_with(beginning)),
        None => scenarios().iter().any(|scenario| scenario.name == name),
    }
}

#[test]
fn commands_exist() {
    let mut help = Help::default();
    let mut complaints = Vec::new();
    for document in documents().iter().filter(|document| document.path != Path::new(HISTORY)) {
        for line in document.lines() {
            let commands = if line.is_code { vec![line.text] } else { spans(line.text) };
            for command in commands
                .into_iter()
                .filter_map(|command| command.trim().strip_prefix("cargo xtask "))
            {
                // Up to a comment, or to the alternatives of a list.
                let words: Vec<&str> = command
                    .split_whitespace()
                    .take_while(|word| !["#", "|", "…"].contains(word))
                    .collect();
                complaints
                    .extend(wrong_with(&words, &mut help).map(|wrong| document.at(&line, wrong)));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn scenarios_of_the_page_for_kernel_developers_exist() {
    let documents = documents();
    let page =
        documents.iter().find(|document| document.path.ends_with("kernel-developers.md")).unwrap();
    let is_name = |span: &&str| {
        span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-*".contains(c))
    };
    let mut complaints = Vec::new();
    // The second column of the first table.
    for line in page.lines().iter().take_while(|line| !line.text.starts_with("## Where our facts"))
    {
        let cell = line
            .text
            .strip_prefix("| ")
            .and_then(|rest| rest.split(" | ").nth(1))
            .unwrap_or_default();
        let unknown = spans(cell).into_iter().filter(is_name).filter(|name| !is_scenario(name));
        complaints
            .extend(unknown.map(|name| page.at(line, format!("there is no scenario {name}"))));
    }
    assert_none(complaints);
}

#[test]
fn troubleshooting_has_every_verdict() {
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    for verdict in Verdict::ALL {
        let words = format!("`{}` (0x{:02x})", verdict.word(), *verdict as u32);
        assert!(page.contains(&words), "docs/troubleshooting.md lacks {words}");
    }
}

#[test]
fn troubleshooting_has_every_finding() {
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let status = fs::read_to_string(root().join("docs/status.md")).unwrap();
    let table = status.split("## Findings").nth(1).unwrap().split("\n## ").next().unwrap();
    let codes: Vec<&str> =
        table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    assert!(codes.len() > 50, "{codes:?}");
    for code in codes {
        assert!(page.contains(&format!("`{code}`")), "docs/troubleshooting.md lacks `{code}`");
    }
}

#[test]
fn findings_of_the_example_in_the_readme_exist() {
    let [readme, status] =
        ["README.md", "docs/status.md"].map(|path| fs::read_to_string(root().join(path)).unwrap());
    let example =
        readme.split("kdump-loader status\n").nth(1).unwrap().split("```").next().unwrap();
    let findings: Vec<&str> = example
        .lines()
        .filter_map(|line| line.split_once("]: ")?.0.split_once('['))
        .map(|found| found.1)
        .collect();
    assert!(!findings.is_empty(), "{example}");
    for code in findings {
        assert!(status.contains(&format!("| `{code}` |")), "docs/status.md lacks {code}");
    }
}

#[test]
fn unsafe_code_is_in_the_places_that_the_map_names() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let paragraph = map
        .split("**`unsafe`** is in these places only:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let places = spans(paragraph);
    assert!(places.len() > 3, "{paragraph}");
    let (block, attribute) = (concat!("un", "safe {"), concat!("#[un", "safe("));
    let is_unsafe = |line: &str| {
        !line.trim_start().starts_with("//") && (line.contains(block) || line.contains(attribute))
    };
    let has_unsafe =
        |path: &PathBuf| fs::read_to_string(root().join(path)).unwrap().lines().any(is_unsafe);
    let files = files(".rs");
    for path in files.iter().filter(|path| has_unsafe(path)) {
        assert!(
            places.iter().any(|place| path.starts_with(place)),
            "{} has unsafe code; ARCHITECTURE.md names {places:?}",
            path.display()
        );
    }
    for place in places {
        assert!(
            files.iter().any(|path| path.starts_with(place) && has_unsafe(path)),
            "{place} has no unsafe code"
        );
    }
}
