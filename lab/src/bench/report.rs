//! Medians, ratios and targets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::image::Image;
use super::process::{Answer, Process};
use crate::machine::Machine;
use crate::range::Range;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub image: String,
    /// Its sizes, in words.
    pub what: String,
    /// MiB of the initrd if the image is one of the sweep.
    pub sweep_mib: Option<u64>,
    pub contestant: String,
    pub version: String,
    /// CPU times in seconds, ascending. Until 2026-11-29 they were wall times.
    pub seconds: Vec<f64>,
    /// Bytes of all verified segments.
    pub memory_bytes: u64,
    /// Bytes of these that went through SHA-256.
    pub hashed_bytes: u64,
}

impl Measured {
    pub fn new(contestant: &Process, image: &Image) -> Self {
        Self {
            image: image.name.clone(),
            what: image.what.clone(),
            sweep_mib: image.is_swept.then_some(image.initrd_kib >> 10),
            contestant: contestant.name.clone(),
            version: contestant.version.clone(),
            seconds: Vec::new(),
            memory_bytes: 0,
            hashed_bytes: 0,
        }
    }

    pub fn add(&mut self, answer: &Answer) {
        self.seconds.extend(&answer.seconds);
        self.seconds.sort_by(f64::total_cmp);
        (self.memory_bytes, self.hashed_bytes) = (answer.memory_bytes, answer.hashed_bytes);
    }

    /// Fastest, median and slowest time, in seconds.
    pub fn spread(&self) -> [f64; 3] {
        let Range { least, median, most } = Range::of(self.seconds.iter().copied());
        [least, median, most]
    }

    fn median(&self) -> f64 {
        self.spread()[1]
    }
}

struct Target {
    what: String,
    ratio: f64,
    /// Whether the bound is a minimum.
    at_least: bool,
    bound: f64,
}

pub struct Report {
    pub machine: Machine,
    pub measured: Vec<Measured>,
}

/// Contestants by name.
pub const OURS: &str = "ours, sha-ni";
const SOFT: &str = "ours, soft";
const KEXEC_TOOLS: &str = "kexec-tools";
pub const LIBRARY: &str = "openssl's SHA-256 (ring)";
pub const FLOOR: &str = "reading once";

impl Report {
    fn find(&self, image: &str, contestant: &str) -> Option<&Measured> {
        self.measured.iter().find(|one| one.image == image && one.contestant == contestant)
    }

    /// Every target whose contestants took part.
    fn targets(&self) -> Vec<Target> {
        let time = |image, contestant| Some(self.find(image, contestant)?.median());
        let ratio = |image, of, to| Some(time(image, of)? / time(image, to)?);
        let rate = |contestant| {
            let measured = self.find("files only", contestant)?;
            Some(measured.hashed_bytes as f64 / measured.median())
        };
        let mut targets = Vec::new();
        let mut aim = |what: String, ratio: Option<f64>, at_least, bound| {
            targets.extend(ratio.map(|ratio| Target { what, ratio, at_least, bound }));
        };
        for peer in [KEXEC_TOOLS, "linux-6.12", "linux-7"] {
            let what = format!("article's image: times faster than {peer}");
            aim(what, ratio("article", peer, OURS), true, 16.0);
        }
        let what = "files only: bytes hashed per second, times openssl's";
        aim(what.into(), ratio("files only", LIBRARY, OURS), true, 1.9);
        let what = "article's image: times as long as reading it once";
        aim(what.into(), ratio("article", OURS, FLOOR), false, 6.0);
        let what = "engine soft: bytes hashed per second, times kexec-tools'";
        let soft = rate(SOFT).and_then(|soft| Some(soft / rate(KEXEC_TOOLS)?));
        aim(what.into(), soft, true, 1.0);
        let what = "64 MiB to 4 GiB: largest deviation from linear growth";
        aim(what.into(), self.nonlinearity(), false, 0.05);
        targets
    }

