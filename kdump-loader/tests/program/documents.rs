//! The command lines that README.md and docs/ print are accepted, as far as `--help` knows.

use std::fs;
use std::path::Path;

use crate::fixture::{program, run};

/// Words of a command line up to a comment, the end of the command or a redirection, with lines
/// that end in `\` joined.
fn commands(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(|block| {
        block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let calls = lines.filter_map(|line| {
        line.trim_start_matches("$ ").strip_prefix("kdump-loader ").map(str::to_owned)
    });
    let ends = |word: &&str| !["#", "&&", "|", ">"].contains(word);
    calls
        .map(|call| call.split_whitespace().take_while(ends).map(str::to_owned).collect())
        .collect()
}

/// Every page for users.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain([root.join("README.md")]);
    pages.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn commands_of_the_documents_have_the_options_that_they_use() {
    let commands: Vec<Vec<String>> = pages().iter().flat_map(|page| commands(page)).collect();
    assert!(commands.len() > 20, "{commands:?}");
    for words in commands {
        let subcommand = if words[0] == "service" { &words[..2] } else { &words[..1] };
        let help = run(program().args(subcommand).arg("--help"));
        assert_eq!(help.code, Some(0), "kdump-loader {}: {}", subcommand.join(" "), help.stderr);
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(
                help.stdout.contains(&format!("{option} "))
                    || help.stdout.contains(&format!("{option}\n")),
                "{words:?}: {option}"
            );
        }
    }
}
