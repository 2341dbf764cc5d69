//! The guest's own record of a storm: its kernel's probes, the poller's readings, and the CPU time
//! of udev and its children.
//!
//! - *On entry*: a booted guest that contains udev, flock and the poller.
//! - After `install`: udev runs with the contestant's rules, in a cgroup; the probes count.
//! - After `start`: the poller polls.
//! - After `finish`: everything has been read.

use storm_guest::readings::Record;

use super::calls::{self, Trace, UPDATE_FUNCTION};
use super::contestant::{QUEUED, WORK};
use crate::error::Error;
use crate::stage::{First, guest, number};

const TRACING: &str = "/sys/kernel/tracing";
const CGROUP: &str = "/sys/fs/cgroup/storm";
/// The poller ends when this file exists.
const STOP: &str = "/tmp/poller.stop";
/// Where the poller's record goes.
const RECORD: &str = "/tmp/poller.json";
/// /proc/uptime has two decimals; the rest is cut off.
const UPTIME_STEP_S: f64 = 0.01;
/// udevadm runs as the daemon if its name contains "udevd".
const UDEVD: &str = "/bin/systemd-udevd";

/// Everything recorded. Times are seconds of CLOCK_MONOTONIC.
pub struct Seen {
    /// When the poller started. Earlier calls armed.
    pub started_s: f64,
    pub trace: Trace,
    /// When each event was queued, ascending; empty where none are queued.
    pub queued_s: Vec<f64>,
    pub record: Record,
    pub cpu_s: f64,
}

pub struct Witness {
    udevadm: String,
    started_s: f64,
    cpu_us: u64,
}

impl Witness {
    pub fn install(first: &mut First<'_, '_>) -> Result<Self, Error> {
        first.vm.run_ok(&format!("mount -t cgroup2 cgroup2 /sys/fs/cgroup; mkdir {CGROUP}"))?;
        start_probes(first)?;
        let udevadm = start_udev(first, &format!("echo $$ >{CGROUP}/cgroup.procs; "))?;
        Ok(Self { udevadm, started_s: 0.0, cpu_us: 0 })
    }

    /// Starts the poller, on CPUs of this mask.
    pub fn start(&mut self, first: &mut First<'_, '_>, cpus: &str) -> Result<(), Error> {
        let poller = format!("taskset {cpus} {} --until {STOP} >{RECORD} 2>&1", guest::POLLER);
        first.vm.run_ok(&format!("rm -f {STOP}; {poller} & echo $! >/tmp/poller.pid"))?;
        self.cpu_us = cpu_us(first)?;
        // /proc/uptime counts like CLOCK_MONOTONIC as long as the machine does not sleep.
        self.started_s = number(first.vm.run_ok("cut -d ' ' -f 1 /proc/uptime")?.as_str())?;
        Ok(())
    }

    /// Whether an image is armed, and a time after that was read.
    pub fn armed(&self, first: &mut First<'_, '_>) -> Result<(bool, f64), Error> {
        let asked = "cat /sys/kernel/kexec_crash_loaded; cut -d ' ' -f 1 /proc/uptime";
        let said = first.vm.run_ok(asked)?;
        match said.split_once('\n') {
            Some((armed, uptime)) => Ok((armed == "1", number::<f64>(uptime)? + UPTIME_STEP_S)),
            None => Err(Error::unreadable("kexec_crash_loaded and the time", &said)),
        }
    }

    /// Whether udev has handled every event, and nothing that it started works any more.
    pub fn is_quiet(&self, first: &mut First<'_, '_>) -> Result<bool, Error> {
        // The cgroup has everything that udev started, including what runs on without udev.
        let processes = format!("$(sed 's,.*,/proc/&/cmdline,' {CGROUP}/cgroup.procs)");
        let works = format!("grep -qs {WORK} {processes}");
        let command = format!("{} settle --timeout=0 && ! {works}", self.udevadm);
        Ok(first.vm.run(&command)?.status == 0)
    }

    /// Ends the polling and reads everything.
    pub fn finish(self, first: &mut First<'_, '_>) -> Result<Seen, Error> {
        let cpu_us = cpu_us(first)? - self.cpu_us;
        let ended = "while [ -d /proc/$(cat /tmp/poller.pid) ]; do sleep 0.05; done";
        let record = first.vm.run_ok(&format!("touch {STOP}; {ended}; cat {RECORD}"))?;
        let record = serde_json::from_str(&record).map_err(|error| {
            let text = format!("{error} in {record}");
            Error::unreadable("the poller's record", &text)
        })?;
        let trace = read_probes(first)?;
        let queued = first.vm.run_ok(&format!("[ ! -e {QUEUED} ] || cat {QUEUED}"))?;
        let mut queued_s: Vec<f64> = queued.lines().map(number).collect::<Result<_, _>>()?;
        queued_s.sort_by(f64::total_cmp);
        let (started_s, cpu_s) = (self.started_s, cpu_us as f64 / 1e6);
        Ok(Seen { started_s, trace, queued_s, record, cpu_s })
    }
}

pub(crate) fn start_probes(first: &mut First<'_, '_>) -> Result<(), Error> {
    let vm = &mut first.vm;
    // The same clock as the poller's.
    vm.run_ok(&format!("mount -t tracefs tracefs {TRACING}; echo mono >{TRACING}/trace_clock"))?;
    let mut probes = calls::probes();
    if vm.run(&format!("grep -q ' {UPDATE_FUNCTION}$' /proc/kallsyms"))?.status == 0 {
        probes.extend(calls::update_probes());
    }
    for probe in probes {
        vm.run_ok(&format!("echo '{probe}' >>{TRACING}/kprobe_events"))?;
    }
    vm.run_ok(&format!("echo 1 >{TRACING}/events/kprobes/enable"))?;
    Ok(())
}

pub(crate) fn read_probes(first: &mut First<'_, '_>) -> Result<Trace, Error> {
    let text = first.vm.run_ok(&format!("cat {TRACING}/trace"))?;
    calls::parse(&text).map_err(|text| Error::unreadable("a line of the trace", &text))
}

/// Starts udev, in a shell that does `before` first; returns the path of udevadm.
pub(crate) fn start_udev(first: &mut First<'_, '_>, before: &str) -> Result<String, Error> {
    let udevadm = first.stage.context.udev()?.program.clone();
    first.vm.run_ok(&format!("mkdir -p /run; ln -s {udevadm} {UDEVD}"))?;
    first.vm.run_ok(&format!("sh -c '{before}exec {UDEVD} --daemon'"))?;
    first.vm.run_ok(&format!("{udevadm} settle"))?;
    Ok(udevadm)
}

fn cpu_us(first: &mut First<'_, '_>) -> Result<u64, Error> {
    let text = first.vm.run_ok(&format!("cat {CGROUP}/cpu.stat"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
    number(value.ok_or_else(|| Error::unreadable("a cgroup's cpu.stat", &text))?)
}
