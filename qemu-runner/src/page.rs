//! What came out of scenarios, as one page that stands alone: no script, nothing that is fetched.
//!
//! *On entry* outcomes, or why there is none. *On exit* HTML with a section for each: when what happened, memory before and after, what the
//! purgatory said, what the vmcore holds, the crash region.

mod timeline;
mod memory;
mod purgatory;
mod vmcore;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::outcome::Outcome;
use crate::scenario::Scenario;

const STYLE: &str = include_str!("page/style.css");
/// Nothing but what stands in the page: a browser that is told so does not fetch, whatever the text in it says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Section {
    /// The scenario's name.
    pub name: String,
    /// What it shows, in one sentence.
    pub summary: String,
    /// What came of it; otherwise what went otherwise than it must, or why it could not be run.
    pub result: Result<Outcome, String>,
}

impl Section {
    /// What came of a scenario.
    pub fn new(scenario: &Scenario, result: Result<Outcome, String>) -> Self {
        Self { name: scenario.name.to_owned(), summary: scenario.summary.to_owned(), result }
    }
}

/// The page.
pub fn html(sections: &[Section]) -> String {
    let fulfilled = sections.iter().filter(|section| section.result.is_ok()).count();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "kdump-purgatory: " (sections.iter().map(|section| section.name.as_str()).collect::<Vec<_>>().join(", ")) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { "From boot to dump" }
                        p.lead {
                            (fulfilled) " of " (sections.len()) @if sections.len() == 1 { " scenario" } @else { " scenarios" } " fulfilled. Each is a real "
                            "kernel that is booted in QEMU, armed and made to panic, and judged by what its capture kernel finds."
                        }
                        @if sections.len() > 1 {
                            nav aria-label="Scenarios" { ul { @for section in sections { li { a href={ "#" (section.name) } { (section.name) } } } } }
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
                @if result.is_ok() { span.badge.good { "fulfilled" } } @else { span.badge.bad { "not fulfilled" } }
            }
            p.lead { (capitalised(summary)) "." }
            @match result {
                Ok(outcome) => (told(name, outcome)),
                Err(why) => pre.failure { (why) },
            }
        }
    }
}

/// What there is to tell of a fulfilled scenario.
fn told(name: &str, outcome: &Outcome) -> Markup {
    let evidence = &outcome.evidence;
    html! {
        (timeline::chapter(outcome))
        (purgatory::chapter(evidence))
        (memory::chapter(name, evidence))
        (vmcore::chapter(evidence))
        @if let Some(image) = &evidence.image {
            section.chapter {
                h3 { "The crash region" }
                p { "What kdump-loader put into the memory that was reserved for the capture kernel, and how the purgatory makes sure of it." }
                figure.scroll tabindex="0" role="group" aria-label="The crash region, drawn" { (PreEscaped(kdump_loader::picture::svg(image, &format!("{name}-image")))) }
            }
        }
        @if !outcome.facts.is_empty() {
            section.chapter {
                h3 { "Figures" }
                table.facts { tbody { @for (name, value) in &outcome.facts { tr { th scope="row" { (name) } td { (value) } } } } }
            }
        }
    }
}

/// The same sentence with a capital letter at its beginning.
fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests;
