//! `cargo xtask build`: the purgatory, and the loader with the purgatory inside.
//!
//! On exit: `target/dist/` with `purgatory.elf`, `purgatory.debug`, which is the same with symbols, the drop-ins `purgatory-linux.ro` and
//! `purgatory-kexec-tools.ro`, `kdump-loader` (one static executable) and `kdump-loader.debug`, the man pages, completions for shells, and a MANIFEST of them.

pub mod bare; // what the fault matrix is run with
mod manual; // man pages
mod completions; // of shells
mod strip; // programs without symbols
pub mod drop_in; // the purgatory in the places of others'
mod relocatable; // an object of a linked program
pub mod hosted; // what runs on Linux
pub mod manifest; // what was built, with sizes and digests

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use crate::command;
use crate::repository::Repository;
use crate::setup;

/// The target of what runs between two kernels.
const PURGATORY_TARGET: &str = "x86_64-purgatory.json";
/// The target of everything that runs on Linux, named so that its flags do not reach build scripts.
pub const LINUX_TARGET: &str = "x86_64-unknown-linux-gnu";
/// LLVM turns a `match` into a table of addresses, each of which would need a relocation. Here and nowhere else, because
/// CARGO_ENCODED_RUSTFLAGS overrules .cargo/config.toml; without it, the linker script and `audit` refuse what comes out.
const NO_POINTER_TABLES: &str = "-Cjump-tables=no";
/// cargo's own separator of flags in CARGO_ENCODED_RUSTFLAGS, so that a path may contain spaces.
pub const FLAG_SEPARATOR: &str = "\x1f";

/// Build the purgatory, the loader, and the purgatories for Linux and kexec-tools into target/dist
///
/// The purgatory is built with its own core library, for which rust-src is brought if it is missing. The loader is one static
/// executable with the purgatory inside; its man pages and completions for bash, zsh and fish are written beside it. What was built is listed in target/dist/MANIFEST.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    drop_ins: drop_in::Settings,
    /// Also build the programs that run inside guests
    #[arg(long)]
    guests: bool,
}

impl Args {
    /// Builds, and prints what came out.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        build_with(sh, repo, &self.drop_ins)?;
        if self.guests {
            hosted::guest_programs(sh, repo)?;
        }
        print!("{}", manifest::read(repo)?);
        Ok(())
    }
}

/// Builds everything, as it ships.
pub fn build(sh: &Shell, repo: &Repository) -> Result<()> {
    build_with(sh, repo, &drop_in::Settings::default())
}

fn build_with(sh: &Shell, repo: &Repository, drop_ins: &drop_in::Settings) -> Result<()> {
    setup::linker(sh)?;
    purgatories(sh, repo, drop_ins)?;
    hosted::loader(sh, repo)?;
    manual::write(sh, &repo.man())?;
    completions::write(sh, &repo.completions())?;
    // What they were made of may have changed: `package` builds them again.
    sh.remove_path(repo.debian_package())?;
    sh.remove_path(repo.rpm_package())?;
    manifest::write(repo)
}

/// A program that runs without an operating system, and how it is built.
pub struct Freestanding {
    /// Its name, and its package's.
    pub program: &'static str,
    /// Its target: a name, or a file.
    pub target: &'static str,
    /// Which parts of the standard library are built for it.
    pub build_std: &'static str,
    /// Where, below the repository's root.
    pub target_dir: &'static str,
    /// Flags besides those of every build.
    pub flags: &'static [&'static str],
}

/// What runs between two kernels.
const PURGATORY: Freestanding = Freestanding {
    program: "purgatory",
    target: PURGATORY_TARGET,
    build_std: "-Zbuild-std=core,compiler_builtins",
    target_dir: "target/purgatory",
    flags: &[NO_POINTER_TABLES],
};

/// `cargo SUBCOMMAND` for the purgatory and its drop-ins.
pub fn purgatory_cargo<'a>(sh: &'a Shell, repo: &Repository, subcommand: &str) -> Result<Cmd<'a>> {
    Ok(freestanding_cargo(sh, repo, subcommand, &PURGATORY)?
        .args(drop_in::DROP_INS.iter().flat_map(|drop_in| ["--bin", drop_in.program])))
}

/// `cargo SUBCOMMAND` for a freestanding program, with everything that building its `core` takes.
pub fn freestanding_cargo<'a>(sh: &'a Shell, repo: &Repository, subcommand: &str, what: &Freestanding) -> Result<Cmd<'a>> {
    let rust_src = setup::rust_src(sh, repo)?;
    let Freestanding { program, target, build_std, target_dir, flags } = *what;
    let cargo = cargo(sh, subcommand)
        .args(["--release", "--package", program, "--bin", program, "--target", target])
        .args(["-Zjson-target-spec", build_std, "-Zbuild-std-features=compiler-builtins-mem"])
        .arg("--target-dir")
        .arg(repo.root.join(target_dir))
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(repo, &rust_src, flags)?)
        // Stable with unstable options, as Linux itself does; for this one cargo only, because build scripts that see it in
        // others switch nightly features on.
        .env("RUSTC_BOOTSTRAP", "1");
    Ok(where_rust_src_is(cargo, &rust_src))
}

/// Tells a cargo that builds a core library where its source is, if that is not in the toolchain.
fn where_rust_src_is<'a>(cargo: Cmd<'a>, rust_src: &setup::RustSrc) -> Cmd<'a> {
    match rust_src {
        setup::RustSrc::Toolchain(_) => cargo,
        setup::RustSrc::Unpacked(library) => cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library),
    }
}

