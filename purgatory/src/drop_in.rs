//! What both hosts' purgatories do: verify the regions, and stop if they are not as they were loaded.
//!
//! On entry: `arch/x86_64/entry.S` has been passed; `crate::console` says where to print. On exit of [`verify`]: every byte of
//! every region is what the host's loader digested.

use core::ops::Range;
use core::panic::PanicInfo;

use digest::Digest;
use handoff::block::HIGHEST_CONSOLE_PORT;
use handoff::text::Text;
use handoff::{OnCorrupt, Permissions};
use purgatory::console::Console;
use purgatory::reading::{NO_LEAF, READING};
use purgatory::regions::{Region, Regions, Senseless, Table};
use zerocopy::transmute;

use crate::arch::{self, UartPorts};

// Below arch/, which is the room for unsafe code; only the drop-ins are built with them.
#[path = "arch/drop_in/memory.rs"]
pub mod memory; // physical memory as slices
#[path = "arch/drop_in/written.rs"]
pub mod written; // what somebody else writes before we run

use written::Written;

/// Ticks of the time-stamp counter between the last words and a reset: 10 s at 3 GHz. How fast it ticks, no host says.
const RESET_TICKS: u64 = 30_000_000_000;

/// Ticks that a UART's FIFO of sixteen bytes takes at 9600 bits per second, and more at any frequency up to 10 GHz.
const UART_TICKS: u64 = 200_000_000;

written::symbols! {
    /// What to do when a region is not what was loaded: a number of [`OnCorrupt`], of which `boot` counts as `halt`.
    ON_CORRUPT: u8 as "purgatory_on_corrupt" = OnCorrupt::Halt as u8;
}

/// The UART behind `port`, if there can be one.
pub fn uart(port: u16) -> Option<UartPorts> {
    (1..=HIGHEST_CONSOLE_PORT).contains(&port).then(|| UartPorts::at(port))
}

/// Returns if the digest of all regions is the expected one.
pub fn verify(console: &mut Console<UartPorts>, table: &Written<Table>, expected: &Written<[u64; 4]>) {
    let expected: Digest = transmute!(expected.words());
    let regions = match Regions::parse(&table.pairs(), &memory::itself()) {
        Ok(regions) => regions,
        Err(Senseless { index }) => {
            console.line().text("region ").decimal(index as u64).text(" of the table makes no sense: the table is corrupt");
            stop(console)
        }
    };
    let engine = arch::probed_engine();
    let bytes: u64 = regions.iter().map(Region::size).sum();
    let mut line = console.line();
    line.text("I'm in purgatory, verifying ").decimal(bytes).text(" bytes in ").decimal(regions.iter().count() as u64);
    line.text(" regions with ").text(engine.id().word());
    drop(line);
    let read = |region: Region| {
        // A single stream reads one region after another.
        READING.clear();
        READING.begin(NO_LEAF, region.start()..region.start() + region.size());
        memory::bytes(region)
    };
    let verified = regions.verify(engine, &expected, read);
    READING.clear();
    if let Err(found) = verified {
        let mut line = console.line();
        line.text("sha256 digests do not match: expected ").digits(&expected).text(" found ").digits(&found);
        drop(line);
        stop(console)
    }
    console.line().text("ok: every region is as it was loaded");
}

/// The end, as this program was built to have it: by default what the hosts' own purgatories do, which is to stand still for
/// ever.
fn stop(console: &mut Console<UartPorts>) -> ! {
    if ON_CORRUPT.get() == OnCorrupt::Reset as u8 {
        console.line().text("resetting soon, as built");
        arch::wait(RESET_TICKS);
        // Where port I/O is not allowed, the exception that it raises ends in a reset, too.
        arch::reset(Permissions::ALL)
    }
    console.line().text("stopped for ever");
    // Without HLT, which confidential guests may not execute: nobody says whether this is one.
    arch::halt(Permissions::NONE)
}

/// Called by `trap.S` on a stack of its own. Comes back if the exception is the answer to a probe of the CPU.
pub extern "sysv64" fn exception(frame: &mut arch::TrapFrame, fault_address: u64) {
    if arch::resume_probe(frame) {
        return;
    }
    let mut console = crate::console();
    console.break_line();
    let arch::TrapFrame { vector, error_code, rip, .. } = frame;
    let mut line = console.line();
    line.text("exception ").decimal(*vector).text(" error ").hex(*error_code).text(" at rip ").hex(*rip);
    line.text(" (purgatory+").hex(rip.wrapping_sub(memory::itself().start)).text(") cr2 ").hex(fault_address);
    drop(line);
    if *vector == arch::MACHINE_CHECK {
        reset_after_machine_check(&mut console)
    }
    stop(&mut console)
}

/// Says what was being read, then resets, whatever ON_CORRUPT says: under the hosts' own purgatories, which leave CR4.MCE off, a machine
/// check resets as well.
fn reset_after_machine_check(console: &mut Console<UartPorts>) -> ! {
    console.line().text("machine check: memory, or another part of this machine, failed");
    for Range { start, end } in READING.spans() {
        console.line().text("was verifying ").hex(start).text("-").hex(end - 1);
    }
    // Until a UART has sent what it was given.
    arch::wait(UART_TICKS);
    arch::reset(Permissions::NONE)
}

/// Never called: see stop.rs.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    arch::halt(Permissions::NONE)
}
