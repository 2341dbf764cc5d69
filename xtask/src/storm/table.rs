//! The text: what was measured, where the lines lead, and the article's figures beside it.

use std::fmt;

use qemu_runner::storm::{Contestant, Measured, SAME_BURST_S};
use serde::Serialize;

use super::SERIES;
use super::model::{ARTICLE_BLOCKS, Extrapolation, extrapolations, groups};
use super::price;
use super::series::Series;
use crate::bench::machine::Machine;

/// Everything that is known of a series.
#[derive(Serialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// Every storm.
    pub measured: Vec<Measured>,
    /// How many of them an earlier run has measured, of another commit, maybe.
    pub earlier: usize,
    /// Those that the series was interrupted before, in words.
    pub unmeasured: Vec<String>,
    /// Every line.
    pub extrapolated: Vec<Extrapolation>,
}

/// From here on an extrapolation is far.
const FAR: u32 = 30;

/// The article's figures: E. DeVolder, "Crash hotplug: Kernel handling of CPU and memory hot un/plug", Oracle Linux blog, 9 January 2024; the
/// throttler's reloads are from his "[RFC]: kexec: change to handle memory/cpu changes", LKML, 14 December 2020.
const ARTICLE: &str = "\
| the article, 3840 blocks, a machine with KVM | reloads | copied, GiB | nothing armed | user space's work |
| --- | ---: | ---: | --- | --- |
| RHEL 7, kexec-tools for each event | 3840 | 150 (it says 128) | during each of 3840 reloads | 389 s for 144 s of scaling |
| RHEL 8, throttler | \"over 1000\"; 21 to 105 by the RFC | - | during each | 86 to 419 s by the RFC |
| in the kernel, 6.6 and later | 0 | 0 | \"just the time needed to rewrite the elfcorehdr\" | none |
";

impl Report {
    /// With the lines through what was measured.
    pub fn new(machine: Machine, Series { measured, earlier, unmeasured }: Series) -> Self {
        let extrapolated = extrapolations(&measured);
        Self { machine, measured, earlier, unmeasured, extrapolated }
    }

    fn storms(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (series, contestant) in groups(&self.measured) {
            let of_group = || self.measured.iter().filter(|storm| storm.series == series && storm.contestant == contestant);
            let release = of_group().next().map_or("", |storm| &storm.release);
            writeln!(out, "\n**{}**, Linux {release}\n", contestant.words())?;
            writeln!(
                out,
                "| blocks | DIMMs | storm, s | bursts | reloads | copied, MiB | nothing armed, s | gaps | true after, s | quiet after, s | CPU, s | kernel's updates |"
            )?;
            writeln!(out, "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")?;
            for storm in of_group() {
                let true_after = storm.true_after_s.map_or("never".into(), |seconds| format!("{seconds:.2}"));
                let bursts = if storm.bursts == 0 { "-".into() } else { storm.bursts.to_string() };
                let updates = match storm.kernel_updates {
                    0 => "-".into(),
                    count => format!("{count} in {:.1} ms", storm.kernel_updates_s * 1e3),
                };
                writeln!(
                    out,
                    "| {} | {} | {:.1} | {bursts} | {} | {:.0} | {:.6} | {} | {true_after} | {:.1} | {:.1} | {updates} |",
                    storm.size.blocks,
                    storm.size.dimms(),
                    storm.storm_s,
                    storm.reloads,
                    storm.copied_bytes as f64 / f64::from(1 << 20),
                    storm.unprotected_s,
                    storm.gaps,
                    storm.quiet_after_s,
                    storm.cpu_s,
                )?;
            }
        }
        Ok(())
    }

    fn left_out(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for series in SERIES.iter().filter(|series| self.measured.iter().any(|storm| storm.series == **series)) {
            for contestant in Contestant::ALL {
                if let Some(why) = contestant.impossible_on(series) {
                    writeln!(out, "\n{}: not on {series}, for {why}.", contestant.words())?;
                }
            }
        }
        Ok(())
    }

    fn interrupted(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.earlier > 0 {
            let (earlier, all) = (self.earlier, self.measured.len());
            writeln!(
                out,
                "\n{earlier} of the {all} storms are of earlier runs, which this one has gone on from, not all of them of this commit."
            )?;
        }
        if self.unmeasured.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nThe series was interrupted before: {}.", self.unmeasured.join("; "))
    }

    fn polling(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = |of: fn(&Measured) -> f64, pick: fn(f64, f64) -> f64| self.measured.iter().map(of).reduce(pick).unwrap_or(0.0);
        let (least, most) = (over(|storm| storm.poll_hz, f64::min), over(|storm| storm.poll_hz, f64::max));
        let longest = over(|storm| storm.longest_pause_s, f64::max);
        let long = over(|storm| storm.long_pauses, f64::max);
        let (idle, busy) = (over(|storm| storm.host_load, f64::min), over(|storm| storm.host_load, f64::max));
        writeln!(
            out,
            "\n`kexec_crash_loaded` was read {least:.0} to {most:.0} times per second; the longest pause between two readings of any storm was \
             {:.1} ms, and at most {:.2} % of the pauses were longer than 0.1 ms. A gap is counted from the first reading of 0 to the first of 1; \
             the bounds of each sum stand in storm.json. The host's load average when a storm began was {idle:.1} to {busy:.1}; what it did besides \
             makes seconds longer, of whatever kind, and counts and bytes no different.",
            longest * 1e3,
            long * 100.0
        )
    }