/// Where cargo puts a freestanding program: below a directory named after the target, or after its file.
fn place(repo: &Repository, what: &Freestanding) -> PathBuf {
    let triple = Path::new(what.target).file_stem().unwrap_or_default();
    repo.root.join(what.target_dir).join(triple).join("release").join(what.program)
}

/// Builds the purgatory and the drop-ins alone, as they ship.
pub fn purgatory(sh: &Shell, repo: &Repository) -> Result<()> {
    purgatories(sh, repo, &drop_in::Settings::default())
}

fn purgatories(sh: &Shell, repo: &Repository, drop_ins: &drop_in::Settings) -> Result<()> {
    sh.create_dir(repo.dist())?;
    command::show(purgatory_cargo(sh, repo, "build")?)?;
    let linked = place(repo, &PURGATORY);
    copy_if_changed(&linked, &repo.purgatory_debug())?;
    let linked = std::fs::read(&linked).with_context(|| format!("cannot read {}", linked.display()))?;
    write_if_changed(&strip::strip(&linked)?, &repo.purgatory_elf())?;
    drop_in::build(repo, drop_ins)?;
    let paths = paths_of_this_machine(repo, &setup::rust_src(sh, repo)?)?;
    let objects = drop_in::DROP_INS.iter().map(|drop_in| drop_in.object(repo));
    [repo.purgatory_elf()].into_iter().chain(objects).try_for_each(|program| no_foreign_path(&paths, &program))
}

/// The cargo that runs this xtask, without flags that the environment sets for other builds, and with the versions that are committed.
fn cargo<'a>(sh: &'a Shell, subcommand: &str) -> Cmd<'a> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    cmd!(sh, "{cargo} {subcommand} --locked")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_BOOTSTRAP")
        .env_remove("CARGO_BUILD_TARGET")
}

/// Flags of every build, and more: paths of this machine are replaced, so that they are in nobody's panic messages.
fn rustflags(repo: &Repository, rust_src: &setup::RustSrc, more: &[&str]) -> Result<OsString> {
    let mut flags: Vec<OsString> = more.iter().map(OsString::from).collect();
    for (path, name) in paths_of_this_machine(repo, rust_src)? {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(path);
        flag.push("=");
        flag.push(name);
        flags.push(flag);
    }
    Ok(flags.join(FLAG_SEPARATOR.as_ref()))
}

/// Where source files lie here, and what takes that place: from the widest to the narrowest, since rustc takes the last that fits.
/// rust-src matters for the loader too: where it is present, rustc names the standard library's files by it.
fn paths_of_this_machine(repo: &Repository, rust_src: &setup::RustSrc) -> Result<[(PathBuf, &'static str); 3]> {
    let library = rust_src.library().to_path_buf();
    Ok([(cargo_home()?, "cargo"), (repo.root.clone(), "kdump-purgatory"), (library, "rust")])
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    Ok(std::env::home_dir().context("neither CARGO_HOME nor HOME is set")?.join(".cargo"))
}

/// Fails if a program contains one of these paths: then somebody's directory names would be handed out.
fn no_foreign_path(paths: &[(PathBuf, &str)], program: &Path) -> Result<()> {
    let bytes = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    for (path, _) in paths {
        let needle = path.as_os_str().as_encoded_bytes();
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            let text: Vec<u8> = bytes[at..].iter().copied().take_while(u8::is_ascii_graphic).collect();
            bail!("{} contains a path of this machine: {}", program.display(), String::from_utf8_lossy(&text));
        }
    }
    Ok(())
}

/// Leaves the old file, and its time, alone if nothing changed: cargo rebuilds the loader when the purgatory is newer.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    // By a new name first: a program that is running cannot be written to, and a test may be running it.
    let aside = aside(to);
    std::fs::copy(from, &aside).with_context(|| format!("cannot copy {} to {}", from.display(), aside.display()))?;
    std::fs::rename(&aside, to).with_context(|| format!("cannot rename {} to {}", aside.display(), to.display()))
}

/// The same for what is not in a file yet.
fn write_if_changed(new: &[u8], to: &Path) -> Result<()> {
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let aside = aside(to);
    std::fs::write(&aside, new).with_context(|| format!("cannot write {}", aside.display()))?;
    std::fs::rename(&aside, to).with_context(|| format!("cannot rename {} to {}", aside.display(), to.display()))
}

/// The same for a program, which others may execute.
fn write_program_if_changed(new: &[u8], to: &Path) -> Result<()> {
    write_if_changed(new, to)?;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(to, executable).with_context(|| format!("cannot make {} executable", to.display()))
}

/// A name beside `to`, which nothing else has.
fn aside(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_output_keeps_its_time() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::write(&from, "one").unwrap();
        copy_if_changed(&from, &to).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        std::fs::File::options().write(true).open(&to).unwrap().set_modified(long_ago).unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(std::fs::metadata(&to).unwrap().modified().unwrap(), long_ago);
        std::fs::write(&from, "two").unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"two");
        std::fs::File::options().write(true).open(&to).unwrap().set_modified(long_ago).unwrap();
        write_if_changed(b"two", &to).unwrap();
        assert_eq!(std::fs::metadata(&to).unwrap().modified().unwrap(), long_ago);
        write_if_changed(b"three", &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"three");
    }

    #[test]
    fn a_program_with_a_path_of_this_machine_is_refused() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let paths = [(dir.path().to_path_buf(), "kdump-purgatory")];
        let program = dir.path().join("program");
        std::fs::write(&program, format!("\0\0{}/src/main.rs\0", dir.path().display())).unwrap();
        assert!(no_foreign_path(&paths, &program).unwrap_err().to_string().contains("src/main.rs"));
        std::fs::write(&program, "kdump-purgatory/src/main.rs").unwrap();
        no_foreign_path(&paths, &program).unwrap();
    }
}
