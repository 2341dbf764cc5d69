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

    /// What a person calls it.
    const fn name(self) -> &'static str {
        match self {
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
                            @for (phase, from, to) in &spans {
                                li { span class={ "swatch " (phase.word()) } {} " " (phase.name()) " " span.number { (seconds(*to - *from)) } }
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

/// Each phase with its beginning and its end.
fn spans(outcome: &Outcome) -> Vec<(Phase, Duration, Duration)> {
    let end = outcome.timeline.last().map_or(Duration::ZERO, |event| event.at);
    let ends = outcome.phases.iter().skip(1).map(|(began, _)| *began).chain([end]);
    outcome.phases.iter().zip(ends).map(|((began, phase), end)| (*phase, *began, end.max(*began))).collect()
}

/// The phases to scale.
fn bar(spans: &[(Phase, Duration, Duration)]) -> Markup {
    let (start, end) = (spans.first().map(|span| span.1), spans.last().map(|span| span.2));
    let start = start.unwrap_or_default().as_secs_f64();
    let length = (end.unwrap_or_default().as_secs_f64() - start).max(f64::MIN_POSITIVE);
    let x = |at: Duration| ((at.as_secs_f64() - start) / length * BAR.0 * 100.0).round() / 100.0;
    let said: Vec<_> = spans.iter().map(|(phase, from, to)| format!("{}: {}", phase.name(), seconds(*to - *from))).collect();
    html! {
        svg.bar xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (BAR.0) " " (BAR.1) } preserveAspectRatio="none" role="img" aria-label=(said.join(", ")) {
            @for (phase, from, to) in spans {
                rect class=(phase.word()) x=(x(*from)) width=(x(*to) - x(*from)) height=(BAR.1) { title { (phase.name()) } }
            }
        }
    }
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
        assert_eq!(spans(&outcome), [(Phase::Boot, Duration::ZERO, two), (Phase::Armed, two, end)]);
        outcome.phases.clear();
        assert_eq!(spans(&outcome), []);
    }
}