    fn lines(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.extrapolated.is_empty() {
            return writeln!(out, "\nOne size is no line: nothing is extrapolated.");
        }
        writeln!(out, "\n## Carried on to {ARTICLE_BLOCKS} blocks\n")?;
        writeln!(
            out,
            "Nobody has measured this. It is a straight line by least squares through the sizes above, which takes for granted that each further block \
             costs what the measured ones did, and that a storm's length and the pauses in it grow with its blocks. A reload, or an update of the \
             kernel's, that takes longer the more ranges of memory there are makes the truth worse. Seconds are those of an emulated machine."
        )?;
        let largest = self.measured.iter().map(|storm| storm.size.blocks).max().unwrap_or(0).max(1);
        if ARTICLE_BLOCKS / largest > FAR {
            writeln!(
                out,
                "\nThe largest storm measured has {largest} blocks, {} times fewer: what follows is no more than an order of magnitude.",
                ARTICLE_BLOCKS / largest
            )?;
        }
        writeln!(out, "\n| kernel | contestant | quantity | line | at {ARTICLE_BLOCKS} |")?;
        writeln!(out, "| --- | --- | --- | --- | ---: |")?;
        for Extrapolation { series, contestant, quantity, line, at_article } in &self.extrapolated {
            let (name, points) = (quantity.name(), line.points);
            let [base, slope, worst] = [line.base, line.slope, line.worst].map(significant);
            let line = format!("{base} + {slope} × blocks; {points} points, the farthest {worst} off");
            writeln!(out, "| {series} | {contestant} | {name} | {line} | {} |", significant(*at_article))?;
        }
        writeln!(out, "\n{ARTICLE}")
    }
}

/// Three digits that mean something.
fn significant(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 7) as usize };
    format!("{value:.digits$}")
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cpus, kernel, commit, date, .. } = &self.machine;
        writeln!(out, "# Storms of memory, measured\n")?;
        writeln!(
            out,
            "Written by `cargo xtask storm --write` on {cpu}, {cpus} CPUs, Linux {kernel}; {commit}; {date}. The guests have three CPUs, emulated \
             by QEMU's TCG, one of them the poller's. Blocks of 128 MiB come in DIMMs, each as soon as the guest has taken the one before. Every \
             figure is what the guest's kernel says: its probes on kexec_load(2) and on its own updates of the elfcorehdr, kexec_crash_loaded, \
             the elfcorehdr in its memory, the CPU time of udev's cgroup. A pause of more than {SAME_BURST_S} s between two \
             blocks ends a burst; - where nobody has counted them. During the kernel's own updates it holds its lock, so that a panic leaves no \
             dump although an image is armed; their sum is an upper bound, for it has the waiting for the lock in it."
        )?;
        if let Some(storm) = self.measured.first() {
            let mib = storm.image_bytes as f64 / f64::from(1 << 20);
            writeln!(out, "\nArming copies {mib:.1} MiB into the crash region (the article: some 40).")?;
        }
        self.storms(out)?;
        self.left_out(out)?;
        self.interrupted(out)?;
        self.polling(out)?;
        price::write(&self.measured, out)?;
        self.lines(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::storm;
    use super::*;

    fn report(measured: Vec<Measured>) -> String {
        let text = |text: &str| text.to_owned();
        let machine = Machine {
            cpu: text("CPU"),
            cpus: 2,
            kernel: text("6"),
            rustc: text("rustc"),
            commit: text("c0ffee"),
            date: text("2026-11-25"),
        };
        let unmeasured = vec!["6.1 in-kernel, 9 blocks".into()];
        Report::new(machine, Series { measured, earlier: 1, unmeasured }).to_string()
    }

    #[test]
    fn what_is_extrapolated_is_called_so_and_stands_beside_the_article() {
        let text = report([8, 32].map(|blocks| storm(Contestant::KexecPerEvent, "6.1", blocks)).to_vec());
        assert!(text.contains("Nobody has measured this") && text.contains("389 s for 144 s"), "{text}");
        let row = "| 6.1 | kexec-per-event | nothing armed, s | 0 + 0.500 × blocks; 2 points, the farthest 0 off | 1920 |";
        assert!(text.contains(row) && text.contains("no more than an order of magnitude"), "{text}");
        assert!(text.contains("not on 6.1, for kernels before 6.6"), "{text}");
        assert!(
            text.contains("interrupted before: 6.1 in-kernel, 9 blocks.")
                && text.contains("1 of the 2 storms are of earlier runs"),
            "{text}"
        );
    }

    #[test]
    fn one_size_is_not_extrapolated() {
        let text = report(vec![storm(Contestant::InKernel, "6.12", 8)]);
        assert!(text.contains("nothing is extrapolated") && !text.contains("389"), "{text}");
        assert!(!text.contains("not on 6.1"), "{text}");
    }

    #[test]
    fn image_that_never_became_true_is_no_number() {
        let text = report(vec![Measured { true_after_s: None, ..storm(Contestant::KexecThrottled, "6.12", 8) }]);
        assert!(text.contains("| never |"), "{text}");
    }

    #[test]
    fn numbers_have_three_digits_that_mean_something() {
        assert_eq!([0.0, 0.012_345, 1.5, 1920.4].map(significant), ["0", "0.0123", "1.50", "1920"]);
        assert_eq!(significant(-0.5), "-0.500");
    }
}
