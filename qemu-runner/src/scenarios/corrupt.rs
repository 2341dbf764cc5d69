//! `corrupt-*`, `purgatory-corrupt-*`: bits flipped from outside in the armed image.

use handoff::{RegionKind, Verdict};

use crate::armed::{ArmedImage, Span};
use crate::console::Said;
use crate::error::{Error, check, check_eq};
use crate::first::{First, RESET_DELAY_S};
use crate::scenario::{Need, Scenario};
use crate::stage::{BALLAST_MARK, Setup, Stage};

/// Which byte of a region.
#[derive(Clone, Copy, Debug)]
enum Place {
    First,
    Middle,
    Last,
    ZeroTail,
}

impl Place {
    /// Its physical address in a region.
    fn in_region(self, region: Span) -> u64 {
        region.start
            + match self {
                Self::First => 0,
                Self::Middle => region.file_len / 2,
                Self::Last => region.file_len - 1,
                Self::ZeroTail => region.file_len + (region.mem_len - region.file_len) / 2,
            }
    }
}

/// A scenario in which a byte of a region is damaged and the boot refused.
macro_rules! refused {
    ($name:literal, $kind:ident, $place:ident, $what:literal) => {
        Scenario {
            name: $name,
            summary: concat!("a bit flipped in ", $what, " is refused by name and place, and the machine is reset"),
            needs: &[],
            story: |stage| refused(stage, RegionKind::$kind, Place::$place),
        }
    };
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        refused!("corrupt-kernel-first", Kernel, First, "the kernel's first byte"),
        refused!("corrupt-kernel-middle", Kernel, Middle, "the middle of the kernel"),
        refused!("corrupt-kernel-last", Kernel, Last, "the kernel's last byte"),
        refused!("corrupt-kernel-zero-tail", Kernel, ZeroTail, "the kernel's zero tail"),
        refused!("corrupt-initrd-first", Initrd, First, "the initrd's first byte"),
        refused!("corrupt-initrd-middle", Initrd, Middle, "the middle of the initrd"),
        refused!("corrupt-initrd-last", Initrd, Last, "the initrd's last byte"),
        refused!("corrupt-boot-params-first", BootParams, First, "the boot parameters' first byte"),
        refused!("corrupt-boot-params-middle", BootParams, Middle, "the middle of the boot parameters"),
        refused!("corrupt-boot-params-last", BootParams, Last, "the boot parameters' last byte"),
        refused!("corrupt-command-line-first", CommandLine, First, "the command line's first byte"),
        refused!("corrupt-command-line-middle", CommandLine, Middle, "the middle of the command line"),
        refused!("corrupt-command-line-last", CommandLine, Last, "the command line's last byte"),
        Scenario {
            name: "corrupt-initrd-boot",
            summary: "with `--on-corrupt boot` a damaged initrd is named, and the capture kernel is booted and told so",
            needs: &[Need::Makedumpfile],
            story: boot_nevertheless,
        },
        Scenario {
            name: "corrupt-kernel-halt",
            summary: "with `--on-corrupt halt` a damaged kernel is named, and every CPU stands still",
            needs: &[],
            story: halt,
        },
        Scenario {
            name: "purgatory-corrupt-text",
            summary: "a bit flipped in the purgatory's own text never ends in a boot that claims to be ok",
            needs: &[],
            story: |stage| {
                purgatory_corrupt(stage, |image| Ok(Place::Middle.in_region(image.region(RegionKind::Purgatory)?)), &[])
            },
        },
        Scenario {
            name: "purgatory-corrupt-block",
            summary: "a bit flipped in the handoff block is a named verdict",
            needs: &[],
            // The last byte is of an unused region: nothing but the seal covers it.
            story: |stage| {
                purgatory_corrupt(
                    stage,
                    |image| Ok(image.block.end - 1),
                    &[Verdict::Seal, Verdict::BlockRegion, Verdict::BlockReserved],
                )
            },
        },
        Scenario {
            name: "purgatory-corrupt-leaf-table",
            summary: "a bit flipped in the leaf table breaks the seal",
            needs: &[],
            story: |stage| purgatory_corrupt(stage, |image| Ok(image.leaf_table.start), &[Verdict::Seal]),
        },
    ]
}

/// For scenarios that are not to reach the capture kernel's user space.
fn bare() -> Setup {
    Setup { makedumpfile: false, ..Setup::default() }
}

