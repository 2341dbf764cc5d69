//! (5) Runs a case: builds, damages, loads and panics, then judges.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loader::request::{Confidential, Console, InputFile, Request, SignalChoice};

use super::booted::{Kind, Machines};
use super::case::{Arrangement, Case, Cpu};
use super::description::Facts;
use super::judge::{self, Observed};
use super::memory::{Memory, told};
use super::{black_box, debugger, ramdisk, signals, words};
use crate::context::{self, Context};
use crate::error::{Error, check, with_causes};
use crate::evidence::armed::range;
use crate::evidence::outcome::{Outcome, Phase};
use crate::host;
use crate::machine::deadline::Deadline;
use crate::machine::vm::{Arrival, RAM, SCRIPT, Vm};
use crate::machine::{Boot, Machine};

/// How long a case may take. One takes a second on two idle cores, half a second more when it boots
/// for itself; a trace takes ten.
pub(super) const LIMIT: Duration = Duration::from_secs(orders::RUN_SECONDS);
/// Memory of every machine, in MiB: what `orders::map` lays out.
const MEMORY_MIB: u64 = 512;
/// CPUs at most: TCG gives up when more have come and gone than this.
const MAX_CPUS: u32 = 4;
const DIMMS: u32 = 2;

/// The file in a case's directory that holds its orders.
pub(super) const RAMDISK: &str = "ramdisk";
/// What the purgatory says when it stops forever.
const HALTED: &str = "purgatory: halted";
/// What the crash kernel says last.
const PANICKED: &str = "panic on";

/// What a case's machine begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A crash kernel that awaits its orders, as another machine had booted it.
    Booted,
    /// A machine of its own, whose ramdisk stays, so that it can be started again by hand.
    Boots {
        /// The port of localhost on which gdb is awaited before the first instruction. Then nothing
        /// has to be over at any time.
        debugger: Option<u16>,
    },
}

/// Runs one case.
pub fn run(
    case: &'static Case,
    context: &Context,
    machines: &Machines,
    start: Start,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome::new(case.name);
    match play(case, context, machines, start, &mut outcome) {
        Ok(()) => Ok(outcome),
        Err(error) => Err(outcome.failure(error)),
    }
}

/// The name of a case's directory among those of the scenarios.
pub fn directory_name(case: &str) -> String {
    format!("bare-{case}")
}

fn play(
    case: &'static Case,
    context: &Context,
    machines: &Machines,
    start: Start,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let directory = context.fresh_directory(&directory_name(case.name))?;
    let mut arrangement = Arrangement::default();
    (case.arrange)(&mut arrangement);

    let cpu = arrangement.built_on.unwrap_or(arrangement.cpu);
    let built_on = Kind { cpu, stuck_console: arrangement.stuck_console };
    let described = machines.booted(context, built_on)?;
    let facts = &described.facts;
    let request = request(context, &arrangement)?;
    let root = directory.join("snapshot");
    let as_linux_shows_it = facts.machine(&root, arrangement.possible_cpus, arrangement.la57)?;
    let image = loader::build(&request, &as_linux_shows_it)
        .map_err(|error| Error::Failed(format!("no image: {}", with_causes(&error, ": "))))?;
    let mut memory = Memory::of(&image, &request.purgatory.bytes);
    (case.damage)(&mut memory);
    let orders = ramdisk::crash(&case.expect, &arrangement, &image, &memory)?;

    let trace = arrangement.traced.map(|_| range(&told(&image).block.purgatory));
    let stuck_console = arrangement.stuck_console;
    let kernel = context.bare("crash-kernel")?;
    let machine_with = |ramdisk| {
        machine(arrangement.cpu, Boot::CrashKernel { kernel, ramdisk, trace, stuck_console })
    };
    let qemu = &context.assets()?.qemu;
    let mut observed = Observed::default();
    let mut vm = match start {
        Start::Booted => {
            let booted = machines.booted(context, Kind { cpu: arrangement.cpu, ..built_on })?;
            observed.harness.clone_from(&booted.said);
            let machine = machine_with(booted.ramdisk.clone());
            let vm = booted.resume(qemu, &machine, &directory, Deadline::after(LIMIT), &orders)?;
            // By hand it cannot continue from there.
            let again = format!("cargo xtask qemu bare {}\n", case.name);
            host::write(&directory.join(SCRIPT), again.as_bytes())?;
            if context.keep() {
                host::write(&directory.join(RAMDISK), &orders)?;
            }
            outcome.now("the crash kernel, which another machine had booted, is given its orders");
            vm
        }
        Start::Boots { debugger } => {
            let ramdisk = directory.join(RAMDISK);
            host::write(&ramdisk, &orders)?;
            let machine = Machine { debugger, ..machine_with(ramdisk) };
            debugger::write(context, &directory, qemu, &machine, &request, &image)?;
            let deadline =
                if debugger.is_some() { Deadline::never() } else { Deadline::after(LIMIT) };
            let vm = Vm::start(qemu, &machine, &directory, deadline, None)?;
            outcome.now("the machine is switched on");
            if debugger.is_some() {
                let gdbinit = directory.join(debugger::GDBINIT);
                eprintln!("{}\nwaits for gdb:\ngdb -x {}", vm.command_line, gdbinit.display());
            }
            vm
        }
    };
    let left = arrangement.left;
    let before = left.map(|_| black_box::crash_region(&memory, &vm.ram)).transpose()?;
    watch(&mut vm, case, arrangement.machine_check.then_some(&memory), &mut observed, outcome)?;
    // One that continues is the machine that was described.
    if start != Start::Booted && arrangement.built_on.is_none() {
        let now = Facts::parse(observed.harness.iter().map(String::as_str))?;
        check!(
            now.same_machine(facts),
            "the machine that crashes: expected {facts:?}, found {now:?}"
        )?;
    }
    judge::judge(case, &arrangement, &request, &memory, &mut observed, &mut vm)?;
    if let (Some(left), Some(before)) = (left, before) {
        outcome.now(black_box::check_left(case, left, &memory, &before, &vm.ram)?);
        signals::check_signals(case, &memory, &mut vm)?;
    }
    remove_big_files(context, &directory, start != Start::Booted)
}

