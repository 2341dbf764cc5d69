//! The bare-metal harness: the crash kernel, the capture payload, and the builder of their disk.
//!
//! * On exit: `target/bare/` has `crash-kernel`, `capture-payload`, `capture-payload.bzImage` and
//!   `disk-image`.

use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use xshell::{Cmd, Shell, cmd};

use super::{
    Freestanding, LIBRARY_AT, cargo, copy_if_changed, freestanding_cargo, no_foreign_path,
    paths_of_this_machine,
};
use super::{place, write_if_changed};
use crate::command;
use crate::repository::{Repository, read};
use crate::setup;

/// The kernel that crashes, for the target that the crate `bootloader` boots.
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
/// It is outside the workspace, because its dependencies need unstable features.
const DISK_IMAGE: &str = "tests/disk-image/Cargo.toml";
/// Its build directory, relative to the root.
const DISK_IMAGE_TARGET: &str = "target/disk-image";

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
    write_if_changed(image, &payload.with_extension("bzImage"), 0o644)?;

    disk_image(sh, repo)
}

/// Runs clippy on all three, and checks the formatting of the package outside the workspace.
pub fn lint(sh: &Shell, repo: &Repository) -> Result<()> {
    for part in [CRASH_KERNEL, CAPTURE_PAYLOAD] {
        command::show(
            freestanding_cargo(sh, repo, "clippy", &part)?.args(["--", "--deny", "warnings"]),
        )?;
    }
    command::show(cmd!(sh, "cargo fmt --manifest-path {DISK_IMAGE} --check"))?;
    command::show(disk_image_cargo(sh, repo, "clippy")?.args(["--", "--deny", "warnings"]))
}

/// Builds the builder of disk images. The first time takes a minute or two, because `bootloader`
/// downloads and compiles its boot stages.
fn disk_image(sh: &Shell, repo: &Repository) -> Result<()> {
    command::show(disk_image_cargo(sh, repo, "build")?).context(
        "the builder of disk images could not be built, for the reason above; its first build \
         downloads crates: if this machine is offline, connect it and run `cargo xtask qemu \
         bare` once",
    )?;
    copy_if_changed(
        &repo.root.join(DISK_IMAGE_TARGET).join("release/disk-image"),
        &repo.bare().join("disk-image"),
    )
}

fn disk_image_cargo<'a>(sh: &'a Shell, repo: &Repository, subcommand: &str) -> Result<Cmd<'a>> {
    let cargo = cargo(sh, subcommand)
        .args(["--release", "--manifest-path", DISK_IMAGE, "--target-dir"])
        .arg(repo.root.join(DISK_IMAGE_TARGET))
        // No flags, not even the workspace's: boot sectors must fit 512 bytes.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        // For the boot stages, which the dependency's build script compiles with their own core
        // library.
        .env("RUSTC_BOOTSTRAP", "1");
    let cargo = cargo.env(LIBRARY_AT, setup::rust_src(sh, repo)?);
    setup::llvm_tools::provide_to(sh, repo, cargo)
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