fn refused(stage: &mut Stage<'_>, kind: RegionKind, place: Place) -> Result<(), Error> {
    let mut first = stage.boot(&bare())?;
    let image = first.arm("")?.image;
    let address = damage(&mut first, &image, kind, place)?;
    let mut crashed = first.panic(None)?;
    let triple_fault = crashed.reset()?;
    expect_named(&crashed.said, kind, address)?;
    let verdict = if matches!(place, Place::ZeroTail) { Verdict::ZeroTail } else { Verdict::SegmentCorrupt };
    expect_verdict(crashed.verdict(), verdict)?;
    let told = crashed.said.iter().any(|said| matches!(said, Said::Resetting(delay) if *delay == RESET_DELAY_S * 1000));
    check(told, "the last words", "an announced reset after the delay", format!("{:?}", crashed.said))?;
    check(!triple_fault, "the reset", "one that was asked for", "a triple fault")
}

fn boot_nevertheless(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    let image = first.arm("--on-corrupt boot")?.image;
    let initrd = image.region(RegionKind::Initrd)?;
    // In a file that nobody reads, so that the capture kernel can be expected to live.
    let bytes = first.vm.ram.read(initrd.start, initrd.file_len as usize)?;
    let ballast = memchr::memmem::find(&bytes, BALLAST_MARK).ok_or_else(|| Error::Check {
        what: "initrd in memory".into(),
        expected: "the ballast".into(),
        found: "none".into(),
    })?;
    let address = initrd.start + ballast as u64;
    first.flip_bit("the initrd", address)?;
    let mut capture = first.panic(None)?.capture()?;
    expect_named(&capture.crashed.said, RegionKind::Initrd, address)?;
    expect_verdict(capture.crashed.verdict(), Verdict::SegmentCorrupt)?;
    check(
        capture.crashed.said.contains(&Said::Booting),
        "the last words",
        "that it boots",
        format!("{:?}", capture.crashed.said),
    )?;
    capture.expect_verdict(Verdict::SegmentCorrupt)?;
    check(capture.report.segment == Some(RegionKind::Initrd), "segment in the report", "initrd", capture.report)?;
    capture.check_vmcore()?;
    Ok(())
}

fn halt(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&bare())?;
    let image = first.arm("--on-corrupt halt")?.image;
    let address = damage(&mut first, &image, RegionKind::Kernel, Place::Middle)?;
    let mut crashed = first.panic(None)?;
    crashed.await_said("the purgatory to halt", |said| *said == Said::Halted)?;
    expect_named(&crashed.said, RegionKind::Kernel, address)?;
    expect_verdict(crashed.verdict(), Verdict::SegmentCorrupt)?;
    // The line is printed before the instruction is executed; nothing tells when, so it is asked for until the deadline.
    while !crashed.vm.monitor.all_cpus_halted()? {}
    crashed.stage.outcome.now("every CPU stands in HLT");
    Ok(())
}

/// Damages the purgatory's own segment: the end is a reset, after one of `verdicts` if there are any.
fn purgatory_corrupt(
    stage: &mut Stage<'_>,
    place: fn(&ArmedImage) -> Result<u64, Error>,
    verdicts: &[Verdict],
) -> Result<(), Error> {
    let mut first = stage.boot(&bare())?;
    let image = first.arm("")?.image;
    first.flip_bit("the purgatory's segment", place(&image)?)?;
    let mut crashed = first.panic(None)?;
    crashed.reset()?;
    let verdict = crashed.verdict();
    check(verdict != Some(Verdict::Ok), "verdict", "none, or any other", "ok")?;
    let named = verdicts.is_empty() || verdict.is_some_and(|verdict| verdicts.contains(&verdict));
    check(named, "verdict", format!("one of {verdicts:?}"), format!("{verdict:?}"))
}

fn damage(first: &mut First<'_, '_>, image: &ArmedImage, kind: RegionKind, place: Place) -> Result<u64, Error> {
    let address = place.in_region(image.region(kind)?);
    first.flip_bit(kind.name(), address)?;
    Ok(address)
}

fn expect_verdict(found: Option<Verdict>, expected: Verdict) -> Result<(), Error> {
    check_eq("verdict on the console", &found.map_or("none", Verdict::word), &expected.word())
}

/// The console must name the region and a span around the damage, and no other.
fn expect_named(said: &[Said], kind: RegionKind, address: u64) -> Result<(), Error> {
    let named: Vec<_> = said.iter().filter(|said| matches!(said, Said::Corrupt { .. })).collect();
    let right = named
        .iter()
        .all(|said| matches!(said, Said::Corrupt { segment, span } if segment == kind.name() && span.contains(&address)));
    let expected = format!("{} around {address:#x}", kind.name());
    check(right && !named.is_empty(), "what the console calls corrupt", expected, format!("{named:x?}"))
}
