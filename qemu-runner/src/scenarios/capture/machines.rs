//! `soft`, `la57`, `high`, `ap`, `uart-absent`, `nmi`, `efi*`: the same story on other machines.

use handoff::EngineId;

use crate::error::{Error, check, check_eq};
use crate::evidence::console::Said;
use crate::machine;
use crate::scenario::table;
use crate::scenarios::capture::complete::capture_with;
use crate::stage::{CAPTURE_APPEND, Capture, PANIC, Setup, Stage};

/// The port of ttyS2 (arch/x86/include/asm/serial.h), which no machine here has: it reads as all
/// ones.
const ABSENT_UART: u16 = 0x3e8;
/// Where addresses need more than 32 bits.
const FOUR_GIB: u64 = 1 << 32;

table! {
    "soft", [Makedumpfile], soft,
        "the capture works on CPUs without SHA-NI: the portable engine verifies",
        lab: Like("capture");
    "la57", [Makedumpfile, FiveLevels], la57,
        "the capture works with five-level paging",
        lab: Case("sound-la57");
    "high", [Makedumpfile], high,
        "the capture works with a crash region above 4 GiB";
    "ap", [Makedumpfile], application_processor,
        "the capture works if CPU 1 panics, not the boot processor",
        lab: Case("panic-on-another-cpu-la57");
    "uart-absent", [Makedumpfile], absent_uart,
        "if the serial port is absent, the purgatory prints nothing and boots",
        lab: Case("sound-uart-absent");
    "nmi", [Makedumpfile], nmi,
        "the capture works with non-maskable interrupts during verification",
        lab: Case("nmi-storm");
    "efi", [Makedumpfile, Ovmf], |stage| efi(stage, ""),
        "the capture works with EFI firmware: the capture kernel gets its tables, but not its \
         memory map";
    "efi-noefi", [Makedumpfile, Ovmf], |stage| efi(stage, "--noefi"),
        "the capture works with EFI firmware and `--noefi`: the capture kernel learns only where \
         ACPI is",
        lab: Like("efi");
}

fn soft(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup { cpu: machine::CPU_WITHOUT_SHA_NI, ..Setup::default() })?;
    first.arm("")?;
    let mut capture = first.panic(None)?.capture()?;
    check_eq!(capture.report.engine.word(), EngineId::Soft.word(), "engine in the report")?;
    capture.expect_dump().map(drop)
}

fn la57(stage: &mut Stage<'_>) -> Result<(), Error> {
    capture_with(stage, &Setup { cpu: machine::CPU_WITH_LA57, ..Setup::default() }, "", |first| {
        first.vm.run_ok("grep -qw la57 /proc/cpuinfo").map(drop)
    })
}

fn high(stage: &mut Stage<'_>) -> Result<(), Error> {
    let setup = Setup { memory_mib: 6144, crashkernel: Some("256M,high"), ..Setup::default() };
    capture_with(stage, &setup, "", |first| {
        let region = first.crash_region()?;
        check!(
            region.start >= FOUR_GIB,
            "the crash region: expected above 4 GiB, found {region:x?}"
        )
    })
}

fn application_processor(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    first.arm("")?;
    let mut capture = first.panic(Some(1))?.capture()?;
    capture.expect_dump()?;
    // The panic's own lines, first of all who panicked (`dump_stack_print_info`, lib/dump_stack.c).
    capture
        .run_ok(&format!(
            "grep -F -A 3 '{PANIC}' /tmp/dmesg >/tmp/panic; grep -qF 'CPU: 1 ' /tmp/panic"
        ))
        .map(drop)
}

fn absent_uart(stage: &mut Stage<'_>) -> Result<(), Error> {
    let mut first = stage.boot(&Setup::default())?;
    first.arm(&format!("--console {ABSENT_UART:#x}"))?;
    let mut capture = first.panic(None)?.capture()?;
    let said = &capture.crashed.said;
    check!(said.is_empty(), "what the purgatory said on ttyS0: expected nothing, found {said:?}")?;
    capture.expect_dump().map(drop)
}

fn nmi(stage: &mut Stage<'_>) -> Result<(), Error> {
    // Enough to read with the slow engine, so that the interrupts arrive while it is at it.
    let mut first = stage.boot(&Setup { ballast_mib: 48, ..Setup::default() })?;
    first.arm("--engine soft")?;
    let mut crashed = first.panic(None)?;
    crashed.await_said("the verification to begin", |said| *said == Said::Verifying)?;
    for _ in 0..3 {
        crashed.vm.monitor.inject_nmi()?;
    }
    crashed.stage.outcome.now("three non-maskable interrupts injected");
    let mut capture = crashed.capture()?;
    check!(
        capture.report.nmis > 0,
        "interrupts in the report: expected at least one, found {}",
        capture.report.nmis
    )?;
    capture.expect_dump().map(drop)
}

fn efi(stage: &mut Stage<'_>, options: &str) -> Result<(), Error> {
    let noefi = !options.is_empty();
    let mut first = stage.boot(&Setup { efi: true, ..Setup::default() })?;
    first.vm.run_ok("[ -d /sys/firmware/efi ]")?;
    first.arm_with(&format!("{CAPTURE_APPEND} efi=debug"), options)?;
    first.place_sentinel(1)?;
    let mut capture = first.panic(None)?.capture()?;
    expect_firmware(&mut capture, noefi)?;
    capture.expect_dump().map(drop)
}

/// ACPI must have been found in any case, EFI only when it was passed on, and never its free
/// memory: the capture kernel would choose its own place there, in the crashed kernel's memory
/// (`process_efi_entries`, arch/x86/boot/compressed/kaslr.c).
fn expect_firmware(capture: &mut Capture<'_, '_>, noefi: bool) -> Result<(), Error> {
    capture.run_ok("dmesg >/tmp/own; grep -q 'ACPI: RSDP 0x' /tmp/own")?;
    let efi = capture.run_ok("[ -d /sys/firmware/efi ] && echo yes || echo no")?;
    check_eq!(efi, if noefi { "no" } else { "yes" }, "/sys/firmware/efi in the capture kernel")?;
    let conventional =
        capture.run_ok("grep 'efi: mem' /tmp/own | grep -c 'Conventional' || true")?;
    check_eq!(conventional, "0", "free memory in the EFI map of the capture kernel")?;
    if !noefi {
        let entries = capture.run_ok("grep -c 'efi: mem' /tmp/own || true")?;
        check!(
            entries != "0",
            "EFI memory map of the capture kernel: expected runtime entries, found none"
        )?;
    }
    Ok(())
}
