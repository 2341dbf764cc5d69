//! `[5]` The story as one page that stands alone: no script, and nothing is fetched.
//!
//! *On entry* the rows of the story, and the logs in a panic's folder. *On exit* HTML that says
//! what `last` says, with the purgatory's stages and the end of each log. All text is escaped: a
//! log can contain anything.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::panic::{LogSummary, Panic, Run};
use super::saved::{CAPTURE_DMESG, DMESG, Saved};
use super::story::{self, NoPanic, Row};
use crate::health::last_dump::LastDump;

const STYLE: &str = include_str!("page/style.css");
/// Forbids the browser to fetch or run anything, whatever the text says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// Lines of each log.
const LINES: usize = 60;

/// The page about these panics, the oldest first, and about a boot after them that left none.
pub fn html(told: &[(&Saved, &LastDump)], later: Option<&NoPanic>) -> String {
    let title = match told.last() {
        Some((saved, _)) => {
            saved.panic.panic_line.as_deref().unwrap_or("a panic without a message")
        }
        None => "no panic is recorded",
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "kdump-loader last: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { @if told.len() > 1 { "Panics" } @else { "The last panic" } }
                    @for (saved, dump) in told { (panic(saved, dump)) }
                    @if let Some(NoPanic { sentence, rows }) = later {
                        section.panic {
                            @if !told.is_empty() { h2 { "A later boot" } }
                            p { (sentence) }
                            (self::rows(rows))
                        }
                    }
                }
            }
        }
    };
    page.into_string() + "\n"
}

fn panic(saved: &Saved, dump: &LastDump) -> Markup {
    let Saved { panic, .. } = saved;
    let Panic { run, log, capture_log, panic_line, .. } = panic;
    html! {
        section.panic {
            h2 { (panic_line.as_deref().unwrap_or("A panic without a message")) }
            (self::rows(&story::rows(panic, Some(saved), Some(dump))))
            @if let Some(run) = run { (stages(run)) }
            @if let Some(log) = log {
                (self::log(saved, "The crashed kernel's log", DMESG, log, panic_line.as_deref()))
            }
            @if let Some(log) = capture_log {
                (self::log(saved, "The capture kernel's log", CAPTURE_DMESG, log, None))
            }
        }
    }
}

fn rows(rows: &[Row]) -> Markup {
    html! {
        @if !rows.is_empty() {
            dl {
                @for Row { word, lines } in rows {
                    div {
                        dt { (word) }
                        @for line in lines { dd { (line) } }
                    }
                }
            }
        }
    }
}

/// What the purgatory did, with the time since its entry, and how much of the whole each step took.
fn stages(run: &Run) -> Markup {
    let stages: Vec<_> = story::stages(run).collect();
    let whole = stages.last().map_or(1, |&(_, us)| us.max(1));
    let starts = std::iter::once(0).chain(stages.iter().map(|&(_, us)| us));
    let steps: Vec<_> = stages.iter().zip(starts).collect();
    html! {
        h3 { "In the purgatory" }
        table {
            thead {
                tr {
                    th scope="col" { "stage" }
                    th.number scope="col" { "since entry" }
                    th.number scope="col" { "of it" }
                }
            }
            tbody {
                @for &(&(stage, us), start) in &steps {
                    tr {
                        th scope="row" {
                            (stage)
                            span.bar aria-hidden="true" {
                                span style=(place(start, us.saturating_sub(start), whole)) {}
                            }
                        }
                        td.number { (story::milliseconds(us)) }
                        td.number { (story::milliseconds(us.saturating_sub(start))) }
                    }
                }
            }
        }
    }
}

/// Where a step's bar begins, and how long it is: shares of the whole.
fn place(start: u64, len: u64, whole: u64) -> String {
    let percent = |us: u64| us as f64 * 100.0 / whole as f64;
    format!("margin-left:{:.2}%;width:{:.2}%", percent(start), percent(len))
}

fn log(saved: &Saved, title: &str, file: &str, log: &LogSummary, marked: Option<&str>) -> Markup {
    let lines = saved.last_lines(file, LINES);
    let is_marked = |line: &str| marked.is_some_and(|marked| line.contains(marked));
    html! {
        h3 { (title) }
        p.soft {
            "Linux " (log.release) ". The last " (lines.len()) " lines of "
            code { (saved.folder.join(file).display()) }
        }
        pre tabindex="0" {
            @for line in &lines {
                @if is_marked(line) { mark { (line) } } @else { (line) }
                "\n"
            }
        }
    }
}
