//! Ratios first: each image with everybody who verified it, and what was aimed at.

use std::fmt;

use serde::Serialize;

use super::machine::Machine;
use super::measure::{Measured, Race};

/// All that is printed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whose figures.
    pub machine: Machine,
    /// Image by image.
    pub races: Vec<Race>,
    /// What was aimed at.
    pub targets: Vec<Target>,
}

/// Something to reach.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// Of what.
    pub what: String,
    /// The figure.
    pub ratio: f64,
    /// What it shall be: at least, or at most.
    pub aim: Aim,
    /// Whether it is.
    pub met: bool,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// More is better.
    AtLeast(f64),
    /// Less is.
    AtMost(f64),
}

const OURS: &str = "ours, sha-ni";
const SOFT: &str = "ours, soft";
const KEXEC_TOOLS: &str = "kexec-tools";
const LIBRARY: &str = "openssl's SHA-256 (ring)";
const FLOOR: &str = "reading once";

impl Report {
    /// Works out the ratios.
    pub fn new(machine: Machine, races: Vec<Race>) -> Self {
        let targets = targets(&races);
        Self { machine, races, targets }
    }
}

fn time(race: &Race, who: &str) -> Option<f64> {
    race.contestants.iter().find(|measured| measured.contestant == who).map(Measured::median)
}

/// Every target whose contestants took part.
fn targets(races: &[Race]) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut aim = |what: String, ratio: Option<f64>, aim: Aim| {
        let Some(ratio) = ratio else { return };
        let met = match aim {
            Aim::AtLeast(least) => ratio >= least,
            Aim::AtMost(most) => ratio <= most,
        };
        targets.push(Target { what, ratio, aim, met });
    };
    let race = |name: &str| races.iter().find(|race| race.image.name == name);
    let ratio = |image: &str, who: &str, than: &str| {
        let race = race(image)?;
        Some(time(race, than)? / time(race, who)?)
    };
    for peer in peers(races) {
        aim(format!("article's image: times faster than {peer}"), ratio("article", OURS, &peer), Aim::AtLeast(16.0));
    }
    aim("files only: bytes hashed per second, times openssl's".into(), ratio("files only", OURS, LIBRARY), Aim::AtLeast(1.9));
    aim("article's image: times as long as reading it once".into(), ratio("article", FLOOR, OURS), Aim::AtMost(6.0));
    let soft = race("files only").and_then(|race| {
        let rate = |who: &str| race.contestants.iter().find(|m| m.contestant == who).map(|m| m.hashed_bytes as f64 / m.median());
        Some(rate(SOFT)? / rate(KEXEC_TOOLS)?)
    });
    aim("engine soft: bytes hashed per second, times kexec-tools'".into(), soft, Aim::AtLeast(1.0));
    aim("from 64 MiB to 4 GiB: largest deviation from linear growth".into(), nonlinearity(races, OURS), Aim::AtMost(0.05));
    targets
}

/// The C purgatories that took part.
fn peers(races: &[Race]) -> Vec<String> {
    let names = races.first().map(|race| race.contestants.iter().map(|measured| measured.contestant.clone()));
    names.into_iter().flatten().filter(|name| name == KEXEC_TOOLS || name.starts_with("linux")).collect()
}

/// How far the time per MiB of initrd, beyond what the smallest image of the sweep takes, strays from its mean over 64 MiB and more.
fn nonlinearity(races: &[Race], who: &str) -> Option<f64> {
    let points: Vec<(f64, f64)> =
        races.iter().filter_map(|race| Some((race.image.sweep_mib? as f64, time(race, who)?))).collect();
    let (&(first_mib, first_seconds), rest) = points.split_first()?;
    let slopes: Vec<f64> =
        rest.iter().filter(|(mib, _)| *mib >= 64.0).map(|(mib, seconds)| (seconds - first_seconds) / (mib - first_mib)).collect();
    let mean = slopes.iter().sum::<f64>() / slopes.len() as f64;
    slopes.iter().map(|slope| (slope / mean - 1.0).abs()).max_by(f64::total_cmp)
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cpus, kernel, rustc, commit, date } = &self.machine;
        writeln!(out, "{cpu}, {cpus} CPUs, one used; Linux {kernel}; {rustc}; {commit}; {date}")?;
        for race in &self.races {
            let ours = time(race, OURS);
            writeln!(out, "\n{}: {}", race.image.name, race.image.what)?;
            writeln!(
                out,
                "  {:<26} {:>12} {:>10}  {:>21} {:>9}  {:<}",
                "", "time, ours=1", "median ms", "min - max ms", "MiB/s", "version"
            )?;
            for measured in &race.contestants {
                let median = measured.median();
                let (least, most) = measured.spread();
                let times = ours.map_or("-".into(), |ours| format!("{:.2}", median / ours));
                let spread = format!("{:.2} - {:.2}", least * 1e3, most * 1e3);
                let rate = measured.memory_bytes as f64 / median / f64::from(1 << 20);
                let (name, version) = (&measured.contestant, &measured.version);
                writeln!(out, "  {name:<26} {times:>12} {:>10.2}  {spread:>21} {rate:>9.0}  {version}", median * 1e3)?;
            }
        }
        writeln!(out)?;
        for Target { what, ratio, aim, met } in &self.targets {
            let (way, figure) = match aim {
                Aim::AtLeast(figure) => (">=", figure),
                Aim::AtMost(figure) => ("<=", figure),
            };
            writeln!(out, "{:<4} {what:<62} {ratio:>7.2} {way} {figure}", if *met { "met" } else { "MISS" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::images::Image;

    fn race(name: &str, sweep_mib: Option<u64>, times: &[(&str, f64)]) -> Race {
        let image = Image { name: name.into(), what: String::new(), sweep_mib, large: false, arguments: vec![] };
        let measured = |&(who, seconds): &(&str, f64)| Measured {
            contestant: who.into(),
            version: String::new(),
            seconds: vec![seconds],
            file_bytes: 1 << 20,
            memory_bytes: 2 << 20,
            hashed_bytes: 1 << 20,
        };
        Race { image, contestants: times.iter().map(measured).collect() }
    }

    #[test]
    fn targets_are_ratios_of_one_image_and_say_whether_they_are_met() {
        let races = [race("article", None, &[(OURS, 0.01), (KEXEC_TOOLS, 0.2), ("linux-7", 0.1), (FLOOR, 0.001)])];
        let found: Vec<(f64, bool)> = targets(&races).iter().map(|target| (target.ratio.round(), target.met)).collect();
        assert_eq!(found, [(20.0, true), (10.0, false), (10.0, false)]);
    }

    #[test]
    fn growth_is_linear_if_each_mebibyte_takes_as_long_as_the_others() {
        let sweep = |last: f64| {
            let times = [(16, 1.16), (64, 1.64), (256, 3.56), (1024, last)];
            nonlinearity(&times.map(|(mib, seconds)| race("sweep", Some(mib), &[(OURS, seconds)])), OURS).unwrap()
        };
        assert!(sweep(11.24) < 1e-9);
        assert!(sweep(15.0) > 0.05);
    }
}
