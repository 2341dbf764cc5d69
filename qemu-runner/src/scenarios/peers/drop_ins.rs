//! `linux-with-ours*`, `kexec-tools-with-ours*`: our purgatory in place of theirs.
//!
//! kexec-tools carries its purgatory in its program, a file that the runner changes. The kernel has
//! its own in read-only data, which the runner changes in the running machine's memory. The kernel
//! stays Debian's, and kexec_file_load(2) uses what it finds there.

mod armed; // their loaders arm with it

use std::ops::Range;

use handoff::{EngineId, Verdict};
use object::{Object, ObjectSymbol};

use crate::context;
use crate::error::{Error, check, check_eq};
use crate::evidence::console::Said;
use crate::evidence::elfcore::{ElfCore, HEADER_LEN};
use crate::evidence::purgatory;
use crate::machine;
use crate::scenario::table;
use crate::scenarios::damage::corrupt::bare;
use crate::scenarios::damage::purgatory::replace;
use crate::stage::{BALLAST_MARK, First, JUMP_TO_ITSELF, Setup, Stage};
use armed::{armed_by_built_in, armed_by_kexec, armed_by_linux};

/// What both say when a digest is wrong.
const REFUSAL: &str = "sha256 digests do not match: expected ";
/// What it says before it resets the machine, if it was built to do that.
const RESETS: &str = "resetting soon";
/// What they say before they hang.
const LAST_WORDS: &str = "stopped: reset the machine";
/// A page of low memory that no kernel uses: it leaves the lowest 64 KiB to the firmware
/// (`X86_RESERVE_LOW`, arch/x86/Kconfig, and since 5.5 the lowest MiB when it has a crash region),
/// and the firmware does not use this one any more.
const LOW_PAGE: u64 = 0x8000;
const LOW_SEED: u64 = 3;
/// A bit of an address that no machine of a scenario has memory at: 16 TiB.
const UNMAPPED_BIT: u64 = 44;
/// Part of the name of what hashes one message without SHA-NI.
const ONE_STREAM: &str = "one_stream8compress";
/// Has kexec-tools let the kernel keep the elfcorehdr current.
const HOTPLUG: &str = "--hotplug";
/// How often the CPU is asked where it hangs.
const LOOKS: u32 = 5;

table! {
    "kexec-tools-with-ours", [Makedumpfile, Kexec, DropIns, CrashHotplug],
        |stage| kexec_tools(stage, machine::CPU, EngineId::ShaNi),
        "kexec-tools arms with our purgatory in place of its own; after hotplug and a panic the \
         vmcore is complete";
    "kexec-tools-with-ours-soft", [Makedumpfile, Kexec, DropIns, CrashHotplug],
        |stage| kexec_tools(stage, machine::CPU_WITHOUT_SHA_NI, EngineId::Soft),
        "the same on a CPU without SHA-NI, which our purgatory detects by an exception",
        lab: Like("kexec-tools-with-ours");
    "kexec-tools-with-ours-table", [Kexec, DropIns, CrashHotplug], kexec_tools_table,
        "a bit flipped in kexec-tools' region table makes our purgatory read unmapped memory: it \
         says so and hangs",
        lab: Like("linux-with-ours-corrupt");
    "kexec-tools-with-ours-machine-check", [Makedumpfile, Kexec, DropIns, CrashHotplug],
        kexec_tools_machine_check,
        "on a machine check our purgatory in kexec-tools says what it was verifying, and resets",
        lab: Like("linux-with-ours-corrupt");
    "kexec-tools-with-ours-corrupt", [Kexec, DropIns, CrashHotplug], kexec_tools_corrupt,
        "a bit flipped in the initrd makes our purgatory in kexec-tools say so and hang",
        lab: Like("linux-with-ours-corrupt");
    "kexec-tools-with-ours-backup", [Makedumpfile, Kexec, DropIns], kexec_tools_backup,
        "our purgatory in kexec-tools copies low memory to where kexec-tools' elfcorehdr says",
        lab: Like("kexec-tools-with-ours");
    "linux-with-ours", [Kernel("6.12"), Makedumpfile, DropIns, CrashHotplug, KexecFile],
        |stage| linux(stage, "6.12"),
        "`load --file` with our purgatory in place of the kernel's; after hotplug and a panic the \
         vmcore is complete";
    "linux-with-ours-corrupt", [Kernel("6.12"), DropIns, KexecFile],
        |stage| linux_corrupt(stage, "6.12"),
        "a bit flipped in the initrd makes our purgatory in the kernel, built with a console, say \
         so and hang";
    "linux-with-ours-reset", [Kernel("6.12"), DropIns, KexecFile], linux_reset,
        "the same, built to reset: our purgatory says so and resets the machine",
        lab: Like("linux-with-ours-corrupt");
    "new-kernel-linux-with-ours", [Kernel("7"), Makedumpfile, DropIns, CrashHotplug, KexecFile],
        |stage| linux(stage, "7"),
        "`linux-with-ours` on Debian's newest kernel",
        lab: Like("linux-with-ours");
    "new-kernel-linux-with-ours-corrupt", [Kernel("7"), DropIns, KexecFile],
        |stage| linux_corrupt(stage, "7"),
        "`linux-with-ours-corrupt` on Debian's newest kernel",
        lab: Like("linux-with-ours-corrupt");
}

