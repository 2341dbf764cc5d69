//! [8] The other ending: say the verdict, leave it in memory, then reset or halt.
//!
//! On entry: nothing about the block need be proven, so the policy is taken at its word where that word makes sense, and is `reset`
//! where it does not. A damaged block never boots anything.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use handoff::block::MAX_RESET_DELAY_MS;
use handoff::text::Text;
use handoff::{Block, OnCorrupt, Permissions, Verdict};
use purgatory::console::Console;

use crate::arch::{self, Uart};
use crate::memory;

/// The complement of the verdict's number, for whoever looks at memory from outside; 0 as long as there is none. The complement,
/// because initialised data would be in no digest and the number of [`Verdict::Ok`] is 0.
static VERDICT: AtomicU32 = AtomicU32::new(0);

/// Prints `verdict` as number, word and sentence, and leaves it in memory.
pub fn say_verdict(console: &mut Console<Uart>, verdict: Verdict) {
    VERDICT.store(!(verdict as u32), Ordering::Relaxed);
    let number = u64::from(verdict as u32);
    console.line().text("verdict ").hex(number).text(" ").text(verdict.word()).text(": ").text(verdict.sentence());
}

/// Ends with `verdict` as the block's policy says; `boot` is no way out of here, so it means `reset`.
pub fn refuse(block: &Block, console: &mut Console<Uart>, verdict: Verdict) -> ! {
    say_verdict(console, verdict);
    let permissions = Permissions::from_wire(block.permissions.get()).unwrap_or(Permissions::NONE);
    if OnCorrupt::from_wire(block.on_corrupt.get()) == Some(OnCorrupt::Halt) {
        console.line().text("halted, as told");
        arch::halt(permissions);
    }
    let delay_ms = block.reset_delay_ms.get().min(MAX_RESET_DELAY_MS);
    console.line().text("resetting in ").decimal(u64::from(delay_ms)).text(" ms");
    arch::wait(u64::from(delay_ms).saturating_mul(u64::from(block.tsc_khz.get())));
    arch::reset(permissions)
}

/// Ends because an exception was raised; called by `trap.S` on a stack of its own.
pub extern "sysv64" fn exception(frame: &arch::TrapFrame, fault_address: u64) -> ! {
    let block = memory::received_block();
    let mut console = Console::alleged(&block, Uart::at);
    let arch::TrapFrame { vector, error_code, rip, rsp, .. } = frame;
    let mut line = console.line();
    line.text("exception ").decimal(*vector).text(" error ").hex(*error_code).text(" at rip ").hex(*rip);
    line.text(" (purgatory+").hex(rip.wrapping_sub(memory::itself().start)).text(") rsp ").hex(*rsp);
    line.text(" cr2 ").hex(fault_address);
    drop(line);
    refuse(&block, &mut console, Verdict::Exception)
}

/// Never called: x86_64-purgatory.json asks for the panic strategy `immediate-abort`, so a failed assertion is an #UD, which ends in
/// [`exception`] with its address. Rust wants the handler all the same.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    arch::halt(Permissions::NONE)
}
