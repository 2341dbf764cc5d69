//! What runs on Linux: the loader, and programs of the guests.
//!
//! * On entry: the purgatory, which becomes a part of the loader. So does the capture kernel's
//!   /init, which is built first.
//! * On exit: static executables.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};
use xshell::Shell;

use super::{
    LINUX_TARGET, cargo, copy_if_changed, no_foreign_path, paths_of_this_machine, rustflags, strip,
    write_if_changed,
};
use crate::command;
use crate::repository::{Repository, read};
use crate::setup;

/// Their profile, in Cargo.toml.
const PROFILE: &str = "hosted";
/// The profile of the capture kernel's /init, which is in memory that is scarce.
const CAPTURE_PROFILE: &str = "capture";
/// Their build directory, relative to the root.
const TARGET_DIR: &str = "target/loader";
/// The message of an overflow check (`panic_const_add_overflow` in core). A program without the
/// checks does not contain it.
const OVERFLOW: &[u8] = b"attempt to add with overflow";
/// Links the C library statically.
const STATIC: &str = "-Ctarget-feature=+crt-static";

/// Builds the loader with the purgatory inside: target/dist/kdump-loader, and kdump-loader.debug
/// with symbols.
pub fn loader(sh: &Shell, repo: &Repository) -> Result<()> {
    let built = program(sh, repo, "kdump-loader", "kdump-loader")?;
    copy_if_changed(&built, &repo.loader_debug())?;
    let linked = read(&built)?;
    ensure!(
        linked.windows(OVERFLOW.len()).any(|window| window == OVERFLOW),
        "{} has no overflow checks: profile {PROFILE} in Cargo.toml must enable them",
        built.display()
    );
    write_if_changed(&strip::strip(&linked)?, &repo.loader(), 0o755)?;
    no_foreign_path(&paths_of_this_machine(repo, &setup::rust_src(sh, repo)?)?, &repo.loader())
}

/// Builds the capture kernel's /init, which becomes a part of the loader: target/dist/capture-init.
pub fn capture_init(sh: &Shell, repo: &Repository) -> Result<()> {
    let built = with_profile(sh, repo, CAPTURE_PROFILE, "capture-init", "capture-init")?;
    write_if_changed(&strip::strip(&read(&built)?)?, &repo.capture_init(), 0o755)?;
    no_foreign_path(
        &paths_of_this_machine(repo, &setup::rust_src(sh, repo)?)?,
        &repo.capture_init(),
    )
}

/// Builds the programs that run in guests: target/dist/sentinel, poller, trigger.
pub fn guest_programs(sh: &Shell, repo: &Repository) -> Result<()> {
    sh.create_dir(repo.dist())?;
    for (package, name) in
        [("sentinel", "sentinel"), ("storm-guest", "poller"), ("storm-guest", "trigger")]
    {
        let built = program(sh, repo, package, name)?;
        copy_if_changed(&built, &repo.dist().join(name))?;
    }
    Ok(())
}

/// Builds one program as a static executable: guests have no C library, and rescue systems may have
/// an older one.
pub fn program(sh: &Shell, repo: &Repository, package: &str, program: &str) -> Result<PathBuf> {
    with_profile(sh, repo, PROFILE, package, program)
}

fn with_profile(
    sh: &Shell,
    repo: &Repository,
    profile: &str,
    package: &str,
    program: &str,
) -> Result<PathBuf> {
    let what = ["--profile", profile, "--package", package, "--bin", program];
    let cargo = cargo(sh, "build")
        .args(what)
        .args(["--target", LINUX_TARGET, "--target-dir"])
        .arg(repo.root.join(TARGET_DIR))
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(repo, &setup::rust_src(sh, repo)?, &[STATIC])?)
        // The loader's build script embeds them.
        .env("KDUMP_PURGATORY_ELF", repo.purgatory_elf())
        .env("KDUMP_CAPTURE_INIT", repo.capture_init());
    command::show(cargo)?;
    let built = repo.root.join(TARGET_DIR).join(LINUX_TARGET).join(profile).join(program);
    ensure!(
        !has_interpreter(&read(&built)?)?,
        "{} is not static: it names an ELF interpreter",
        built.display()
    );
    Ok(built)
}

fn has_interpreter(bytes: &[u8]) -> Result<bool> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    Ok(header
        .program_headers(endian, bytes)?
        .iter()
        .any(|segment| segment.p_type(endian) == PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_recognized() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(has_interpreter(&own).unwrap());
    }
}
