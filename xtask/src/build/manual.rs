//! The man pages: kdump-loader(8), a page per subcommand, and kdump-loader.toml(5).
//!
//! * On entry: the definitions and texts of `--help`, and the loader's table of manuals.
//! * On exit: one file per page in a directory that holds nothing else.

mod config; // kdump-loader.toml(5)
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;
use kdump_loader::manual::{self, FILES, Manual};
use roff::{Inline, Roff, bold, italic, roman};
use xshell::Shell;

/// System administration.
const SECTION: &str = "8";
/// The day of the pages' last change. The day of the build would make two builds differ.
const DATE: &str = "2026-11-28";
/// The name of the manual, in the pages' headers.
const MANUAL: &str = "kdump-loader";
/// clap's own subcommand, which has no page.
const HELP: &str = "help";

/// Writes all pages into `directory`, and removes what was there before.
pub fn write(sh: &Shell, directory: &Path) -> Result<()> {
    sh.remove_path(directory)?;
    for (file, text) in pages()? {
        sh.write_file(directory.join(file), text)?;
    }
    Ok(())
}

/// Every page: its file name and its text.
fn pages() -> Result<Vec<(String, String)>> {
    let mut program = kdump_loader::command().disable_help_subcommand(true);
    program.build();
    let source = program.render_version().trim_end().to_owned();
    let name = program.get_name().to_owned();
    let mut commands = Vec::new();
    collect(&program, &name, "", &mut commands);
    let mut pages = Vec::new();
    for (page, words, command) in commands {
        let text = command_page(command, &page, &words, &source);
        pages.push((
            format!("{page}.{SECTION}"),
            text.with_context(|| format!("cannot make the page {page}"))?,
        ));
    }
    let (file, text) = config::page(&source);
    pages.push((file.to_owned(), text));
    Ok(pages)
}

/// Collects the pages of a command and of its subcommands: page name, the command's words,
/// definition.
fn collect<'a>(
    command: &'a Command,
    page: &str,
    words: &str,
    pages: &mut Vec<(String, String, &'a Command)>,
) {
    for below in command.get_subcommands().filter(|below| below.get_name() != HELP) {
        let name = below.get_name();
        collect(below, &format!("{page}-{name}"), format!("{words} {name}").trim_start(), pages);
    }
    pages.push((page.to_owned(), words.to_owned(), command));
}

fn command_page(command: &Command, page: &str, words: &str, source: &str) -> Result<String> {
    // On a page, the text after --help has sections of its own.
    let command = command.clone().display_name(page.to_owned()).after_help("").after_long_help("");
    let man = Man::new(command.clone()).section(SECTION).source(source).manual(MANUAL).date(DATE);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut text = without_stray_breaks(&String::from_utf8(text)?);
    if let Some(manual) = manual::of(words) {
        text += &rest(manual);
    }
    Ok(text)
}

/// The sections that the table of manuals adds to a page.
fn rest(manual: &Manual) -> String {
    let mut roff = Roff::new();
    if !manual.notes.is_empty() {
        section(&mut roff, "NOTES");
        paragraphs(&mut roff, manual.notes);
    }
    section(&mut roff, "EXIT STATUS");
    for (status, meaning) in manual.exit {
        item(&mut roff, [bold(*status)], meaning);
    }
    if !manual.files.is_empty() {
        section(&mut roff, "FILES");
        for (path, meaning) in FILES.iter().filter(|(path, _)| manual.files.contains(path)) {
            item(&mut roff, [italic(*path)], meaning);
        }
    }
    section(&mut roff, "EXAMPLES");
    examples(&mut roff, manual.examples);
    let program = (!manual.command.is_empty()).then_some(("kdump-loader", SECTION));
    see_also(&mut roff, program.into_iter().chain(manual.see_also.iter().copied()));
    roff.to_roff()
}

fn section(roff: &mut Roff, name: &str) {
    roff.control("SH", [name]);
}

fn paragraphs(roff: &mut Roff, texts: &[&str]) {
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*text)]);
    }
}

fn item(roff: &mut Roff, head: impl Into<Vec<Inline>>, text: &str) {
    roff.control("TP", []);
    roff.text(head.into());
    roff.text([roman(text)]);
}

fn examples(roff: &mut Roff, examples: &[(&str, &str)]) {
    for (index, (what, lines)) in examples.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*what)]);
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        roff.control("RE", []);
    }
}

fn see_also<'a>(roff: &mut Roff, pages: impl Iterator<Item = (&'a str, &'a str)>) {
    section(roff, "SEE ALSO");
    let mut line = Vec::new();
    for (name, section) in pages {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(name), roman(format!("({section})"))]);
    }
    roff.text(line);
}

/// Removes line breaks beside blank lines. clap_mangen writes them, and mandoc warns about them.
fn without_stray_breaks(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let spaces = |line: Option<&&str>| {
        line.is_none_or(|line| line.is_empty() || *line == ".br" || line.starts_with(".RS"))
    };
    let mut kept = String::new();
    for (index, line) in lines.iter().enumerate() {
        let stray = *line == ".br"
            && (spaces(lines.get(index + 1)) || index == 0 || lines[index - 1].is_empty());
        if !stray {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
