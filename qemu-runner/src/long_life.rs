//! An image that stays armed for long: many reloads, and many devices that come and go.
//!
//! *On exit*: what was looked at on the way, and the dump of a panic at the end was complete. An
//! image that is not armed, a reload that fails, and an elfcorehdr that is not the machine's are
//! errors.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Error, check, check_eq};
use crate::machine::deadline::Deadline;
use crate::panics::draw::{BLOCK, DIMMS, Operation, SPARE_CPUS};
use crate::panics::upheaval::{Answer, Devices};
use crate::stage::{First, Setup, Stage, guest, number};
use crate::storm::Contestant;
use crate::storm::contestant::WORK;
use crate::storm::witness::start_udev;

/// The kernel, which updates the elfcorehdr itself.
const SERIES: &str = "6.12";
/// Devices are drawn from this seed where no other is asked for.
pub const SEED: u64 = 6;
/// Time for a step of a series on a busy host.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// How often a series is looked at.
const LOOKS: u32 = 10;
/// Reloads with a full /var at the end.
const WITHOUT_ROOM: u32 = 4;
/// Events between two looks at the elfcorehdr. A look waits until every event is answered, which
/// takes five seconds; an event takes a tenth of one.
const EVENTS_PER_LOOK: u32 = 100;
/// Looks at whether every event is answered, 20 ms apart at least. The longest burst of events
/// takes two minutes.
const SETTLE_LOOKS: u32 = 30_000;
/// A step of the guest's clock, in seconds: a year.
const CLOCK_STEP_S: u64 = 365 * 86_400;
/// Where the loader keeps what it must find again.
const STATE: [&str; 2] = ["/run/kdump-loader", "/var/lib/kdump-loader"];

/// The guest at one moment of the reloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Reloads before.
    pub reloads: u32,
    /// MemAvailable, in KiB.
    pub available_kib: u64,
    /// Slab, in KiB.
    pub slab_kib: u64,
    /// Open files of all processes (/proc/sys/fs/file-nr).
    pub open_files: u64,
    /// Files below the loader's directories.
    pub files: u64,
    /// Their bytes, in KiB.
    pub files_kib: u64,
}

/// How many devices came and went, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    /// DIMMs that came.
    pub dimms_came: u32,
    /// DIMMs that went.
    pub dimms_went: u32,
    /// CPUs that came or went.
    pub cpus: u32,
    /// How often a CPU that stayed was taken offline or brought online. The kernel rewrites the
    /// elfcorehdr then as well, but no device comes or goes.
    pub toggled: u32,
    /// Operations that the guest has rejected, or that did not reach it.
    pub refused: u32,
    /// Those of them that it said nothing about.
    pub silent: u32,
    /// How often the elfcorehdr was compared with the machine.
    pub compared: u32,
    /// Seconds of the host.
    pub took_s: u64,
}

impl Came {
    /// Events: one for each device that came, and one for each that went.
    pub fn events(&self) -> u32 {
        self.dimms_came + self.dimms_went + self.cpus
    }

    fn count(&mut self, operation: Operation) {
        *match operation {
            Operation::AddDimm(_) => &mut self.dimms_came,
            Operation::RemoveDimm(_) => &mut self.dimms_went,
            Operation::AddCpu | Operation::RemoveCpu => &mut self.cpus,
            Operation::Offline | Operation::Online => &mut self.toggled,
            Operation::Resize { .. } => unreachable!("the machine has no virtio-mem"),
        } += 1;
    }
}

/// `reload_often` on a machine that panics at the end.
pub fn reloads(context: &Context, count: u32) -> Result<Vec<Look>, Error> {
    let play = |stage: &mut Stage<'_>| {
        let mut first = armed(stage)?;
        let looks = reload_often(&mut first, count)?;
        first.panic(Some(0))?.capture()?.expect_dump()?;
        Ok(looks)
    };
    let deadline = Deadline::after(STEP_LIMIT * (count + 60));
    Stage::play(context, "long-life-reloads", deadline, &[], play).map(|(looks, _)| looks)
}