/// A machine for a story with memory and CPUs that come.
fn that_grows() -> Setup {
    Setup { dimms: 1, spare_cpus: 1, ..Setup::default() }
}

fn kexec_tools(stage: &mut Stage<'_>, cpu: &'static str, engine: EngineId) -> Result<(), Error> {
    let setup = Setup { cpu, peer_with_ours: true, ..that_grows() };
    let (first, _) = armed_by_kexec(stage, setup, HOTPLUG)?;
    plug_and_capture(first, Some(engine))
}

fn kexec_tools_corrupt(stage: &mut Stage<'_>) -> Result<(), Error> {
    let setup = Setup { peer_with_ours: true, ..bare() };
    let (first, purgatory) = armed_by_kexec(stage, setup, HOTPLUG)?;
    refuse_damaged(first, &purgatory)
}

/// On a CPU without SHA-NI, because the code that hashes is a function of its own there, in which
/// it can be held.
fn kexec_tools_machine_check(stage: &mut Stage<'_>) -> Result<(), Error> {
    let symbols = stage.context.read_built(context::KEXEC_TOOLS_DROP_IN_SYMBOLS)?;
    let function = purgatory::function(&symbols, ONE_STREAM)?;
    let setup = Setup { cpu: machine::CPU_WITHOUT_SHA_NI, peer_with_ours: true, ..that_grows() };
    let (mut first, code) = armed_by_kexec(stage, setup, HOTPLUG)?;
    replace(&mut first, code.start, &function, &JUMP_TO_ITSELF)?;
    let region = first.crash_region()?;
    let mut crashed = first.panic(Some(0))?;
    crashed.machine_check_in_loop(&code)?;
    let reset = crashed.reset()?;
    check!(reset.triple_fault, "the reset: expected a triple fault, which needs no permission")?;
    crashed.expect_remark("a machine check", |text| text.contains("machine check: "))?;
    crashed.expect_remark(&format!("what was verified, in {region:x?}"), |text| {
        reading(text).is_some_and(|at| region.contains(&at))
    })
}

/// The first address of what it says that it was verifying.
fn reading(words: &str) -> Option<u64> {
    let (start, _) = words.strip_prefix("was verifying 0x")?.split_once('-')?;
    u64::from_str_radix(start, 16).ok()
}

/// The first region begins where no memory is, then.
fn kexec_tools_table(stage: &mut Stage<'_>) -> Result<(), Error> {
    let ours = stage.context.read_built(context::KEXEC_TOOLS_DROP_IN)?;
    let (mut first, purgatory) =
        armed_by_kexec(stage, Setup { peer_with_ours: true, ..bare() }, HOTPLUG)?;
    let file = object::File::parse(ours.as_slice()).expect("cargo xtask audit has read it");
    let table = file.symbol_by_name("sha256_regions").expect("cargo xtask audit has found it");
    let byte = purgatory.start + table.address() + UNMAPPED_BIT / 8;
    first.flip_bit("the first region's start", byte, (UNMAPPED_BIT % 8) as u8)?;
    refuse(first, &purgatory, "exception 14 error 0x0 at rip ")
}

/// Without hotplug the kernel leaves kexec-tools' elfcorehdr alone, in which low memory is a part
/// of the dump, from the place that it was copied to: there are zeroes until then.
fn kexec_tools_backup(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (mut first, _) =
        armed_by_kexec(stage, Setup { peer_with_ours: true, ..Setup::default() }, "")?;
    let page = sentinel::pattern(LOW_SEED);
    first.vm.ram.write(LOW_PAGE, &page)?;
    first.note(format!("sentinel {LOW_SEED} written to {LOW_PAGE:#x} from outside"));
    let mut crashed = first.panic(None)?;
    crashed.await_capture_kernel()?;
    let core = ElfCore::parse(&crashed.read_vmcore(0, HEADER_LEN)?)?;
    let found = crashed.read_vmcore(core.file_offset(LOW_PAGE)?, page.len())?;
    check!(found == page, "page {LOW_PAGE:#x} of the vmcore: expected the sentinel {LOW_SEED}")?;
    crashed.stage.outcome.now(format!("sentinel {LOW_SEED} found at {LOW_PAGE:#x} of the vmcore"));
    Ok(())
}

fn linux(stage: &mut Stage<'_>, series: &'static str) -> Result<(), Error> {
    let (first, _) = armed_by_linux(stage, series, that_grows(), context::LINUX_DROP_IN)?;
    plug_and_capture(first, None)
}

