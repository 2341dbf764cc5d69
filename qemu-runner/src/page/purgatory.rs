//! The purgatory's verdict and report, in words.

use handoff::Verdict;
use handoff::report::{Elfcorehdr, PARAMETER, Report};
use maud::{Markup, html};

use crate::evidence::outcome::Evidence;
use crate::evidence::report;

pub fn chapter(evidence: &Evidence) -> Markup {
    let parsed = |field: &String| report::parse(&format!("{PARAMETER}{field}")).ok();
    let report = evidence.report.as_ref().and_then(|field| Some((field, parsed(field)?)));
    let is_verdict = |verdict: &Verdict| Some(verdict.word()) == evidence.verdict.as_deref();
    let on_console = Verdict::ALL.iter().copied().find(is_verdict);
    let Some(verdict) = report.as_ref().map(|(_, report)| report.verdict).or(on_console) else {
        return html! {};
    };
    // The verdict is about the image. In a scenario that damages the image it is the expected one.
    let class = if verdict == Verdict::Ok { "verdict" } else { "verdict bad" };
    html! {
        section.chapter {
            h3 { "The purgatory" }
            p class=(class) { (super::capitalized(verdict.sentence())) "." }
            @if let Some((field, report)) = report {
                ul { @for words in words(&report) { li { (words) } } }
                p.wide {
                    "In the capture kernel's command line: "
                    code { (PARAMETER.trim_start()) (field) }
                }
            } @else {
                p { "The purgatory printed this on the console. No capture kernel was started." }
            }
        }
    }
}

/// A report, one sentence each.
fn words(report: &Report) -> Vec<String> {
    let Report { verdict: _, segment, engine, microseconds, nmis, elfcorehdr } = report;
    let seconds = *microseconds as f64 / 1e6;
    let mut words =
        vec![format!("It verified for {seconds:.3} s with the engine {}.", engine.word())];
    words.extend(segment.map(|kind| format!("The {} was changed.", kind.name())));
    words.push(format!("Non-maskable interrupts meanwhile: {nmis}."));
    let elfcorehdr = match elfcorehdr {
        Elfcorehdr::Ok => "has the structure that Linux gives it",
        Elfcorehdr::Restored => "was unusable: its load-time copy replaced it",
        Elfcorehdr::Broken => "was unusable, and so was its load-time copy",
    };
    words.push(format!("The elfcorehdr, which no digest covers, {elfcorehdr}."));
    words
}
