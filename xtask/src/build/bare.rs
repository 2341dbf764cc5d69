//! The bare-metal harness: the crash kernel and the capture payload.
//!
//! * On exit: `target/bare/` has `crash-kernel`, `capture-payload` and `capture-payload.bzImage`.

use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use xshell::Shell;

use super::{
    Freestanding, copy_if_changed, freestanding_cargo, no_foreign_path, paths_of_this_machine,
    place, write_if_changed,
};
use crate::command;
use crate::repository::{Repository, read};
use crate::setup;

/// The kernel that crashes.
const CRASH_KERNEL: Freestanding = Freestanding {
    program: "crash-kernel",
    target: "x86_64-unknown-none",
    build_std: "-Zbuild-std=core,compiler_builtins,alloc",
    target_dir: "target/crash-kernel",
    flags: &[],
};
/// The capture payload: position-independent, without relocations and SSE.
const CAPTURE_PAYLOAD: Freestanding = Freestanding {
    program: "capture-payload",
    target: "tests/capture-payload/x86_64-payload.json",
    build_std: "-Zbuild-std=core,compiler_builtins",
    target_dir: "target/capture-payload",
    flags: &[super::NO_POINTER_TABLES],
};

pub fn build(sh: &Shell, repo: &Repository) -> Result<()> {
    sh.create_dir(repo.bare())?;
    for part in [CRASH_KERNEL, CAPTURE_PAYLOAD] {
        command::show(freestanding_cargo(sh, repo, "build", &part)?)?;
        let program = repo.bare().join(part.program);
        copy_if_changed(&place(repo, &part), &program)?;
        no_foreign_path(&paths_of_this_machine(repo, &setup::rust_src(sh, repo)?)?, &program)?;
    }
    let payload = repo.bare().join(CAPTURE_PAYLOAD.program);
    let bytes = read(&payload)?;
    let image = only_segment(&bytes)
        .with_context(|| format!("cannot make a bzImage of {}", payload.display()))?;
    write_if_changed(image, &payload.with_extension("bzImage"), 0o644)
}

/// Runs clippy on both. The payload is checked for the crash kernel's target, with the core library
/// that was checked for that: clippy sees no difference between their targets.
pub fn lint(sh: &Shell, repo: &Repository) -> Result<()> {
    let payload = Freestanding { program: CAPTURE_PAYLOAD.program, ..CRASH_KERNEL };
    for part in [CRASH_KERNEL, payload] {
        command::show(
            freestanding_cargo(sh, repo, "clippy", &part)?.args(["--", "--deny", "warnings"]),
        )?;
    }
    Ok(())
}

/// The file bytes of the only PT_LOAD. The payload's linker script lays it out as a bzImage.
fn only_segment(bytes: &[u8]) -> Result<&[u8]> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let loads: Vec<_> = header
        .program_headers(endian, bytes)?
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD)
        .collect();
    ensure!(loads.len() == 1, "it has {} loadable segments instead of one", loads.len());
    loads[0].data(endian, bytes).ok().context("its segment is not in the file")
}
