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
    Freestanding, cargo, copy_if_changed, freestanding_cargo, no_foreign_path,
    paths_of_this_machine, where_rust_src_is,
};
use super::{place, write_if_changed};
use crate::command;
use crate::repository::Repository;
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

/// Builds all three.
pub fn build(sh: &Shell, repo: &Repository) -> Result<()> {
    sh.create_dir(repo.bare())?;
    for part in [CRASH_KERNEL, CAPTURE_PAYLOAD] {
        command::show(freestanding_cargo(sh, repo, "build", &part)?)?;
        let program = repo.bare().join(part.program);
        copy_if_changed(&place(repo, &part), &program)?;
        no_foreign_path(&paths_of_this_machine(repo, &setup::rust_src(sh, repo)?)?, &program)?;
    }
    let payload = repo.bare().join(CAPTURE_PAYLOAD.program);
    let bytes =
        std::fs::read(&payload).with_context(|| format!("cannot read {}", payload.display()))?;
    let image = only_segment(&bytes)
        .with_context(|| format!("cannot make a bzImage of {}", payload.display()))?;
    write_if_changed(image, &payload.with_extension("bzImage"))?;

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
        "the builder of disk images could not be built, for the reason above; its first build downloads crates: \
         if this machine is offline, connect it and run `cargo xtask qemu bare` once",
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
    setup::llvm_tools::provide_to(sh, repo, where_rust_src_is(cargo, &setup::rust_src(sh, repo)?))
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

#[cfg(test)]
mod tests {
    use object::elf::{PT_DYNAMIC, ProgramType};

    use super::*;

    /// An ELF file with these program headers (type, offset, bytes in the file) and 0x200 bytes in
    /// all.
    fn elf(segments: &[(ProgramType, u64, u64)]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([3, 0, 62, 0, 1, 0, 0, 0]); // ET_DYN, EM_X86_64, EV_CURRENT
        bytes.extend([0_u64, 64, 0].map(u64::to_le_bytes).as_flattened()); // e_entry, e_phoff, e_shoff
        bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, segments.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
        for &(kind, offset, len) in segments {
            bytes.extend([kind.0, 7].map(u32::to_le_bytes).as_flattened());
            bytes.extend(
                [offset, 0, 0, len, len + 0x1000, 4096].map(u64::to_le_bytes).as_flattened(),
            );
        }
        bytes.resize(0x1f0, 0);
        bytes.extend(*b"bzImage, or not.");
        bytes
    }

    #[test]
    fn the_only_segment_is_the_image_without_its_zero_tail() {
        let file = elf(&[(PT_DYNAMIC, 0, 8), (PT_LOAD, 0x1f0, 7)]);
        assert_eq!(only_segment(&file).unwrap(), b"bzImage");
    }

    #[test]
    fn a_payload_that_is_not_one_segment_is_rejected() {
        for (segments, why) in [
            (&[][..], "0 loadable segments"),
            (&[(PT_LOAD, 0x1f0, 7), (PT_LOAD, 0x1f7, 9)], "2 loadable segments"),
            (&[(PT_LOAD, 0x1f0, 17)], "not in the file"),
        ] {
            let error = only_segment(&elf(segments)).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
