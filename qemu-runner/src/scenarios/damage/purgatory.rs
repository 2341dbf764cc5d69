//! `purgatory-*`: damage to the purgatory's own segment: its code, its block, its leaf table.

use std::mem::offset_of;

use handoff::block::DEFAULT_RESET_DELAY_MS;
use handoff::{Block, RegionKind, Verdict};

use crate::context;
use crate::error::{Error, check};
use crate::evidence::armed::ArmedImage;
use crate::evidence::purgatory::{self, Function};
use crate::scenario::table;
use crate::scenarios::damage::corrupt::bare;
use crate::stage::{First, JUMP_TO_ITSELF, Stage};

/// `UD2`, which raises exception 6, #UD (SDM vol. 2, "UD - Undefined Instruction").
const UD2: [u8; 2] = [0x0f, 0x0b];
/// What hashes three leaves at once.
const THREE_STREAMS: &str = "sha256_three_streams";
/// What `crate::story::tell` is called in the purgatory's symbols, as far as no build changes it
/// (Rust's v0 mangling).
const STORY_TELL: &str = "5story4tell";

table! {
    "purgatory-corrupt-text", [], text,
        "a bit flipped in the purgatory's code never ends in a boot",
        lab: Case("purgatory-text");
    "purgatory-corrupt-block", [], block,
        "a bit flipped in a plausible value of the handoff block breaks the seal",
        lab: Case("block-unsealed");
    "purgatory-corrupt-block-delay", [], delay,
        "a bit flipped in the handoff block's delay does not delay the reset by weeks",
        lab: Case("block-unsealed");
    "purgatory-corrupt-leaf-table", [],
        |stage| {
            let place = |image: &ArmedImage| image.leaf_table.start;
            sealed(stage, "--on-corrupt boot", place, 0, Verdict::Seal).map(drop)
        },
        "a bit flipped in the leaf table breaks the seal, and even `--on-corrupt boot` does not \
         boot",
        lab: Case("boot-leaf-table");
    "purgatory-exception", [Purgatory], exception,
        "an invalid instruction in the purgatory is reported with its address, and the machine \
         resets",
        lab: Case("exception-undefined");
    "purgatory-machine-check", [Purgatory], machine_check,
        "a machine check during verification is reported with the range being verified, and the \
         machine resets",
        lab: Case("machine-check-leaves");
}

/// Nothing verifies the code before it runs, so its end is open. It must end, and never in a boot.
fn text(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&bare())?;
    let segment = first.arm("")?.image.region(RegionKind::Purgatory)?;
    first.flip_bit("the purgatory's code", segment.start + segment.file_len / 2, 0)?;
    let mut crashed = first.panic(None)?;
    let reset = crashed.reset()?;
    let verdict = crashed.verdict();
    check!(verdict != Some(Verdict::Ok), "verdict: expected none, or any other, found ok")?;
    check!(verdict.is_some() || reset.triple_fault, "it ended without verdict or triple fault")
}

/// Flips a bit of what the seal covers, in an image that was armed with these options: the end is
/// `verdict`, and a reset after the delay that is returned.
fn sealed(
    stage: &mut Stage<'_>,
    options: &str,
    place: fn(&ArmedImage) -> u64,
    bit: u8,
    verdict: Verdict,
) -> Result<u32, Error> {
    let mut first = stage.boot(&bare())?;
    let image = first.arm(options)?.image;
    first.flip_bit("the purgatory's segment", place(&image), bit)?;
    let mut crashed = first.panic(None)?;
    let delay_ms = crashed.reset_as_announced()?;
    crashed.expect_verdict(verdict)?;
    Ok(delay_ms)
}

fn block(stage: &mut Stage<'_>) -> Result<(), Error> {
    let place = |image: &ArmedImage| image.block.start + offset_of!(Block, tsc_khz) as u64;
    sealed(stage, "", place, 0, Verdict::Seal).map(drop)
}

fn delay(stage: &mut Stage<'_>) -> Result<(), Error> {
    // The highest bit: 24 days.
    let place =
        |image: &ArmedImage| image.block.start + offset_of!(Block, reset_delay_ms) as u64 + 3;
    let delay_ms = sealed(stage, "", place, 7, Verdict::BlockPolicy)?;
    let most = DEFAULT_RESET_DELAY_MS;
    check!(delay_ms <= most, "delay of the reset: expected at most {most} ms, found {delay_ms}")
}

fn exception(stage: &mut Stage<'_>) -> Result<(), Error> {
    let function = function(stage, STORY_TELL)?;
    let mut first = stage.boot(&bare())?;
    let segment = first.arm("")?.image.region(RegionKind::Purgatory)?;
    replace(&mut first, segment.start, &function, &UD2)?;

    let mut crashed = first.panic(None)?;
    crashed.expect_refusal(Verdict::Exception)?;
    let place = format!("(purgatory+{:#x})", function.offset);
    crashed.expect_remark(&format!("exception 6 at {place}"), |text| {
        text.starts_with("exception 6 ") && text.contains(&place)
    })
}

/// The purgatory is held in the code that hashes leaves, so that what it is verifying does not
/// depend on time.
fn machine_check(stage: &mut Stage<'_>) -> Result<(), Error> {
    let function = function(stage, THREE_STREAMS)?;
    let mut first = stage.boot(&bare())?;
    let image = first.arm("")?.image;
    let (segment, kernel) =
        (image.region(RegionKind::Purgatory)?.start, image.region(RegionKind::Kernel)?.start);
    replace(&mut first, segment, &function, &JUMP_TO_ITSELF)?;

    // On the first CPU, because it is the one that gets it.
    let mut crashed = first.panic(Some(0))?;
    let code = segment + function.offset..segment + function.offset + JUMP_TO_ITSELF.len() as u64;
    crashed.machine_check_in_loop(&code)?;
    crashed.expect_refusal(Verdict::MachineCheck)?;
    let reading = format!("was verifying kernel at {kernel:#x}-");
    for words in [reading.as_str(), "bank 9 status 0xbd80000000000134 address "] {
        crashed.expect_remark(words, |text| text.starts_with(words))?;
    }
    Ok(())
}

fn function(stage: &Stage<'_>, name: &str) -> Result<Function, Error> {
    purgatory::function(&stage.context.read_built(context::PURGATORY)?, name)
}

/// Overwrites the beginning of a function of the purgatory whose code begins at `start`.
pub(in crate::scenarios) fn replace(
    first: &mut First<'_, '_>,
    start: u64,
    Function { offset, beginning }: &Function,
    code: &[u8],
) -> Result<(), Error> {
    let address = start + offset;
    let loaded = first.vm.ram.read(address, beginning.len())?;
    check!(
        loaded == *beginning,
        "the function in memory: expected {beginning:02x?} as in the file, found {loaded:02x?}"
    )?;
    first.vm.ram.write(address, code)?;
    first.note(format!("{code:02x?} written to {address:#x}"));
    Ok(())
}