    /// How far our time per MiB of initrd deviates from its mean over 64 MiB and more. Both count
    /// from the smallest initrd of the sweep.
    fn nonlinearity(&self) -> Option<f64> {
        let ours = self.measured.iter().filter(|one| one.contestant == OURS);
        let mut points = ours.filter_map(|one| Some((one.sweep_mib? as f64, one.median())));
        let (first_mib, first_s) = points.next()?;
        let slope = |(mib, s): (f64, f64)| (s - first_s) / (mib - first_mib);
        let slopes: Vec<f64> = points.filter(|(mib, _)| *mib >= 64.0).map(slope).collect();
        let mean = slopes.iter().sum::<f64>() / slopes.len() as f64;
        slopes.iter().map(|slope| (slope / mean - 1.0).abs()).max_by(f64::total_cmp)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}; one CPU used; {}", self.machine, self.machine.rustc)?;
        for image in self.measured.chunk_by(|one, next| one.image == next.image) {
            writeln!(out, "\n{}: {}", image[0].image, image[0].what)?;
            let head = ["time, ours=1", "median ms", "min - max ms", "MiB/s"];
            let [times, median, spread, rate] = head;
            writeln!(out, "  {:26} {times:>12} {median:>10}  {spread:>21} {rate:>9}  version", "")?;
            let ours = self.find(&image[0].image, OURS).map(Measured::median);
            for measured in image {
                let Measured { contestant, version, memory_bytes, .. } = measured;
                let [least, median, most] = measured.spread();
                let times = ours.map_or("-".into(), |ours| format!("{:.2}", median / ours));
                let spread = format!("{:.2} - {:.2}", least * 1e3, most * 1e3);
                let (ms, rate) = (median * 1e3, *memory_bytes as f64 / median / f64::from(1 << 20));
                writeln!(
                    out,
                    "  {contestant:<26} {times:>12} {ms:>10.2}  {spread:>21} {rate:>9.0}  {version}"
                )?;
            }
        }
        writeln!(out)?;
        for Target { what, ratio, at_least, bound } in self.targets() {
            let is_met = if at_least { ratio >= bound } else { ratio <= bound };
            let (met, way) =
                (["MISS", "met"][usize::from(is_met)], ["<=", ">="][usize::from(at_least)]);
            writeln!(out, "{met:<4} {what:<62} {ratio:>7.2} {way} {bound}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::machine;

    fn measured(image: &str, sweep_mib: Option<u64>, contestant: &str, seconds: f64) -> Measured {
        let json = serde_json::json!({
            "image": image, "what": "", "sweep_mib": sweep_mib, "contestant": contestant,
            "version": "", "seconds": [seconds], "memory_bytes": 2 << 20, "hashed_bytes": 1 << 20,
        });
        serde_json::from_value(json).unwrap()
    }

    fn report(measured: Vec<Measured>) -> Report {
        Report { machine: machine(), measured }
    }

    #[test]
    fn targets_are_ratios_of_one_image_and_say_whether_they_are_met() {
        let times = [(OURS, 0.01), (KEXEC_TOOLS, 0.2), ("linux-7", 0.1), (FLOOR, 0.001)];
        let all = times.map(|(contestant, s)| measured("article", None, contestant, s));
        let text = report(all.to_vec()).to_string();
        for line in [
            "met article's image: times faster than kexec-tools 20.00 >= 16",
            "MISS article's image: times faster than linux-7 10.00 >= 16",
            "MISS article's image: times as long as reading it once 10.00 <= 6",
        ] {
            let mut lines = text.lines();
            assert!(lines.any(|found| found.split_whitespace().eq(line.split(' '))), "{text}");
        }
    }

    #[test]
    fn growth_is_linear_if_each_mebibyte_takes_as_long_as_the_others() {
        let deviation = |last: f64| {
            let times = [(16, 1.16), (64, 1.64), (256, 3.56), (1024, last)];
            let all = times.map(|(mib, seconds)| measured("sweep", Some(mib), OURS, seconds));
            report(all.to_vec()).nonlinearity().unwrap()
        };
        assert!(deviation(11.24) < 1e-9);
        assert!(deviation(15.0) > 0.05);
        let of = |s: &[f64]| Measured { seconds: s.into(), ..measured("", None, "", 0.0) };
        assert_eq!(of(&[1.0, 2.0, 4.0, 9.0]).spread(), [1.0, 3.0, 9.0]);
    }
}
