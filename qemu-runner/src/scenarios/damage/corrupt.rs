//! `corrupt-*`: bits flipped from outside in segments that the purgatory verifies.

use handoff::{RegionKind, Verdict};

use crate::error::{Error, check, check_eq};
use crate::evidence::armed::{ArmedImage, Span};
use crate::evidence::console::Said;
use crate::scenario::table;
use crate::stage::{BALLAST_MARK, First, Setup, Stage};

#[derive(Clone, Copy, Debug)]
pub(in crate::scenarios) enum Place {
    First,
    Middle,
    Last,
    ZeroTail,
}

impl Place {
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

table! {
    "corrupt-kernel-first", [], |stage| refused(stage, RegionKind::Kernel, Place::First),
        "a bit flipped in the kernel's first byte is named with its place, and the machine resets",
        lab: Case("kernel-first");
    "corrupt-kernel-middle", [], |stage| refused(stage, RegionKind::Kernel, Place::Middle),
        "a bit flipped in the middle of the kernel is named with its place, and the machine resets",
        lab: Case("kernel-first");
    "corrupt-kernel-last", [], |stage| refused(stage, RegionKind::Kernel, Place::Last),
        "a bit flipped in the kernel's last byte is named with its place, and the machine resets",
        lab: Case("kernel-first");
    "corrupt-kernel-zero-tail", [], |stage| refused(stage, RegionKind::Kernel, Place::ZeroTail),
        "a bit flipped in the kernel's zero tail is named with its place, and the machine resets",
        lab: Case("kernel-tail-first");
    "corrupt-initrd-first", [], |stage| refused(stage, RegionKind::Initrd, Place::First),
        "a bit flipped in the initrd's first byte is named with its place, and the machine resets",
        lab: Case("initrd-first");
    "corrupt-initrd-middle", [], |stage| refused(stage, RegionKind::Initrd, Place::Middle),
        "a bit flipped in the middle of the initrd is named with its place, and the machine resets",
        lab: Case("initrd-first");
    "corrupt-initrd-last", [], |stage| refused(stage, RegionKind::Initrd, Place::Last),
        "a bit flipped in the initrd's last byte is named with its place, and the machine resets",
        lab: Case("initrd-first");
    "corrupt-boot-params-first", [], |stage| refused(stage, RegionKind::BootParams, Place::First),
        "a bit flipped in the boot parameters' first byte is named with its place, and the \
         machine resets",
        lab: Case("boot-params-first");
    "corrupt-boot-params-middle", [], |stage| refused(stage, RegionKind::BootParams, Place::Middle),
        "a bit flipped in the middle of the boot parameters is named with its place, and the \
         machine resets",
        lab: Case("boot-params-first");
    "corrupt-boot-params-last", [], |stage| refused(stage, RegionKind::BootParams, Place::Last),
        "a bit flipped in the boot parameters' last byte is named with its place, and the machine \
         resets",
        lab: Case("boot-params-first");
    "corrupt-command-line-first", [], |stage| refused(stage, RegionKind::CommandLine, Place::First),
        "a bit flipped in the command line's first byte is named with its place, and the machine \
         resets",
        lab: Case("command-line-first");
    "corrupt-command-line-middle", [],
        |stage| refused(stage, RegionKind::CommandLine, Place::Middle),
        "a bit flipped in the middle of the command line is named with its place, and the machine \
         resets",
        lab: Case("command-line-first");
    "corrupt-command-line-last", [], |stage| refused(stage, RegionKind::CommandLine, Place::Last),
        "a bit flipped in the command line's last byte is named with its place, and the machine \
         resets",
        lab: Case("command-line-first");
    "corrupt-initrd-boot", [Makedumpfile], boots_anyway,
        "with `--on-corrupt boot` a damaged initrd is named, and the capture kernel boots and \
         reports it";
    "corrupt-kernel-halt", [], halt,
        "with `--on-corrupt halt` a damaged kernel is named, and every CPU halts",
        lab: Like("corrupt-initrd-boot");
}

/// For scenarios that are not to reach the capture kernel's user space.
pub(in crate::scenarios) fn bare() -> Setup {
    Setup { makedumpfile: false, ..Setup::default() }
}

fn refused(stage: &mut Stage<'_>, kind: RegionKind, place: Place) -> Result<(), Error> {
    let mut first = stage.boot(&bare())?;
    let image = first.arm("")?.image;
    let address = damage(&mut first, &image, kind, place)?;
    let mut crashed = first.panic(None)?;
    let is_tail = matches!(place, Place::ZeroTail);
    crashed.expect_refusal(if is_tail { Verdict::ZeroTail } else { Verdict::SegmentCorrupt })?;
    expect_named(&crashed.said, kind, address)
}

fn boots_anyway(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    let image = first.arm("--on-corrupt boot")?.image;
    let initrd = image.region(RegionKind::Initrd)?;
    // In a file that no program reads, so that the capture kernel can be expected to live.
    let range = initrd.start..initrd.start + initrd.file_len;
    let address = first.vm.ram.only("the ballast", &range, BALLAST_MARK)?;
    first.flip_bit("the initrd", address, 0)?;
    let mut capture = first.panic(None)?.capture()?;
    expect_named(&capture.crashed.said, RegionKind::Initrd, address)?;
    capture.crashed.expect_verdict(Verdict::SegmentCorrupt)?;
    let said = &capture.crashed.said;
    check!(said.contains(&Said::Booting), "no word that it boots in {said:?}")?;
    capture.expect_verdict(Verdict::SegmentCorrupt)?;
    check_eq!(capture.report.segment, Some(RegionKind::Initrd), "segment in the report")?;
    capture.check_vmcore().map(drop)
}

fn halt(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&bare())?;
    let image = first.arm("--on-corrupt halt")?.image;
    let address = damage(&mut first, &image, RegionKind::Kernel, Place::Middle)?;
    let mut crashed = first.panic(None)?;
    crashed.await_said("the purgatory to halt", |said| *said == Said::Halted)?;
    expect_named(&crashed.said, RegionKind::Kernel, address)?;
    crashed.expect_verdict(Verdict::SegmentCorrupt)?;
    crashed.await_halt()
}

pub(in crate::scenarios) fn damage(
    first: &mut First<'_, '_>,
    image: &ArmedImage,
    kind: RegionKind,
    place: Place,
) -> Result<u64, Error> {
    let address = place.in_region(image.region(kind)?);
    first.flip_bit(kind.name(), address, 0)?;
    Ok(address)
}

/// The console must name the region and a span around the damage, and no other.
pub(in crate::scenarios) fn expect_named(
    said: &[Said],
    kind: RegionKind,
    address: u64,
) -> Result<(), Error> {
    let named: Vec<_> = said.iter().filter(|said| matches!(said, Said::Corrupt { .. })).collect();
    let fits = |said: &&Said| match said {
        Said::Corrupt { segment, span } => segment == kind.name() && span.contains(&address),
        _ => false,
    };
    check!(
        named.iter().all(fits) && !named.is_empty(),
        "what is called corrupt: expected {} around {address:#x}, found {named:x?}",
        kind.name()
    )
}
