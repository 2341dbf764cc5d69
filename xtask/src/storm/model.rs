//! What was measured, carried on to the article's storm: 480 GiB, 3840 blocks.
//!
//! A straight line through all sizes measured: each further block is taken to cost what the measured ones did. Where events are collected that holds,
//! too, as long as a storm's length, and the pauses in it, grow with its blocks. A reload that takes longer the more ranges of memory there are
//! makes the truth worse.

use qemu_runner::storm::{Contestant, Measured};
use serde::Serialize;

use super::fit::Line;

/// Blocks of the article: 480 GiB in blocks of 128 MiB.
pub const ARTICLE_BLOCKS: u32 = 3840;

/// What is carried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// kexec_load(2)s with segments.
    Reloads,
    /// GiB copied into the crash region.
    CopiedGib,
    /// Seconds with nothing armed.
    UnprotectedS,
    /// CPU seconds of user space.
    CpuS,
    /// Seconds of the kernel's own updates.
    UpdatesS,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Reloads, Self::CopiedGib, Self::UnprotectedS, Self::CpuS, Self::UpdatesS];

    /// What it is called, with its unit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reloads => "reloads",
            Self::CopiedGib => "copied, GiB",
            Self::UnprotectedS => "nothing armed, s",
            Self::CpuS => "CPU, s",
            Self::UpdatesS => "kernel's updates, s",
        }
    }

    /// What it was in one storm.
    pub fn of(self, measured: &Measured) -> f64 {
        match self {
            Self::Reloads => measured.reloads as f64,
            Self::CopiedGib => measured.copied_bytes as f64 / f64::from(1 << 30),
            Self::UnprotectedS => measured.unprotected_s,
            Self::CpuS => measured.cpu_s,
            Self::UpdatesS => measured.kernel_updates_s,
        }
    }
}

/// A line and where it leads.
#[derive(Clone, Debug, Serialize)]
pub struct Extrapolation {
    /// The guest's kernel.
    pub series: String,
    /// Who kept the image true.
    pub contestant: Contestant,
    /// What.
    pub quantity: Quantity,
    /// Along which line.
    pub line: Line,
    /// Its value at [`ARTICLE_BLOCKS`].
    pub at_article: f64,
}

/// Kernel and contestant of every storm, each once, in the order in which they were measured.
pub fn groups(measured: &[Measured]) -> Vec<(String, Contestant)> {
    let mut groups: Vec<(String, Contestant)> = Vec::new();
    for Measured { series, contestant, .. } in measured {
        if !groups.iter().any(|(known, who)| known == series && who == contestant) {
            groups.push((series.clone(), *contestant));
        }
    }
    groups.sort_by_key(|(series, _)| series.len());
    groups
}

/// Every kernel, contestant and quantity of which there are points enough for a line.
pub fn extrapolations(measured: &[Measured]) -> Vec<Extrapolation> {
    let mut all = Vec::new();
    for (series, contestant) in groups(measured) {
        let storms: Vec<&Measured> =
            measured.iter().filter(|storm| storm.series == series && storm.contestant == contestant).collect();
        for quantity in Quantity::ALL {
            // Without the flag the kernel looks and leaves.
            if quantity == Quantity::UpdatesS && contestant != Contestant::InKernel {
                continue;
            }
            let points: Vec<_> = storms.iter().map(|storm| (f64::from(storm.size.blocks), quantity.of(storm))).collect();
            if let Some(line) = Line::through(&points) {
                // A line through points near zero may lead below it.
                let at_article = line.at(f64::from(ARTICLE_BLOCKS)).max(0.0);
                all.push(Extrapolation { series: series.clone(), contestant, quantity, line, at_article });
            }
        }
    }
    all
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use qemu_runner::storm::Size;

    /// A storm of so many blocks, each of which has cost one reload of half a second.
    pub fn storm(contestant: Contestant, series: &str, blocks: u32) -> Measured {
        let seconds = f64::from(blocks) / 2.0;
        Measured {
            contestant,
            release: format!("{series}.1"),
            series: series.into(),
            size: Size::of(blocks).unwrap(),
            image_bytes: 1 << 24,
            arming_s: 0.1,
            storm_s: 1.0,
            true_after_s: Some(1.5),
            quiet_after_s: seconds,
            reloads: blocks.into(),
            unloads: blocks.into(),
            refused: 0,
            copied_bytes: u64::from(blocks) << 24,
            reloading_s: f64::from(blocks) / 5.0,
            kernel_updates: 0,
            kernel_updates_s: 0.0,
            gaps: blocks.into(),
            unprotected_s: seconds,
            unprotected_bounds_s: (seconds, seconds),
            poll_hz: 50_000.0,
            longest_pause_s: 0.001,
            long_pauses: 0.01,
            cpu_s: seconds,
            cpu_user_s: seconds,
            host_load: 2.0,
            bursts: 1,
        }
    }

    #[test]
    fn each_kernel_and_contestant_has_its_own_lines() {
        let who = Contestant::KexecPerEvent;
        let measured =
            [storm(who, "6.1", 8), storm(who, "6.12", 8), storm(who, "6.1", 32), storm(Contestant::InKernel, "6.12", 8)];
        assert_eq!(groups(&measured).len(), 3);
        let lines = extrapolations(&measured);
        // One point is no line.
        assert!(lines.len() == Quantity::ALL.len() - 1 && lines.iter().all(|line| line.series == "6.1"));
        let unprotected = lines.iter().find(|line| line.quantity == Quantity::UnprotectedS).unwrap();
        assert!((unprotected.at_article - 1920.0).abs() < 1e-6);
        let copied = lines.iter().find(|line| line.quantity == Quantity::CopiedGib).unwrap();
        assert!((copied.at_article - 60.0).abs() < 1e-6);
    }
}
