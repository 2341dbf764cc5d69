//! A case under gdb: where everything with symbols is, and how to start the machine again.
//!
//! *On entry*: the image is built, so every address is known. *On exit*: the case's folder holds
//! what gdb reads ([`GDBINIT`]), and a command line of QEMU that needs only gdb ([`SCRIPT`]).

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use loader::image::{Image, SegmentKind};
use loader::request::Request;

use super::memory::told;
use crate::assets::Qemu;
use crate::context::{self, Context};
use crate::error::Error;
use crate::machine::vm::{FIRMWARE_LOG, QEMU_LOG, RAM};
use crate::machine::{Ends, Machine, Talk, shell_text};

/// What gdb is to read, in a case's directory.
pub const GDBINIT: &str = ".gdbinit";
/// QEMU's command line for gdb without the runner, in a case's directory.
pub const SCRIPT: &str = "gdb.sh";
/// The port on which QEMU waits for gdb unless another is asked for: the one of QEMU's own `-s`.
pub const PORT: u16 = 1234;

/// A program with symbols, and by how much its addresses differ from those in its file.
struct Loaded {
    program: PathBuf,
    offset: u64,
}

/// Writes both files for `machine`, whose image is `image`.
pub fn write(
    context: &Context,
    directory: &Path,
    qemu: &Qemu,
    machine: &Machine,
    request: &Request,
    image: &Image<'_>,
) -> Result<(), Error> {
    let port = machine.debugger.unwrap_or(PORT);
    let programs = [
        // Linked at 0 by its linker script.
        Loaded {
            program: context.built(context::PURGATORY)?,
            offset: told(image).block.purgatory.start.get(),
        },
        // Linked where it runs.
        Loaded { program: context.bare("crash-kernel")?, offset: 0 },
        Loaded {
            program: context.bare("capture-payload")?,
            offset: payload_offset(request, image),
        },
    ];
    let file = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))
    };
    file(GDBINIT, gdbinit(&programs, image.entry(), port))?;
    let machine = Machine { debugger: Some(port), ..machine.clone() };
    let ends = Ends {
        ram: directory.join(RAM),
        qemu_log: directory.join(QEMU_LOG),
        firmware_log: directory.join(FIRMWARE_LOG),
        talk: Talk::Person { agent: directory.join("agent.log") },
        incoming: false,
    };
    file(SCRIPT, shell_text(qemu, &machine.command(qemu, &ends)) + "\n")
}

/// The payload's ELF file begins with what stands before it in the bzImage and is not loaded.
fn payload_offset(request: &Request, image: &Image<'_>) -> u64 {
    let kernel = image.segments().iter().find(|segment| segment.kind() == SegmentKind::Kernel);
    let kernel = kernel.expect("every image has a kernel");
    let not_loaded = request.kernel.bytes.len() - kernel.bytes().len();
    kernel.range().start() - not_loaded as u64
}

fn gdbinit(programs: &[Loaded], entry: u64, port: u16) -> String {
    let mut text = String::from(
        "# Stops where the crash kernel has just left for the purgatory: `continue` goes there.\n",
    );
    for Loaded { program, offset } in programs {
        // A String takes whatever is written to it.
        let _ = writeln!(text, "add-symbol-file \"{}\" -o {offset:#x}", program.display());
    }
    // In hardware, because the purgatory's memory is written after the breakpoint is set.
    let _ = writeln!(text, "target remote localhost:{port}\nhbreak *{entry:#x}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gdb_is_told_of_every_program_before_it_connects_and_stops_at_the_entry() {
        let programs = [("a b/purgatory.elf", 0x13ff_0000), ("crash-kernel", 0)];
        let programs = programs.map(|(program, offset)| Loaded { program: program.into(), offset });
        let text = gdbinit(&programs, 0x13ff_0010, 4321);
        let commands: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            commands,
            [
                "add-symbol-file \"a b/purgatory.elf\" -o 0x13ff0000",
                "add-symbol-file \"crash-kernel\" -o 0x0",
                "target remote localhost:4321",
                "hbreak *0x13ff0010",
            ]
        );
    }
}
