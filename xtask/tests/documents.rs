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

struct Document {
    path: PathBuf,
    text: String,
}

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

    /// Whether GitHub makes this anchor of a heading.
    fn has_anchor(&self, anchor: &str) -> bool {
        let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
        let headings = self.lines().into_iter().filter(|line| !line.is_code);
        headings.filter_map(|line| line.text.strip_prefix('#')).any(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            heading.chars().filter(kept).collect::<String>().replace(' ', "-") == anchor
        })
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

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Every document, whatever folder it is in.
fn documents() -> Vec<Document> {
    let document = |path: PathBuf| Document { text: read(path.to_str().unwrap()), path };
    files(".md").into_iter().map(document).collect()
}

/// Looks at every line of every document that is no record of the past, and fails with all
/// complaints.
fn each_line(mut look: impl FnMut(&Document, &Line<'_>) -> Vec<String>) {
    let mut complaints = Vec::new();
    for document in documents().iter().filter(|document| document.path != Path::new(HISTORY)) {
        for line in document.lines() {
            let place = format!("{}:{}: ", document.path.display(), line.number);
            complaints.extend(look(document, &line).into_iter().map(|what| place.clone() + &what));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
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

#[test]
fn links_lead_to_files_and_headings() {
    let documents = documents();
    let leads = |from: &Document, link: &str| {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let folder = root().join(from.path.parent().unwrap());
        let to = if file.is_empty() { root().join(&from.path) } else { folder.join(file) };
        let Ok(to) = to.canonicalize() else { return false };
        let is_it = |other: &&Document| root().join(&other.path).canonicalize().unwrap() == to;
        anchor.is_empty() || documents.iter().find(is_it).is_some_and(|to| to.has_anchor(anchor))
    };
    each_line(|document, line| {
        let links = links(line.text).filter(|link| !line.is_code && !link.contains("://"));
        let broken = links.filter(|link| !leads(document, link));
        broken.map(|link| format!("the link {link} leads nowhere")).collect()
    });
}

#[test]
fn paths_exist() {
    let entries = fs::read_dir(root()).unwrap().map(Result::unwrap);
    let top = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    each_line(|document, line| {
        if line.is_code {
            return Vec::new();
        }
        // Below a heading that names a folder, the first cell of a row names what is in it.
        let row =
            line.folder.zip(line.text.strip_prefix("| ").and_then(|row| row.split(" |").next()));
        let rest = row.map_or(line.text, |(_, cell)| &line.text[cell.len()..]);
        let mut missing: Vec<String> = spans(rest)
            .into_iter()
            .filter(|span| is_path(span, &top) && !root().join(span).exists())
            .map(|span| format!("{span} does not exist"))
            .collect();
        if let Some((folder, cell)) = row {
            let beside = root().join(document.path.parent().unwrap());
            let exists = |span: &str| {
                [beside.as_path(), root()].iter().any(|base| base.join(folder).join(span).exists())
            };
            let gone = spans(cell).into_iter().filter(|span| !exists(span));
            missing.extend(gone.map(|span| format!("{folder}{span} does not exist")));
        }
        missing
    });
}

/// What `cargo xtask … --help` prints, for each command once.
#[derive(Default)]
struct Help(BTreeMap<Vec<String>, Option<String>>);

impl Help {
    /// Nothing if there is no such command.
    fn of(&mut self, command: &[String]) -> Option<&str> {
        let run = || {
            let mut help = Command::new(env!("CARGO_BIN_EXE_xtask"));
            let output = help.args(command).arg("--help").output().unwrap();
            output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
        };
        self.0.entry(command.to_vec()).or_insert_with(run).as_deref()
    }
}

/// What is wrong with the words after `cargo xtask`.
fn wrong_with(words: &[String], help: &mut Help) -> Option<String> {
    let is_bare = words.starts_with(&["qemu".into(), "bare".into()]);
    let (command, rest) = words.split_at(words.len().min(if is_bare { 2 } else { 1 }));
    let Some(text) = help.of(command) else {
        return Some(format!("there is no cargo xtask {}", command.join(" ")));
    };
    let flags = rest.iter().filter(|word| word.starts_with("--"));
    let mut flags = flags.map(|word| word.split(['=', '[']).next().unwrap_or_default());
    if let Some(flag) = flags.find(|flag| !text.contains(*flag)) {
        return Some(format!("cargo xtask {} has no {flag}", command.join(" ")));
    }
    if command.first().is_none_or(|command| command != "qemu") {
        return None;
    }
    let names = rest.iter().take_while(|word| !word.starts_with("--"));
    let mut names = names.filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
    let is_case = |name: &str| qemu_runner::bare::cases().any(|case| case.name.starts_with(name));
    let unknown = names.find(|name| !if is_bare { is_case(name) } else { is_scenario(name) });
    unknown.map(|name| format!("there is no scenario or case {name}"))
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
    each_line(|_, line| {
        let commands = if line.is_code { vec![line.text] } else { spans(line.text) };
        let commands =
            commands.into_iter().filter_map(|one| one.trim().strip_prefix("cargo xtask "));
        // Up to a comment, or to the alternatives of a list.
        let words = |command: &'_ str| -> Vec<String> {
            let words = command.split_whitespace();
            words.take_while(|word| !["#", "|", "…"].contains(word)).map(String::from).collect()
        };
        commands.filter_map(|command| wrong_with(&words(command), &mut help)).collect()
    });
}

#[test]
fn scenarios_of_the_page_for_kernel_developers_exist() {
    let is_name = |span: &&str| {
        span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-*".contains(c))
    };
    let page = read("docs/kernel-developers.md");
    // The second column of the first table.
    let (table, _) = page.split_once("## Where our facts").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    for cell in rows.filter_map(|row| row.split(" | ").nth(1)) {
        for name in spans(cell).into_iter().filter(is_name) {
            assert!(is_scenario(name), "there is no scenario {name}");
        }
    }
}

#[test]
fn troubleshooting_has_every_verdict_and_every_finding() {
    let [page, status] = ["docs/troubleshooting.md", "docs/status.md"].map(read);
    let verdicts = Verdict::ALL.iter();
    let verdicts = verdicts.map(|one| format!("`{}` (0x{:02x})", one.word(), *one as u32));
    let table = status.split("## Findings").nth(1).unwrap().split("\n## ").next().unwrap();
    let codes = table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    let codes: Vec<String> = codes.map(|code| format!("`{code}`")).collect();
    assert!(codes.len() > 50, "{codes:?}");
    for words in verdicts.chain(codes) {
        assert!(page.contains(&words), "docs/troubleshooting.md lacks {words}");
    }
}

#[test]
fn findings_of_the_example_in_the_readme_exist() {
    let [readme, status] = ["README.md", "docs/status.md"].map(read);
    let example =
        readme.split("kdump-loader status\n").nth(1).unwrap().split("```").next().unwrap();
    let findings = example.lines().filter_map(|line| line.split_once("]: ")?.0.split_once('['));
    let findings: Vec<&str> = findings.map(|found| found.1).collect();
    assert!(!findings.is_empty(), "{example}");
    for code in findings {
        assert!(status.contains(&format!("| `{code}` |")), "docs/status.md lacks {code}");
    }
}

#[test]
fn unsafe_code_is_in_the_places_that_the_map_names() {
    let map = read("ARCHITECTURE.md");
    let (_, rest) = map.split_once("**`unsafe`** is in these places only:").unwrap();
    let places = spans(rest.split("\n\n").next().unwrap());
    assert!(places.len() > 3, "{places:?}");
    let (block, attribute) = (concat!("un", "safe {"), concat!("#[un", "safe("));
    let is_unsafe = |line: &str| {
        !line.trim_start().starts_with("//") && (line.contains(block) || line.contains(attribute))
    };
    let mut files = files(".rs");
    files.retain(|path| read(path.to_str().unwrap()).lines().any(is_unsafe));
    for path in &files {
        let is_named = places.iter().any(|place| path.starts_with(place));
        assert!(is_named, "{} has unsafe code; the map names {places:?}", path.display());
    }
    for place in places {
        let is_used = files.iter().any(|path| path.starts_with(place));
        assert!(is_used, "{place} has no unsafe code");
    }
}