/// `come_and_go` on a machine that panics at the end.
pub fn devices(
    context: &Context,
    count: u32,
    seed: u64,
    progress: &mut dyn FnMut(&Came),
) -> Result<Came, Error> {
    let play = |stage: &mut Stage<'_>| {
        let mut first = armed(stage)?;
        let came = come_and_go(&mut first, count, seed, progress)?;
        first.panic(Some(0))?.capture()?.expect_dump()?;
        Ok(came)
    };
    let deadline = Deadline::after(STEP_LIMIT * (count + 60));
    Stage::play(context, "long-life-devices", deadline, &[], play).map(|(came, _)| came)
}

/// A little of both, on one machine.
pub(crate) fn both(stage: &mut Stage<'_>, events: u32, reloads: u32) -> Result<(), Error> {
    let mut first = armed(stage)?;
    come_and_go(&mut first, events, SEED, &mut |_| ())?;
    reload_often(&mut first, reloads)?;
    first.panic(Some(0))?.capture()?.expect_dump().map(drop)
}

/// `count` reloads in a row, each of which replaces the image. After a third the clock jumps a year
/// ahead, after two thirds back. Then some have no room for their state.
fn reload_often(first: &mut First<'_, '_>, count: u32) -> Result<Vec<Look>, Error> {
    let step = (count / LOOKS).max(1);
    let mut looks = vec![look(first, 0)?];
    for done in (0..count).step_by(step as usize) {
        reload(first, step.min(count - done))?;
        let done = (done + step).min(count);
        looks.push(look(first, done)?);
        let now: u64 = number(&first.vm.run_ok("date +%s")?)?;
        match (looks.len() as u32 - 1, LOOKS / 3, 2 * LOOKS / 3) {
            (at, third, _) if at == third => set_clock(first, now + CLOCK_STEP_S)?,
            (at, _, thirds) if at == thirds => set_clock(first, now - CLOCK_STEP_S)?,
            _ => {}
        }
    }
    fill(first)?;
    reload(first, WITHOUT_ROOM)?;
    first.status(0)?;
    first.expect_all_memory_listed("after the reloads")?;
    Ok(looks)
}

/// Devices come and go, drawn from the seed, with the installed udev rule, until there were `count`
/// events. Every `EVENTS_PER_LOOK` events, when all are answered, the elfcorehdr must list the
/// memory that is there. At the end it must be, byte for byte, what a fresh image gets.
fn come_and_go(
    first: &mut First<'_, '_>,
    count: u32,
    seed: u64,
    progress: &mut dyn FnMut(&Came),
) -> Result<Came, Error> {
    let began = Instant::now();
    let udevadm = start_udev(first, "")?;
    let mut devices = Devices::of(seed);
    let mut came = Came::default();
    while came.events() < count {
        let operation = devices.draw();
        let before = came.events();
        match devices.turn(first, operation)? {
            Answer::Done => came.count(operation),
            Answer::Refused | Answer::Silent => came.refused += 1,
            Answer::Panic => return Err(Error::Failed("the guest panicked by itself".into())),
        }
        if came.events() > before && came.events().is_multiple_of(EVENTS_PER_LOOK) {
            settle(first, &udevadm)?;
            first.expect_armed(true, "while devices come and go")?;
            let listed = first.expect_all_memory_listed("when all events are answered");
            if listed.is_err() {
                let log = first.vm.run_ok("tail -n 20 /tmp/keep-image.log")?;
                first.note(format!("the reloads' last words: {log}"));
            }
            listed?;
            came.compared += 1;
            came.silent = devices.silent();
            came.took_s = began.elapsed().as_secs();
            progress(&came);
        }
    }
    settle(first, &udevadm)?;
    let kept = rewritten(first)?;
    first.vm.run_ok(&format!("{} reload --force", guest::LOADER))?;
    let fresh = rewritten(first)?;
    check!(kept == fresh, "the elfcorehdr: expected the bytes that a fresh image gets")?;
    first.note(format!("{} bytes of elfcorehdr are those of a fresh image", fresh.len()));
    Ok(came)
}

