//! Everything that touches the machine, in order of execution.

mod header; // of the bzImage
mod entry; // from the jump to Rust
mod interrupts; // exceptions and NMIs
mod console; // COM2, and the end of the run
mod memory; // physical memory, through page tables of our own

use core::panic::PanicInfo;

use capture_payload::EntryState;
use handoff::text::Text;
use x86_64::structures::idt::InterruptDescriptorTable;

use console::Console;
use memory::Memory;

/// Called once by `entry.S`, on our own stack, with our own GDT.
extern "sysv64" fn tell(entry: &EntryState) -> ! {
    let mut console = Console::open();
    console.text("payload: entered\n");
    let mut idt = InterruptDescriptorTable::new();
    // SAFETY: `tell` does not return.
    unsafe { interrupts::install(&mut idt) };
    let memory = Memory::map_ourselves(entry.cr4);
    let program = memory::program();
    let ending = capture_payload::all(entry, &program, &memory, &mut console, interrupts::iret);
    console::end(ending)
}

/// Required by Rust, but never called: x86_64-payload.json sets the panic strategy
/// `immediate-abort`. A failed assertion is therefore #UD, and ends in [`interrupts`] with its
/// address.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    console::end(orders::Ending::PayloadCrashed)
}
