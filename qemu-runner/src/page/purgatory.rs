//! What the purgatory said, in words.

use handoff::Verdict;
use handoff::report::{Elfcorehdr, PARAMETER, Report};
use maud::{Markup, html};

use crate::outcome::Evidence;
use crate::report;

/// Verdict and report.
pub fn chapter(evidence: &Evidence) -> Markup {
    let report = evidence.report.as_ref().map(|field| (field, report::parse(&format!("{PARAMETER}{field}"))));
    html! {
        @if let Some((field, Ok(report))) = &report {
            section.chapter {
                h3 { "The purgatory" }
                (told(report.verdict))
                ul { @for words in words(report) { li { (words) } } }
                p.wide { "In the capture kernel's command line: " code { (PARAMETER.trim_start()) (field) } }
            }
        } @else if let Some(verdict) = verdict(evidence) {
            section.chapter {
                h3 { "The purgatory" }
                (told(verdict))
                p { "It said so on the console, and no capture kernel was there to be told." }
            }
        }
    }
}

fn verdict(evidence: &Evidence) -> Option<Verdict> {
    let word = evidence.verdict.as_ref()?;
    Verdict::ALL.iter().copied().find(|verdict| verdict.word() == word)
}

/// A verdict in a sentence, and whether that is good news: of the image, not of the scenario, in which it may be what must come out.
fn told(verdict: Verdict) -> Markup {
    let sentence = super::capitalised(verdict.sentence());
    html! { @if verdict == Verdict::Ok { p.verdict { (sentence) "." } } @else { p.verdict.bad { (sentence) "." } } }
}

/// Everything in a report, a sentence each.
fn words(report: &Report) -> Vec<String> {
    let Report { verdict: _, segment, engine, microseconds, nmis, elfcorehdr } = report;
    let time = f64::from(u32::try_from(*microseconds).unwrap_or(u32::MAX)) / 1e6;
    let mut words = vec![format!("It verified for {time:.3} s with the engine {}.", engine.word())];
    words.extend(segment.map(|kind| format!("What was changed is the {}.", kind.name())));
    words.push(match nmis {
        0 => "No non-maskable interrupt came meanwhile.".into(),
        1 => "One non-maskable interrupt came meanwhile, and was counted.".into(),
        many => format!("{many} non-maskable interrupts came meanwhile, and were counted."),
    });
    words.push(
        match elfcorehdr {
            Elfcorehdr::Ok => "The elfcorehdr, which no digest covers, has the structure that Linux gives it.",
            Elfcorehdr::Restored => "The elfcorehdr could not have worked: its load-time copy was put back.",
            Elfcorehdr::Broken => "The elfcorehdr could not have worked, and there was no sound copy of it.",
        }
        .into(),
    );
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_is_told_in_words_and_verbatim() {
        let evidence =
            Evidence { report: Some("ok,engine:sha-ni,us:312000,nmi:2,elfcorehdr:restored".into()), ..Evidence::default() };
        let text = chapter(&evidence).into_string();
        for words in [
            "Every segment is as it was loaded.",
            "for 0.312 s with the engine sha-ni",
            "2 non-maskable interrupts",
            "load-time copy was put back",
            "purgatory.report=ok,engine:sha-ni,us:312000",
        ] {
            assert!(text.contains(words), "{words} is missing in {text}");
        }
    }

    #[test]
    fn verdict_without_a_capture_kernel_is_told_too() {
        let evidence = Evidence { verdict: Some(Verdict::Seal.word().into()), ..Evidence::default() };
        assert!(chapter(&evidence).into_string().contains("its seal does not match"));
        assert_eq!(chapter(&Evidence::default()).into_string(), "");
    }
}