/// A guest that our service's files keep armed.
fn armed<'s, 'c>(stage: &'s mut Stage<'c>) -> Result<First<'s, 'c>, Error> {
    let contestant = Contestant::InKernel;
    let setup = Setup {
        series: Some(SERIES),
        spare_cpus: SPARE_CPUS,
        dimms: DIMMS,
        dimm_size: BLOCK,
        storm: true,
        files: contestant.files(stage.context)?,
        ..Setup::default()
    };
    let mut first = stage.boot(&setup)?;
    contestant.arm(&mut first)?;
    Ok(first)
}

fn reload(first: &mut First<'_, '_>, count: u32) -> Result<(), Error> {
    let loader = guest::LOADER;
    let one = format!("{loader} reload --force >/tmp/reload.log 2>&1");
    let armed = "[ $(cat /sys/kernel/kexec_crash_loaded) = 1 ]";
    first.vm.run_ok(&format!(
        "for i in $(seq {count}); do {one} && {armed} || {{ cat /tmp/reload.log; exit 1; }}; done"
    ))?;
    first.note(format!("{count} reloads"));
    Ok(())
}

fn look(first: &mut First<'_, '_>, reloads: u32) -> Result<Look, Error> {
    let mut ask = |command: &str| number::<u64>(&first.vm.run_ok(command)?);
    let meminfo = |name: &str| format!("awk '/^{name}:/ {{ print $2 }}' /proc/meminfo");
    let [run, var] = STATE;
    Ok(Look {
        reloads,
        available_kib: ask(&meminfo("MemAvailable"))?,
        slab_kib: ask(&meminfo("Slab"))?,
        open_files: ask("cut -f 1 /proc/sys/fs/file-nr")?,
        files: ask(&format!("find {run} {var} -type f 2>/dev/null | wc -l"))?,
        files_kib: ask(&format!(
            "du -k -s {run} {var} 2>/dev/null | awk '{{ kib += $1 }} END {{ print kib }}'"
        ))?,
    })
}

fn set_clock(first: &mut First<'_, '_>, seconds: u64) -> Result<(), Error> {
    first.vm.run_ok(&format!("date -s @{seconds}"))?;
    first.note(format!("the clock says {seconds}"));
    Ok(())
}

/// Puts a full filesystem where the black box's state is.
fn fill(first: &mut First<'_, '_>) -> Result<(), Error> {
    let state = STATE[1];
    first.vm.run_ok(&format!(
        "mkdir -p {state}; mount -t tmpfs -o size=4k tmpfs {state}; cat /dev/zero >{state}/full; \
         [ -s {state}/full ]"
    ))?;
    first.note(format!("{state} is full"));
    Ok(())
}

/// Waits until every event is answered. A reload that fails leaves its event to the next one, which
/// may never come.
fn settle(first: &mut First<'_, '_>, udevadm: &str) -> Result<(), Error> {
    // The brackets keep grep from finding itself.
    let (slash, rest) = WORK.split_at(1);
    let works = format!(
        "[ -e /run/kdump-loader/pending ] || grep -qs '[{slash}]{rest}' /proc/[0-9]*/cmdline"
    );
    let late = "tail -n 20 /tmp/keep-image.log; exit 1";
    first
        .vm
        .run_ok(&format!(
            "{udevadm} settle; for look in $(seq {SETTLE_LOOKS}); do {works} || exit 0; usleep \
             20000; done; {late}"
        ))
        .map(drop)
}

/// The elfcorehdr's bytes after the kernel has rewritten it, as it does on a CPU's event.
fn rewritten(first: &mut First<'_, '_>) -> Result<Vec<u8>, Error> {
    let online = "/sys/devices/system/cpu/cpu1/online";
    first.vm.run_ok(&format!("echo 1 >{online}"))?;
    first.toggle("CPU 1", online, ["0", "1"])?;
    let at = first.image()?.elfcorehdr;
    let bytes = first.vm.ram.read(at.start, (at.end - at.start) as usize)?;
    check_eq!(bytes.get(..4), Some(b"\x7fELF".as_slice()), "the elfcorehdr's first bytes")?;
    Ok(bytes)
}
