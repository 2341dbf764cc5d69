//! When what happened, from the switch to the end: a bar to scale, and every event.

use std::time::Duration;

use maud::{Markup, html};

use crate::outcome::{Outcome, Phase};

/// Pixels of the bar.
const BAR: (f64, f64) = (892.0, 26.0);

impl Phase {
    /// One word, for classes.
    const fn word(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Armed => "armed",
            Self::Panic => "panic",
            Self::Purgatory => "purgatory",
            Self::Start => "start",
            Self::Capture => "capture",
        }
    }

    /// What a person calls it, given what comes next.
    fn name(self, next: Option<Self>) -> &'static str {
        match self {
            Self::Panic if next == Some(Self::Capture) => "panic to capture kernel",
            Self::Boot => "first kernel, nothing armed",
            Self::Armed => "first kernel, armed",
            Self::Panic => "panic",
            Self::Purgatory => "purgatory verifies",
            Self::Start => "capture kernel starts",
            Self::Capture => "capture kernel is up",
        }
    }
}

/// Timeline and bar.
pub fn chapter(outcome: &Outcome) -> Markup {
    let spans = spans(outcome);
    html! {
        section.chapter {
            h3 { "Timeline" }
            @if !spans.is_empty() {
                figure {
                    (bar(&spans))
                    figcaption {
                        ul.phases {
                            @for Span { phase, name, from, to } in &spans {
                                li { span class={ "swatch " (phase.word()) } {} " " (name) " " span.number { (seconds(*to - *from)) } }
                            }
                        }
                    }
                }
            }
            ol.timeline {
                @for event in &outcome.timeline {
                    li class=[outcome.phase_at(event.at).map(Phase::word)] {
                        span.number { (seconds(event.at)) } span.what { (event.what) }
                    }
                }
            }
        }
    }
}

/// A phase with its beginning and its end.
#[derive(Debug, PartialEq)]
struct Span {
    phase: Phase,
    name: &'static str,
    from: Duration,
    to: Duration,
}

fn spans(outcome: &Outcome) -> Vec<Span> {
    let end = outcome.timeline.last().map_or(Duration::ZERO, |event| event.at);
    let span = |(index, &(from, phase)): (usize, &(Duration, Phase))| {
        let next = outcome.phases.get(index + 1);
        let to = next.map_or(end, |(began, _)| *began).max(from);
        Span { phase, name: phase.name(next.map(|(_, phase)| *phase)), from, to }
    };
    outcome.phases.iter().enumerate().map(span).collect()
}

/// The phases to scale.
fn bar(spans: &[Span]) -> Markup {
    let (start, end) = (spans.first().map(|span| span.from), spans.last().map(|span| span.to));
    let start = start.unwrap_or_default().as_secs_f64();
    let length = (end.unwrap_or_default().as_secs_f64() - start).max(f64::MIN_POSITIVE);
    let x = |at: Duration| number((at.as_secs_f64() - start) / length * BAR.0);
    let said: Vec<_> = spans.iter().map(|span| format!("{}: {}", span.name, seconds(span.to - span.from))).collect();
    html! {
        svg.bar xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (BAR.0) " " (BAR.1) } preserveAspectRatio="none" role="img" aria-label=(said.join(", ")) {
            @for Span { phase, name, from, to } in spans {
                rect class=(phase.word()) x=(x(*from)) width=(number(x(*to) - x(*from))) height=(BAR.1) { title { (name) } }
            }
        }
    }
}

/// Hundredths of a pixel are enough.
fn number(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_one_another_up_to_the_last_event() {
        let mut outcome: Outcome = super::super::tests::hotplug();
        outcome.phases = vec![(Duration::ZERO, Phase::Boot), (Duration::from_secs(2), Phase::Armed)];
        let end = outcome.timeline.last().unwrap().at;
        let two = Duration::from_secs(2);
        let span = |phase: Phase, from, to| Span { phase, name: phase.name(None), from, to };
        assert_eq!(spans(&outcome), [span(Phase::Boot, Duration::ZERO, two), span(Phase::Armed, two, end)]);
        outcome.phases.clear();
        assert_eq!(spans(&outcome), []);
    }

    #[test]
    fn panic_without_a_word_of_the_purgatory_lasts_until_the_capture_kernel_is_up() {
        assert_eq!(Phase::Panic.name(Some(Phase::Capture)), "panic to capture kernel");
        assert_eq!(Phase::Panic.name(Some(Phase::Purgatory)), "panic");
    }
}
