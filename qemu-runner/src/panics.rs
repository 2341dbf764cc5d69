//! Panics at the worst moment: memory and CPUs come and go while a contestant keeps the crash image
//! up to date, and the kernel panics at a moment that was drawn before. Was there a dump? Did it
//! describe the memory that was there? If not, why?
//!
//! ```text
//! panics/draw.rs     what is drawn from the seed: moments, and what comes and goes
//! panics/upheaval.rs operations, one after another, until the panic
//! panics/saved.rs    the memory that a dump of `load --capture` describes
//! panics/cause.rs    the cause of every miss
//! panics/panicked.rs what a panic came to
//! panics.rs          one panic from boot to verdict
//! ```
//!
//! The evidence is the dead kernel's: the note that the trigger left in memory
//! (tests/storm-guest/src/note.rs), `kexec_crash_image` and `__kexec_lock` in the guest's memory
//! after the panic, and the headers of /proc/vmcore, or what `load --capture` has saved.

mod cause;
pub(crate) mod draw;
mod panicked;
mod saved;
pub(crate) mod upheaval;

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::Error;
use crate::evidence::elfcore::{ElfCore, HEADER_LEN};
use crate::evidence::iomem::Iomem;
use crate::guest::initramfs::Role;
use crate::guest::setup::Content;
use crate::machine::deadline::Deadline;
use crate::machine::disk::Bus;
use crate::machine::vm::Arrival;
use crate::scenarios::saving::case::Case;
use crate::stage::saved::{IS_SAVED, NO_DUMP, Saved};
use crate::stage::{Crashed, First, Setup, Stage, Victim, guest};
use crate::storm::witness::{start_probes, start_udev};
use crate::storm::{Contestant, calls};
use storm_guest::note;

use cause::Note;
pub use cause::{Cause, Ended};
use draw::Operation;
pub use draw::{Draw, draws};
pub use panicked::Panicked;
use upheaval::Devices;

/// Kernel series that update the elfcorehdr themselves: in this the contestants differ.
pub const SERIES: [&str; 2] = ["6.12", "7"];
/// Time that one panic may take on a busy host.
const LIMIT: Duration = Duration::from_secs(600);
/// What the kernel prints if it panics and starts no capture kernel (`panic`, kernel/panic.c).
const NO_CAPTURE: &str = "---[ end Kernel panic - not syncing";
/// What our purgatory's lines begin with.
const PURGATORY: &str = "purgatory: ";
/// Moments count from this event: the first block above 4 GiB, where the first DIMM comes.
const EVENT: &str = "/sys/devices/system/memory/memory32";
const PAGE: u64 = note::PAGE as u64;

/// One panic to try.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What keeps the image up to date.
    pub contestant: Contestant,
    /// The guest's kernel, one of [`SERIES`].
    pub series: &'static str,
    /// Whether virtio-mem is among the devices.
    pub virtio_mem: bool,
    /// When the panic comes.
    pub draw: Draw,
}

impl Request {
    /// Whether this panic is the one that was tried.
    pub fn is_of(&self, panicked: &Panicked) -> bool {
        let Self { contestant, series, virtio_mem, draw } = *self;
        let tried = (panicked.contestant, panicked.series.as_str(), panicked.virtio_mem);
        (contestant, series, virtio_mem) == tried && draw == panicked.draw
    }
}

/// One panic on a machine of its own.
pub fn run(context: &Context, request: &Request) -> Result<Panicked, Error> {
    let deadline = Deadline::after(LIMIT);
    let play = |stage: &mut Stage<'_>| panic_once(stage, request);
    Stage::play(context, "panics", deadline, &[], play).map(|(panicked, _)| panicked)
}

/// One panic on this stage.
pub fn panic_once(stage: &mut Stage<'_>, request: &Request) -> Result<Panicked, Error> {
    let began = Instant::now();
    let Request { contestant, series, virtio_mem, draw } = *request;
    let blocks = if virtio_mem { draw::VIRTIO_MEM_BLOCKS } else { 0 };
    let captures = contestant == Contestant::Capture;
    let machine = if captures { with_target(series) } else { Setup::default() };
    let setup = Setup {
        series: Some(series),
        virtio_mem: u64::from(blocks) * draw::BLOCK,
        spare_cpus: draw::SPARE_CPUS,
        dimms: draw::DIMMS,
        dimm_size: draw::BLOCK,
        makedumpfile: false,
        peer: true,
        storm: true,
        files: contestant.files(stage.context)?,
        ..machine
    };
    let mut first = stage.boot(&setup)?;
    first.load_drivers()?;
    let symbols = Symbols::of(&mut first)?;
    start_probes(&mut first)?;
    start_udev(&mut first, "")?;
    contestant.arm(&mut first)?;
    let target = match captures {
        true => Some((first.image()?.elfcorehdr, first.disk(0))),
        false => None,
    };
    let Draw { number, seed, delay_us } = draw;
    let trigger = format!("{} --seed {seed} --event {EVENT} --delay-us {delay_us}", guest::TRIGGER);
    first.vm.run_ok(&format!(
        "{trigger} >/tmp/trigger.out 2>&1 & while ! grep -q ready \
                          /tmp/trigger.out; do sleep 0.02; done"
    ))?;
    first.note(format!("panic {number} comes {delay_us} us after the first block"));

    let devices = if virtio_mem { Devices::with_virtio_mem(seed) } else { Devices::of(seed) };
    let upheaval = upheaval::until_the_panic(&mut first, devices)?;
    let victim = Victim {
        release: String::new(),
        iomem: Iomem::default(),
        online_cpus: 0,
        sentinels: Vec::new(),
    };
    let First { stage, vm, .. } = first;
    let mut crashed = Crashed::panicked(stage, vm, victim);
    let mut ended = await_end(&mut crashed)?;
    let note = read_note(&crashed, seed)?;
    let described = match (ended, target, &note) {
        (Ended::Dump, None, _) => {
            Some(ElfCore::parse(&crashed.read_vmcore(0, HEADER_LEN)?)?.memory())
        }
        (Ended::Dump, Some((elfcorehdr, disk)), Some(Note { iomem, .. })) => {
            // The capture kernel does not use the elfcorehdr's memory for anything else.
            let listed = ElfCore::in_memory(&crashed.vm.ram, &elfcorehdr)?;
            crashed.orderly_reset()?;
            let moving = upheaval.in_flight.and_then(Operation::memory);
            let saved = Saved::in_partition(&disk);
            match saved.and_then(|saved| saved::described(&saved, &listed, iomem, moving)) {
                Ok(described) => Some(described),
                Err(error) => {
                    crashed.stage.outcome.now(format!("the dump is not whole: {error}"));
                    eprintln!("{contestant}, {number}: the dump is not whole: {error}");
                    ended = Ended::Unsaved;
                    None
                }
            }
        }
        // Without a note, the memory that was there is unknown.
        _ => None,
    };
    let image =
        Some(symbols.read(&crashed, symbols.image, 8)? != 0).filter(|_| ended == Ended::NoDump);
    let locked =
        Some(symbols.read(&crashed, symbols.lock, 4)? != 0).filter(|_| ended == Ended::NoDump);
    let facts = cause::Facts { ended, note, image, locked, described, upheaval };
    let panicked = Panicked::of(request, &facts, began.elapsed().as_secs_f64());
    crashed.stage.outcome.now(format!("{}: {}", contestant.name(), panicked.sentence()));
    Ok(panicked)
}

