//! `cargo xtask panics`: guests are panicked at drawn moments while memory and CPUs come and go, armed by kdump-loader and by kexec-tools'
//! service, at the same moments.
//!
//! On entry: nothing; what is missing is brought and built. On exit: how many dumps there were, how many described exactly the memory that was
//! there, and the cause of each that did not; with `--write` as `docs/storm/panics.md` and `panics.json`. A miss that nothing explains fails.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};
use qemu_runner::Context;
use qemu_runner::panics::{self, Cause, Ended, Panicked, draws};
use qemu_runner::storm::Contestant;
use serde::Serialize;
use xshell::Shell;

use crate::bench::machine::{self, Machine};
use crate::qemu;
use crate::repository::Repository;
use crate::storm::results::{self, Results};

/// Who is compared.
const CONTESTANTS: [Contestant; 2] = [Contestant::InKernel, Contestant::KexecPerEvent];

/// Panic guests at drawn moments while memory and CPUs come and go, and name the cause of every dump that is missed
#[derive(clap::Args)]
pub struct Args {
    /// How many moments; each is tried with kdump-loader and with kexec-tools
    #[arg(long, default_value_t = 40)]
    count: u32,
    /// What the moments are drawn from
    #[arg(long, default_value_t = 6)]
    seed: u64,
    /// Go on with an interrupted series: keep what it has found
    #[arg(long)]
    resume: bool,
    /// Write docs/storm/panics.md and panics.json
    #[arg(long)]
    write: bool,
}

impl Args {
    /// Panics, prints, and fails if something cannot be explained.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        qemu::prepare(sh, repo, false)?;
        let context = Context::from_repo(&repo.root, None, false)?;
        let results = repo.root.join(format!("target/storm/panics-{}.jsonl", self.seed));
        let panicked = self.series(&context, results)?;
        let report = Report { machine: machine::describe(sh)?, seed: self.seed, count: self.count, panicked };
        print!("{report}");
        if self.write {
            let files = [("panics.json", serde_json::to_string_pretty(&report)? + "\n"), ("panics.md", report.to_string())];
            results::publish(repo, &files)?;
        }
        let unexplained = report.panicked.iter().filter(|panicked| panicked.cause == Cause::Unexplained).count();
        if unexplained > 0 {
            bail!("{unexplained} of {} panics ended in a way that nothing explains", report.panicked.len());
        }
        Ok(())
    }

    /// Every panic that `results` does not have yet; each is written down as soon as it is over.
    fn series(&self, context: &Context, results: PathBuf) -> Result<Vec<Panicked>> {
        let mut results = Results::open(results, self.resume)?;
        let mut all = Vec::new();
        for draw in draws(self.seed, self.count) {
            for contestant in CONTESTANTS {
                let known = results
                    .earlier
                    .iter()
                    .find(|panicked: &&Panicked| panicked.contestant == contestant && panicked.draw == draw);
                if let Some(known) = known {
                    all.push(known.clone());
                    continue;
                }
                let panicked = panics::run(context, contestant, &draw).map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
                eprintln!("{:>3} {contestant}: {}; took {} s", draw.number, panicked.sentence(), panicked.took_s);
                results.keep(&panicked)?;
                all.push(panicked);
            }
        }
        Ok(all)
    }
}

/// A series.
#[derive(Serialize)]
struct Report {
    machine: Machine,
    seed: u64,
    count: u32,
    panicked: Vec<Panicked>,
}