fn linux_corrupt(stage: &mut Stage<'_>, series: &'static str) -> Result<(), Error> {
    let ours = context::LINUX_DROP_IN_WITH_CONSOLE;
    let (first, purgatory) = armed_by_linux(stage, series, bare(), ours)?;
    refuse_damaged(first, &purgatory)
}

fn linux_reset(stage: &mut Stage<'_>) -> Result<(), Error> {
    let ours = context::LINUX_DROP_IN_RESETTING;
    let (first, _) = armed_by_linux(stage, "6.12", bare(), ours)?;
    refuse_and_reset(first)
}

/// `linux-with-ours` on a kernel that was built with our object.
pub(crate) fn built_in_captures(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (first, _) = armed_by_built_in(stage, that_grows(), context::LINUX_DROP_IN)?;
    plug_and_capture(first, None)
}

/// `linux-with-ours-corrupt` on such a kernel.
pub(crate) fn built_in_refuses(stage: &mut Stage<'_>) -> Result<(), Error> {
    let ours = context::LINUX_DROP_IN_WITH_CONSOLE;
    let (first, purgatory) = armed_by_built_in(stage, bare(), ours)?;
    refuse_damaged(first, &purgatory)
}

/// `linux-with-ours-reset` on such a kernel.
pub(crate) fn built_in_resets(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (first, _) = armed_by_built_in(stage, bare(), context::LINUX_DROP_IN_RESETTING)?;
    refuse_and_reset(first)
}

/// `kexec-tools-with-ours` with a kexec that was built with our object.
pub(crate) fn built_kexec_captures(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (first, _) = armed_by_kexec(stage, Setup { peer: true, ..that_grows() }, HOTPLUG)?;
    plug_and_capture(first, Some(EngineId::ShaNi))
}

/// `kexec-tools-with-ours-corrupt` with such a kexec.
pub(crate) fn built_kexec_refuses(stage: &mut Stage<'_>) -> Result<(), Error> {
    let (first, purgatory) = armed_by_kexec(stage, Setup { peer: true, ..bare() }, HOTPLUG)?;
    refuse_damaged(first, &purgatory)
}

/// Memory and a CPU come, the kernel rewrites its elfcorehdr, and panics; the vmcore must be
/// complete. Our purgatory must have said with which engine it verified and that all is well, if it
/// was given a console.
fn plug_and_capture(mut first: First<'_, '_>, speaks: Option<EngineId>) -> Result<(), Error> {
    first.grow()?;
    let mut crashed = first.panic(None)?;
    crashed.await_capture_kernel()?;
    check_eq!(crashed.verdict(), speaks.map(|_| Verdict::Ok), "our purgatory's verdict")?;
    if let Some(engine) = speaks {
        let words = format!(" regions with {}", engine.word());
        crashed.expect_remark(&words, |text| text.ends_with(&words))?;
    }
    crashed.check_vmcore().map(drop)
}

/// Flips a bit of the initrd.
fn damage(first: &mut First<'_, '_>) -> Result<(), Error> {
    let region = first.crash_region()?;
    let place = first.vm.ram.only("the initrd", &region, BALLAST_MARK)?;
    first.flip_bit("the initrd", place, 0)
}

fn says(words: &'static str) -> impl Fn(&Said) -> bool {
    move |said| matches!(said, Said::Remark(remark) if remark.contains(words))
}

/// After a bit was flipped, our purgatory must say so and hang.
fn refuse_damaged(mut first: First<'_, '_>, purgatory: &Range<u64>) -> Result<(), Error> {
    damage(&mut first)?;
    refuse(first, purgatory, REFUSAL)
}

/// After the panic our purgatory must say these words and hang.
fn refuse(first: First<'_, '_>, purgatory: &Range<u64>, words: &'static str) -> Result<(), Error> {
    // On the first CPU, because it is asked where it is.
    let mut crashed = first.panic(Some(0))?;
    crashed.await_said("our purgatory to refuse", says(words))?;
    crashed.await_said("our purgatory's last words", says(LAST_WORDS))?;
    for _ in 0..LOOKS {
        let at = crashed.vm.monitor.instruction_pointer()?;
        let inside = purgatory.contains(&at);
        check!(inside, "where the CPU is: expected {purgatory:x?}, found {at:#x}")?;
    }
    crashed.stage.outcome.now("the CPU hangs in our purgatory");
    Ok(())
}

/// After a bit was flipped, our purgatory must say so and reset the machine.
fn refuse_and_reset(mut first: First<'_, '_>) -> Result<(), Error> {
    damage(&mut first)?;
    let mut crashed = first.panic(None)?;
    crashed.await_said("our purgatory to refuse", says(REFUSAL))?;
    crashed.await_said("our purgatory to announce a reset", says(RESETS))?;
    crashed.orderly_reset().map(drop)
}
