//! Our purgatory is put in place of theirs, and their loader arms with it.
//!
//! *On entry* a machine as the scenario asks for it. *On exit* the machine is armed, and our
//! purgatory's code was found in one place of the crash region.

use std::ops::Range;

use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

use crate::context;
use crate::error::{Error, check, check_eq};
use crate::peers;
use crate::stage::{CAPTURE_APPEND, First, Setup, Stage, kexec_command, load_file_command};

/// A machine armed by a kexec that has our purgatory in place of its own, and where that is.
pub fn armed_by_kexec<'s, 'c>(
    stage: &'s mut Stage<'c>,
    setup: Setup,
    options: &str,
) -> Result<(First<'s, 'c>, Range<u64>), Error> {
    let ours = stage.context.read_built(context::KEXEC_TOOLS_DROP_IN)?;
    let program = stage.context.kexec()?.program.clone();
    let kexec = kexec_command(&program, CAPTURE_APPEND);
    let load = format!("{kexec} --serial=ttyS0 --console-serial {options}");
    arm(stage.boot(&setup)?, &load, &ours)
}

/// A machine armed by the kernel's own loader, with our object where the running kernel had its
/// own, which must be in one place; and where our purgatory is.
pub fn armed_by_linux<'s, 'c>(
    stage: &'s mut Stage<'c>,
    series: &'static str,
    setup: Setup,
    ours: &str,
) -> Result<(First<'s, 'c>, Range<u64>), Error> {
    let ours = stage.context.read_built(ours)?;
    let mut theirs = peers::source(&format!("linux-{series}"))?.object(stage.context)?;
    let mut first = stage.boot(&Setup { series: Some(series), ..setup })?;
    let ram = &first.vm.ram;
    let place = ram.only("the kernel's purgatory", &ram.low_memory(), &theirs)?;
    let (len, room) = (ours.len(), theirs.len());
    check!(len <= room, "bytes of our object: expected at most {room}, found {len}")?;
    // The kernel goes by the object's headers; nothing reads what follows it.
    theirs.fill(0);
    theirs[..len].copy_from_slice(&ours);
    ram.write(place, &theirs)?;
    first.note(format!(
        "the kernel's purgatory, {room} bytes at {place:#x}, is now ours, {len} bytes"
    ));
    arm(first, &load_file_command(CAPTURE_APPEND), &ours)
}

/// A machine armed by the loader of a kernel that was built with our object, and where our
/// purgatory is.
pub fn armed_by_built_in<'s, 'c>(
    stage: &'s mut Stage<'c>,
    setup: Setup,
    ours: &str,
) -> Result<(First<'s, 'c>, Range<u64>), Error> {
    let ours = stage.context.read_built(ours)?;
    arm(stage.boot(&setup)?, &load_file_command(CAPTURE_APPEND), &ours)
}

/// Arms, and finds our purgatory's code in the crash region, where it must be in one place.
fn arm<'s, 'c>(
    mut first: First<'s, 'c>,
    load: &str,
    ours: &[u8],
) -> Result<(First<'s, 'c>, Range<u64>), Error> {
    first.vm.run_ok(load)?;
    first.expect_armed(true, "with our purgatory")?;
    let region = first.crash_region()?;
    let code = code(ours);
    let start = first.vm.ram.only("our purgatory", &region, &code)?;
    check_eq!(start % 4096, 0, "what our purgatory's address is beyond a page")?;
    first.note(format!("armed by {load}: our purgatory at {start:#x}"));
    Ok((first, start..start + code.len() as u64))
}

/// The part of an object's code and data that no loader writes to before it runs: up to the first
/// symbol that a loader may write.
fn code(object: &[u8]) -> Vec<u8> {
    let file = object::File::parse(object).expect("cargo xtask audit has read it");
    let section = file.sections().find(|section| section.kind() == SectionKind::Text);
    let section = section.expect("it has one section of code");
    let bytes = section.data().expect("it is in the file");
    let written = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Data);
    let end = written.map(|symbol| symbol.address() as usize).min().unwrap_or(bytes.len());
    bytes[..end].to_vec()
}
