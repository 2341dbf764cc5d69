//! (3) Medians and ratios.

use std::fmt;

use super::call::Usage;
use crate::machine::Machine;
use crate::range::Range;

/// What user time must be a tenth of, at most.
const TARGET: f64 = 10.0;

/// How to read the table.
const NOTES: &str = "\
Both programs run below the same directory, which looks like a machine that was recorded under QEMU:
/proc, /sys, the kernel, the initrd and both programs with their libraries. A seccomp filter answers
kexec_load(2) with 0, so the kernel's time for copying the image is in no figure. Before the
measurement, the filter answers ENOMEM once: a call that arms must then fail.

kexec-tools has no reload. It is called as for a load each time, without the unload that its
services put before it. Crash memory cannot be read back here, so `reload` compares the machine with
the list that it has recorded instead of the list in memory. A peak below 6 MiB is that of the
program that measures.
";

/// What a program took, over all calls.
pub struct Spread {
    user_ms: Range,
    system_ms: Range,
    wall_ms: Range,
    peak_mib: Range,
}

impl Spread {
    /// Of at least one call.
    pub fn of(all: &[Usage]) -> Self {
        let range = |value: fn(&Usage) -> f64| Range::of(all.iter().map(value));
        Self {
            user_ms: range(|one| one.user_s * 1e3),
            system_ms: range(|one| one.system_s * 1e3),
            wall_ms: range(|one| one.wall_s * 1e3),
            peak_mib: range(|one| one.peak_kib as f64 / 1024.0),
        }
    }
}

/// The same, done by both.
pub struct Compared {
    pub name: &'static str,
    pub theirs: Spread,
    pub ours: Spread,
}

impl Compared {
    /// How many times the user time of ours theirs is.
    fn user_ratio(&self) -> f64 {
        self.theirs.user_ms.median / self.ours.user_ms.median
    }
}

pub struct Report {
    pub machine: Machine,
    pub pairs: u32,
    /// The package and its version.
    pub peer: String,
    /// What is armed.
    pub files: String,
    pub compared: Vec<Compared>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, pairs, peer, files, compared } = self;
        writeln!(out, "# `load` and `reload` beside kexec-tools, on the bare CPU\n")?;
        writeln!(
            out,
            "Written by `cargo lab load-native --pairs {pairs} --write` on\n{machine}.\n"
        )?;
        writeln!(out, "{files}. Medians of {pairs} pairs, with the least and the most.\n")?;
        writeln!(
            out,
            "| | program | user, ms | system, ms | wall, ms | peak memory, MiB |\n\
             | --- | --- | ---: | ---: | ---: | ---: |"
        )?;
        for one in compared {
            for (program, spread) in [(peer.as_str(), &one.theirs), ("kdump-loader", &one.ours)] {
                let Spread { user_ms, system_ms, wall_ms, peak_mib } = spread;
                let name = one.name;
                writeln!(
                    out,
                    "| {name} | {program} | {user_ms} | {system_ms} | {wall_ms} | {peak_mib} |"
                )?;
            }
        }
        writeln!(out)?;
        for one in compared {
            let (name, ratio) = (one.name, one.user_ratio());
            let met = if ratio >= TARGET { "met" } else { "missed" };
            writeln!(
                out,
                "* {name}: kexec-tools takes {ratio:.1} times the user time (target: {TARGET:.0}, \
                 {met})"
            )?;
        }
        write!(out, "\n{NOTES}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::machine;

    fn usage(user_s: f64) -> Usage {
        Usage { user_s, system_s: 0.01, wall_s: 1.0, peak_kib: 2048 }
    }

    #[test]
    fn medians_are_of_all_calls_and_the_ratio_is_of_medians() {
        let theirs = Spread::of(&[0.9, 0.2, 0.3, 0.5].map(usage));
        assert_eq!(theirs.user_ms.to_string(), "400.0 (200.0 to 900.0)");
        let [met, missed] = [0.04, 0.041].map(|ours| Compared {
            name: "load",
            theirs: Spread::of(&[usage(0.4)]),
            ours: Spread::of(&[usage(ours)]),
        });
        let report = |one| {
            let (peer, files) = ("kexec".to_owned(), "Linux".to_owned());
            Report { machine: machine(), pairs: 3, peer, files, compared: vec![one] }.to_string()
        };
        let (met, missed) = (report(met), report(missed));
        assert!(met.contains("10.0 times the user time (target: 10, met)"), "{met}");
        assert!(missed.contains("9.8 times the user time (target: 10, missed)"), "{missed}");
        assert!(met.contains("| 2.0 (2.0 to 2.0) |"), "{met}");
    }
}
