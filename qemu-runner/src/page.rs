//! The outcomes of scenarios as one page that stands alone: no script, and nothing is fetched.
//!
//! - *On entry*: outcomes, or errors.
//! - *On exit*: HTML with a section for each: the timeline, the purgatory's report, memory before
//!   and after, the vmcore, and the crash region.

mod timeline;
mod purgatory;
mod memory;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::evidence::outcome::Outcome;
use crate::scenario::Scenario;

const STYLE: &str = include_str!("page/style.css");
/// Forbids the browser to fetch or run anything, whatever the text says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// What a scenario came to.
#[derive(Clone, Debug)]
pub struct Section {
    /// The scenario's name.
    pub name: String,
    /// What it shows, in one sentence.
    pub summary: String,
    /// Its outcome, or why it failed or could not run.
    pub result: Result<Outcome, String>,
}

impl Section {
    /// What this scenario came to.
    pub fn new(scenario: &Scenario, result: Result<Outcome, String>) -> Self {
        Self { name: scenario.name.to_owned(), summary: scenario.summary.to_owned(), result }
    }
}

/// The page.
pub fn html(sections: &[Section]) -> String {
    let fulfilled = sections.iter().filter(|section| section.result.is_ok()).count();
    let names: Vec<_> = sections.iter().map(|section| section.name.as_str()).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "kdump-purgatory: " (names.join(", ")) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { "From boot to dump" }
                        p.lead {
                            (fulfilled) " of " (sections.len())
                            @if sections.len() == 1 { " scenario" } @else { " scenarios" }
                            " fulfilled. Each boots a real kernel in QEMU, arms it and makes it "
                            "panic. What the capture kernel finds decides."
                        }
                        @if sections.len() > 1 {
                            nav aria-label="Scenarios" {
                                ul {
                                    @for name in names { li { a href={ "#" (name) } { (name) } } }
                                }
                            }
                        }
                    }
                    @for section in sections { (self::section(section)) }
                }
            }
        }
    };
    page.into_string() + "\n"
}

fn section(section: &Section) -> Markup {
    let Section { name, summary, result } = section;
    html! {
        section.scenario id=(name) aria-labelledby={ (name) "-name" } {
            h2 id={ (name) "-name" } {
                (name) " "
                @if result.is_ok() { span.badge.good { "fulfilled" } }
                @else { span.badge.bad { "not fulfilled" } }
            }
            p.lead { (capitalized(summary)) "." }
            @match result {
                Ok(outcome) => (chapters(name, outcome)),
                Err(why) => pre.failure { (why) },
            }
        }
    }
}

/// The chapters of a fulfilled scenario.
fn chapters(name: &str, outcome: &Outcome) -> Markup {
    let evidence = &outcome.evidence;
    html! {
        @if let Some(date) = &outcome.date { p.lead { "Run on " (date) "." } }
        (memory::chapter(evidence))
        (memory::vmcore(evidence))
        (purgatory::chapter(evidence))
        (timeline::chapter(outcome))
        @if let Some(image) = &evidence.image {
            section.chapter {
                h3 { "The crash region" }
                p {
                    "What kdump-loader put into the memory reserved for the capture kernel, and \
                     how "
                    "the purgatory verifies it."
                }
                figure.scroll tabindex="0" role="group" aria-label="The crash region, drawn" {
                    (PreEscaped(kdump_loader::picture::svg(image, &format!("{name}-image"))))
                }
            }
        }
        @if !outcome.facts.is_empty() {
            section.chapter {
                h3 { "Figures" }
                table.facts {
                    tbody {
                        @for (name, value) in &outcome.facts {
                            tr { th scope="row" { (name) } td { (value) } }
                        }
                    }
                }
            }
        }
    }
}

/// The same sentence with a capital letter at its beginning.
fn capitalized(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first = characters.next().map(|first| first.to_uppercase().chain(characters));
    first.map_or_else(String::new, Iterator::collect)
}

#[cfg(test)]
mod tests;