/// The machine of every case.
pub(super) fn machine(cpu: Cpu, boot: Boot) -> Machine {
    let machine = Machine::of(boot, MEMORY_MIB);
    Machine { cpu: cpu.argument(), max_cpus: MAX_CPUS, dimms: DIMMS, signals: true, ..machine }
}

fn request(context: &Context, arrangement: &Arrangement) -> Result<Request, Error> {
    let file = |path: PathBuf| {
        let bytes = host::read(&path)?;
        Ok::<_, Error>(InputFile { path, bytes })
    };
    Ok(Request {
        kernel: file(context.bare("capture-payload.bzImage")?)?,
        initrd: Some(InputFile { path: "initrd".into(), bytes: pattern(arrangement.initrd_len) }),
        command_line: "console=ttyS0 nr_cpus=1 acpi_no_memhotplug".into(),
        noefi: false,
        on_corrupt: Some(arrangement.on_corrupt),
        reset_delay_ms: Some(arrangement.reset_delay_ms),
        console: arrangement.console.map_or(Console::None, Console::Port),
        confidential: Confidential::No,
        hotplug: arrangement.hotplug,
        engine: arrangement.engine,
        leaf_size: Some(arrangement.leaf_size),
        black_box: None,
        signals: SignalChoice::None,
        purgatory: file(context.built(context::PURGATORY)?)?,
        rng_seed: None,
        window: None,
    })
}

/// Bytes that differ from one leaf to the next, none of them zero.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect()
}

pub(super) fn remove_big_files(
    context: &Context,
    directory: &Path,
    keep_ramdisk: bool,
) -> Result<(), Error> {
    for name in [RAM, RAMDISK] {
        let path = directory.join(name);
        if path.exists() && !context.keep() && !(keep_ramdisk && name == RAMDISK) {
            fs::remove_file(&path).map_err(Error::file("remove", &path))?;
        }
    }
    Ok(())
}

/// Listens until the machine ends, or until it hangs as it says it will. Where the purgatory in
/// `held` is to be held in a loop, a machine check is injected then.
fn watch(
    vm: &mut Vm,
    case: &Case,
    held: Option<&Memory>,
    observed: &mut Observed,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    loop {
        match vm.next_or_end("the end of the machine")? {
            Arrival::Console(line) => {
                outcome.at(line.at, line.text.clone());
                let halted = line.text.starts_with(HALTED);
                observed.console.push(line);
                if judge::stands_still(case) && halted {
                    return Ok(());
                }
            }
            Arrival::Agent(text) => {
                if !text.starts_with(super::description::FACT) {
                    outcome.now(text.clone());
                }
                if let Some(awaited) = text.strip_prefix("awaiting ") {
                    plug(vm, awaited, &observed.harness)?;
                }
                let panicked = text.starts_with(PANICKED);
                observed.harness.push(text);
                if panicked {
                    let now = Instant::now();
                    observed.panicked_at = Some(now);
                    outcome.enter(Phase::Panic, now);
                    if let Some(memory) = held {
                        judge::await_endless_loop(vm, memory)?;
                        vm.monitor.inject_machine_check()?;
                        outcome.now("a machine check is injected");
                    }
                    if judge::stands_still(case) && !words::speaks(case) {
                        return Ok(());
                    }
                }
            }
            Arrival::End => {
                observed.ended_at = Some(Instant::now());
                observed.harness.extend(vm.last_words()?);
                return Ok(());
            }
        }
    }
}

/// Does what the crash kernel says it waits for; `before` is what it has said until then.
fn plug(vm: &mut Vm, awaited: &str, before: &[String]) -> Result<(), Error> {
    match awaited {
        "memory" => {
            let dimms = before.iter().filter(|line| *line == "awaiting memory").count();
            vm.monitor.add_dimm(dimms as u32)
        }
        "memory removal" => vm.monitor.ask_for_dimm(0),
        "cpu" => vm.monitor.add_cpu(),
        "cpu removal" => vm.monitor.ask_for_cpu(),
        _ => Err(Error::unreadable("what the crash kernel waits for", awaited)),
    }
}
