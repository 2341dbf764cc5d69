//! The guest's own record of a storm: what its kernel's probes see, what the poller reads, what udev and its children cost.
//!
//! On entry: a booted guest with udev, flock and the poller in it. On exit of `install`: udev runs, with the contestant's rules, in a cgroup of
//! its own, and the probes count. Of `start`: the poller polls. Of `finish`: all of it has been read.

use storm_guest::readings::Record;

use super::calls::{self, Call, Trace, UPDATE_FUNCTION};
use super::contestant::QUEUED;
use crate::error::Error;
use crate::first::{First, number};
use crate::stage::guest;

/// tracefs.
const TRACING: &str = "/sys/kernel/tracing";
/// The cgroup of udev and its children.
const CGROUP: &str = "/sys/fs/cgroup/storm";
/// The poller ends when this is there.
const STOP: &str = "/tmp/poller.stop";
/// What the poller prints.
const RECORD: &str = "/tmp/poller.json";
/// /proc/uptime has two decimals, the rest is cut off.
const UPTIME_STEP_S: f64 = 0.01;
/// udevadm runs the daemon when it is called by a name with "udevd" in it.
const UDEVD: &str = "/bin/systemd-udevd";

/// Everything that has been seen.
pub struct Seen {
    /// When the poller started, in seconds of CLOCK_MONOTONIC: what came before was arming.
    pub started_s: f64,
    /// Every kexec_load(2).
    pub calls: Vec<Call>,
    /// Seconds that each of the kernel's own updates took.
    pub updates: Vec<f64>,
    /// When each block of memory had been brought online, in order.
    pub online_s: Vec<f64>,
    /// When each event had been queued, in order; empty where nothing is queued.
    pub queued_s: Vec<f64>,
    /// What the poller has read.
    pub record: Record,
    /// CPU seconds of udev and its children.
    pub cpu_s: f64,
    /// Those of them in user mode.
    pub cpu_user_s: f64,
}

/// The record in the making.
pub struct Witness {
    udevadm: String,
    started_s: f64,
    cpu_us: (u64, u64),
}

impl Witness {
    /// Starts udev and the probes.
    pub fn install(first: &mut First<'_, '_>) -> Result<Self, Error> {
        first.vm.run_ok(&format!("mount -t cgroup2 cgroup2 /sys/fs/cgroup; mkdir {CGROUP}"))?;
        start_probes(first)?;
        let udevadm = start_udev(first, &format!("echo $$ >{CGROUP}/cgroup.procs; "))?;
        Ok(Self { udevadm, started_s: 0.0, cpu_us: (0, 0) })
    }

    /// Starts the poller, on CPUs of this mask.
    pub fn start(&mut self, first: &mut First<'_, '_>, cpus: &str) -> Result<(), Error> {
        first.vm.run_ok(&format!(
            "rm -f {STOP}; taskset {cpus} {} --until {STOP} >{RECORD} 2>&1 & echo $! >/tmp/poller.pid",
            guest::POLLER
        ))?;
        self.cpu_us = cpu_us(first)?;
        // /proc/uptime counts like CLOCK_MONOTONIC, but for time asleep.
        self.started_s = number(first.vm.run_ok("cut -d ' ' -f 1 /proc/uptime")?.as_str())?;
        Ok(())
    }

    /// Whether an image is armed, and the seconds of CLOCK_MONOTONIC after that was asked.
    pub fn armed(&self, first: &mut First<'_, '_>) -> Result<(bool, f64), Error> {
        let said = first.vm.run_ok("cat /sys/kernel/kexec_crash_loaded; cut -d ' ' -f 1 /proc/uptime")?;
        match said.split_once('\n') {
            Some((armed, uptime)) => Ok((armed == "1", number::<f64>(uptime)? + UPTIME_STEP_S)),
            None => Err(Error::Unintelligible { what: "kexec_crash_loaded and the time", text: said }),
        }
    }

    /// Whether udev has handled every event, and nothing that it has started works any more.
    pub fn is_quiet(&self, first: &mut First<'_, '_>) -> Result<bool, Error> {
        // The cgroup has everybody that udev has started, also who has gone on by himself since.
        let processes = format!("$(sed 's,.*,/proc/&/cmdline,' {CGROUP}/cgroup.procs)");
        let command = format!("{} settle --timeout=0 && ! grep -qs {} {processes}", self.udevadm, super::contestant::WORK);
        Ok(first.vm.run(&command)?.status == 0)
    }

    /// Ends the polling and reads everything.
    pub fn finish(self, first: &mut First<'_, '_>) -> Result<Seen, Error> {
        let after = cpu_us(first)?;
        let record = first
            .vm
            .run_ok(&format!("touch {STOP}; while [ -d /proc/$(cat /tmp/poller.pid) ]; do sleep 0.05; done; cat {RECORD}"))?;
        let record = serde_json::from_str(&record)
            .map_err(|error| Error::Unintelligible { what: "what the poller printed", text: format!("{error} in {record}") })?;
        let trace = read_probes(first)?;
        let queued = first.vm.run_ok(&format!("[ ! -e {QUEUED} ] || cat {QUEUED}"))?;
        let mut queued_s: Vec<f64> = queued.lines().map(number).collect::<Result<_, _>>()?;
        queued_s.sort_by(f64::total_cmp);
        let seconds = |us: u64| us as f64 / 1e6;
        Ok(Seen {
            started_s: self.started_s,
            calls: trace.calls,
            updates: trace.updates,
            online_s: trace.online_s,
            queued_s,
            record,
            cpu_s: seconds(after.0 - self.cpu_us.0),
            cpu_user_s: seconds(after.1 - self.cpu_us.1),
        })
    }
}

/// Sets the kernel's probes.
pub(crate) fn start_probes(first: &mut First<'_, '_>) -> Result<(), Error> {
    let vm = &mut first.vm;
    vm.run_ok(&format!("mount -t tracefs tracefs {TRACING}"))?;
    // The clock of which the poller's start is told.
    vm.run_ok(&format!("echo mono >{TRACING}/trace_clock"))?;
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

/// What they have seen.
pub(crate) fn read_probes(first: &mut First<'_, '_>) -> Result<Trace, Error> {
    let text = first.vm.run_ok(&format!("cat {TRACING}/trace"))?;
    calls::parse(&text).map_err(|text| Error::Unintelligible { what: "a line of the trace", text })
}

/// Starts udev, in a shell that does `before` first; returns where udevadm is.
pub(crate) fn start_udev(first: &mut First<'_, '_>, before: &str) -> Result<String, Error> {
    let udevadm = first.stage.context.udev()?.program.clone();
    first.vm.run_ok(&format!("mkdir -p /run; ln -s {udevadm} {UDEVD}"))?;
    first.vm.run_ok(&format!("sh -c '{before}exec {UDEVD} --daemon'"))?;
    first.vm.run_ok(&format!("{udevadm} settle"))?;
    Ok(udevadm)
}

/// CPU microseconds of the cgroup: all, and those in user mode.
fn cpu_us(first: &mut First<'_, '_>) -> Result<(u64, u64), Error> {
    let text = first.vm.run_ok(&format!("cat {CGROUP}/cpu.stat"))?;
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        number(value.ok_or_else(|| Error::Unintelligible { what: "a cgroup's cpu.stat", text: text.clone() })?)
    };
    Ok((field("usage_usec")?, field("user_usec")?))
}