/// A machine whose dump /init saves to the partition of its first disk.
fn with_target(series: &'static str) -> Setup {
    let case = Case::of(Bus::Nvme, Content::Nothing);
    if series == SERIES[0] { case } else { case.on_new_kernel() }.setup()
}

/// Waits for the capture kernel's user space, or the dump that its /init saves, the end of the
/// panic, or the end of the machine.
fn await_end(crashed: &mut Crashed<'_, '_>) -> Result<Ended, Error> {
    let greeting = format!("@{} ", Role::Capture.word());
    let mut purgatory = false;
    loop {
        match crashed.vm.next_or_end("the dump, or the end of the panic")? {
            Arrival::Console(line) if line.text.contains(NO_CAPTURE) => return Ok(Ended::NoDump),
            Arrival::Console(line) if line.text.contains(IS_SAVED) => return Ok(Ended::Dump),
            Arrival::Console(line) if NO_DUMP.iter().any(|words| line.text.contains(words)) => {
                return Ok(Ended::Unsaved);
            }
            Arrival::Console(line) if line.text.contains(PURGATORY) => purgatory = true,
            Arrival::Agent(text) if text.starts_with(&greeting) => return Ok(Ended::Dump),
            Arrival::End => {
                let (triple_fault, firmware) =
                    (crashed.vm.triple_faulted()?, crashed.vm.firmware_reset()?);
                return Ok(Ended::Reset { triple_fault, firmware, purgatory });
            }
            _ => {}
        }
    }
}

fn read_note(crashed: &Crashed<'_, '_>, seed: u64) -> Result<Option<Note>, Error> {
    let ram = &crashed.vm.ram;
    let mut pages = Vec::new();
    for address in ram.find(&ram.low_memory(), &note::mark(seed))? {
        if address.is_multiple_of(PAGE) {
            pages.push(ram.read(address, note::PAGE)?);
        }
    }
    let Some(text) = note::read(pages.iter().map(Vec::as_slice)) else { return Ok(None) };
    let unclear = || Error::unreadable("the trigger's note", &text);
    let (rest, loaded) = text.rsplit_once("loaded ").ok_or_else(unclear)?;
    let (iomem, profile) = rest.split_once("profile\n").ok_or_else(unclear)?;
    let loading = calls::under_way(profile).ok_or_else(unclear)? > 0;
    Ok(Some(Note { armed: loaded.trim_end() == "1", loading, iomem: Iomem::parse(iomem)? }))
}

/// Physical addresses of the variables that decide about a dump.
struct Symbols {
    image: u64,
    lock: u64,
}

impl Symbols {
    /// `kexec_crash_image` and `__kexec_lock` (kernel/kexec_core.c), by /proc/kallsyms. The
    /// kernel's image is mapped in one piece.
    fn of(first: &mut First<'_, '_>) -> Result<Self, Error> {
        let text = first.iomem()?.kernel_text;
        let said =
            first.vm.run_ok("grep -E ' (_text|kexec_crash_image|__kexec_lock)$' /proc/kallsyms")?;
        let address = |name: &str| -> Result<u64, Error> {
            let line = said.lines().find(|line| line.ends_with(&format!(" {name}")));
            let digits = line.and_then(|line| line.split(' ').next());
            let address = digits
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .filter(|address| *address != 0);
            address.ok_or_else(|| Error::unreadable("an address in /proc/kallsyms", &said))
        };
        let virtual_text = address("_text")?;
        let physical = |name| Ok::<_, Error>(address(name)? - virtual_text + text);
        Ok(Self { image: physical("kexec_crash_image")?, lock: physical("__kexec_lock")? })
    }

    /// What is there after the panic. A capture kernel does not touch the crashed one's memory.
    fn read(&self, crashed: &Crashed<'_, '_>, address: u64, len: usize) -> Result<u64, Error> {
        let mut word = [0; 8];
        word[..len].copy_from_slice(&crashed.vm.ram.read(address, len)?);
        Ok(u64::from_le_bytes(word))
    }
}
