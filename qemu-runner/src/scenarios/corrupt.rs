//! `corrupt-*`: bits flipped from outside in what the purgatory verifies.

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
            may_be_skipped: false,
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
            may_be_skipped: false,
            story: boot_nevertheless,
        },
        Scenario {
            name: "corrupt-kernel-halt",
            summary: "with `--on-corrupt halt` a damaged kernel is named, and every CPU stands still",
            needs: &[],
            may_be_skipped: false,
            story: halt,
        },
    ]
}

/// For scenarios that are not to reach the capture kernel's user space.
pub(super) fn bare() -> Setup {
    Setup { makedumpfile: false, ..Setup::default() }
}

fn refused(stage: &mut Stage<'_>, kind: RegionKind, place: Place) -> Result<(), Error> {
    let mut first = stage.boot(&bare())?;
    let image = first.arm("")?.image;
    let address = damage(&mut first, &image, kind, place)?;
    let mut crashed = first.panic(None)?;
    let delay_ms = crashed.reset_as_announced()?;
    check_eq("announced delay of the reset, in milliseconds", &delay_ms, &(RESET_DELAY_S * 1000))?;
    expect_named(&crashed.said, kind, address)?;
    let verdict = if matches!(place, Place::ZeroTail) { Verdict::ZeroTail } else { Verdict::SegmentCorrupt };
    crashed.expect_verdict(verdict)
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
    first.flip_bit("the initrd", address, 0)?;
    let mut capture = first.panic(None)?.capture()?;
    expect_named(&capture.crashed.said, RegionKind::Initrd, address)?;
    capture.crashed.expect_verdict(Verdict::SegmentCorrupt)?;
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
    crashed.expect_verdict(Verdict::SegmentCorrupt)?;
    crashed.await_halt()
}

fn damage(first: &mut First<'_, '_>, image: &ArmedImage, kind: RegionKind, place: Place) -> Result<u64, Error> {
    let address = place.in_region(image.region(kind)?);
    first.flip_bit(kind.name(), address, 0)?;
    Ok(address)
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