impl Report {
    fn of(&self, contestant: Contestant) -> impl Iterator<Item = &Panicked> {
        self.panicked.iter().filter(move |panicked| panicked.contestant == contestant)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cpus, kernel, commit, date, .. } = &self.machine;
        let Self { seed, count, .. } = self;
        writeln!(out, "# Panics at drawn moments\n")?;
        writeln!(
            out,
            "Written by `cargo xtask panics --count {count} --seed {seed} --write` on {cpu}, {cpus} CPUs, Linux {kernel}; {commit}; {date}. The guests \
             run Linux {} under TCG. Moments were drawn beforehand and count from the first block of memory that comes; from then on DIMMs and \
             CPUs come and go, one after another, and each contestant has the same moments. What came of a panic is judged by the headers of \
             /proc/vmcore and, in the dead kernel's memory, by the map that it had just before, `kexec_crash_image` and `__kexec_lock`.\n",
            panics::SERIES
        )?;
        writeln!(out, "| | panics | dumps | of exactly the memory that was there | seconds each |")?;
        writeln!(out, "| --- | ---: | ---: | ---: | ---: |")?;
        for contestant in CONTESTANTS {
            let all: Vec<&Panicked> = self.of(contestant).collect();
            let dumps = all.iter().filter(|panicked| panicked.ended == Ended::Dump).count();
            let complete = all.iter().filter(|panicked| panicked.cause == Cause::Complete).count();
            let each = all.iter().map(|panicked| panicked.took_s).sum::<u64>() / (all.len() as u64).max(1);
            writeln!(out, "| {} | {} | {dumps} | {complete} | {each} |", contestant.words(), all.len())?;
        }
        for contestant in CONTESTANTS {
            let mut causes: BTreeMap<Cause, usize> = BTreeMap::new();
            self.of(contestant).for_each(|panicked| *causes.entry(panicked.cause).or_default() += 1);
            writeln!(out, "\n**{}**\n", contestant.words())?;
            for (cause, count) in causes {
                writeln!(out, "* {count} × {}", cause.words())?;
            }
        }
        writeln!(out, "\n| panic | us after the event | who | devices before | in flight | what came of it |")?;
        writeln!(out, "| ---: | ---: | --- | ---: | --- | --- |")?;
        for panicked in &self.panicked {
            let Panicked { contestant, draw, operations, in_flight, .. } = panicked;
            let (number, delay) = (draw.number, draw.delay_us);
            let in_flight = in_flight.as_deref().unwrap_or("-");
            writeln!(out, "| {number} | {delay} | {contestant} | {operations} | {in_flight} | {} |", panicked.sentence())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panicked(number: u32, contestant: Contestant, ended: Ended, cause: Cause) -> Panicked {
        Panicked {
            contestant,
            draw: draws(6, number)[number as usize - 1],
            operations: 5,
            refused: 0,
            in_flight: Some("AddDimm(1)".into()),
            ended,
            armed: Some(true),
            loading: Some(false),
            image: None,
            locked: None,
            stale: vec![],
            missing: vec![],
            outdated_ms: None,
            cause,
            took_s: 12,
        }
    }

    #[test]
    fn report_counts_dumps_complete_ones_and_causes() {
        let text = |text: &str| text.to_owned();
        let machine =
            Machine { cpu: text("CPU"), cpus: 2, kernel: text("6"), rustc: text("r"), commit: text("c"), date: text("d") };
        let panicked = vec![
            panicked(1, Contestant::InKernel, Ended::Dump, Cause::Complete),
            panicked(1, Contestant::KexecPerEvent, Ended::NoDump, Cause::Unarmed),
            panicked(2, Contestant::InKernel, Ended::Dump, Cause::InFlight),
        ];
        let text = Report { machine, seed: 6, count: 2, panicked }.to_string();
        assert!(text.contains("| kdump-loader, the kernel updates the elfcorehdr | 2 | 2 | 1 | 12 |"), "{text}");
        assert!(text.contains("unload and load for each event | 1 | 0 | 0 | 12 |"), "{text}");
        assert!(text.contains("* 1 × no dump: nothing was armed"), "{text}");
    }

    #[test]
    fn interrupted_series_is_read_back() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let path = dir.path().join("panics");
        let one = panicked(3, Contestant::InKernel, Ended::Reset { triple_fault: true }, Cause::QemuArtefact);
        Results::open(path.clone(), false).unwrap().keep(&one).unwrap();
        assert_eq!(Results::<Panicked>::open(path, true).unwrap().earlier, [one]);
    }
}
