//! The timeline, from power-on to the end: a bar to scale, and every event.

use std::time::Duration;

use maud::{Markup, html};

use crate::evidence::outcome::{Outcome, Phase};

impl Phase {
    /// Its class.
    fn word(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// What it is called, given the next phase.
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

#[derive(Debug, PartialEq)]
struct Span {
    phase: Phase,
    name: &'static str,
    length: Duration,
}

pub fn chapter(outcome: &Outcome) -> Markup {
    let spans = spans(outcome);
    html! {
        section.chapter {
            h3 { "Timeline" }
            @if !spans.is_empty() {
                div.bar aria-hidden="true" {
                    @for Span { phase, length, .. } in &spans {
                        span class=(phase.word()) style={ "flex-grow:" (length.as_millis()) } {}
                    }
                }
                ul.phases {
                    @for Span { phase, name, length } in &spans {
                        li {
                            span class={ "swatch " (phase.word()) } {} " " (name) " "
                            span.number { (seconds(*length)) }
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

fn spans(outcome: &Outcome) -> Vec<Span> {
    let end = outcome.timeline.last().map_or(Duration::ZERO, |event| event.at);
    let span = |(index, &(from, phase)): (usize, &(Duration, Phase))| {
        let next = outcome.phases.get(index + 1);
        let length = next.map_or(end, |(began, _)| *began).saturating_sub(from);
        Span { phase, name: phase.name(next.map(|(_, phase)| *phase)), length }
    };
    outcome.phases.iter().enumerate().map(span).collect()
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
