//! `cargo xtask build`: the purgatory, the capture kernel's /init, and the loader.
//!
//! * On exit: `target/dist/` has `purgatory.elf`; the drop-ins `purgatory-linux.ro` and
//!   `purgatory-kexec-tools.ro`; `kdump-loader`, one static executable; each with its symbols in a
//!   `.debug` file; `capture-init`, which is inside the loader; man pages, completions for shells,
//!   and a MANIFEST of what ships.

pub mod bare; // programs of the fault matrix
mod manual; // man pages
mod completions; // of shells
mod strip; // programs without symbols
pub mod drop_in; // the purgatory in place of Linux's and kexec-tools'
mod relocatable; // an object made from a linked program
pub mod hosted; // programs for Linux
pub mod manifest; // shipped files with sizes and digests

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use crate::command;
use crate::repository::{Repository, read};
use crate::setup;

/// The purgatory's target.
const PURGATORY_TARGET: &str = "x86_64-purgatory.json";
/// The target of programs for Linux. Given explicitly, its flags do not reach build scripts.
pub const LINUX_TARGET: &str = "x86_64-unknown-linux-gnu";
/// Without it, LLVM compiles a `match` to a table of addresses, each of which needs a relocation.
/// The linker script and `audit` reject those. It is not in .cargo/config.toml, because
/// CARGO_ENCODED_RUSTFLAGS overrides that file.
const NO_POINTER_TABLES: &str = "-Cjump-tables=no";
/// Where cargo finds the standard library's source.
const LIBRARY_AT: &str = "__CARGO_TESTS_ONLY_SRC_ROOT";
/// The separator of flags in CARGO_ENCODED_RUSTFLAGS. A path in a flag may contain spaces.
pub const FLAG_SEPARATOR: &str = "\x1f";

/// Build the purgatory, the loader, and the purgatories for Linux and kexec-tools into target/dist
///
/// The purgatory is built with its own core library. If rust-src is missing, it is fetched. The
/// loader is one static executable with the purgatory inside. Its man pages and its completions for
/// bash, zsh and fish are beside it. target/dist/MANIFEST lists the files.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    drop_ins: drop_in::Settings,
    /// Also build the programs that run inside guests
    #[arg(long)]
    guests: bool,
}

impl Args {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        build_with(sh, repo, &self.drop_ins)?;
        if self.guests {
            hosted::guest_programs(sh, repo)?;
        }
        manifest::print(repo)
    }
}

/// Builds everything, as it ships.
pub fn build(sh: &Shell, repo: &Repository) -> Result<()> {
    build_with(sh, repo, &drop_in::Settings::default())
}

fn build_with(sh: &Shell, repo: &Repository, drop_ins: &drop_in::Settings) -> Result<()> {
    setup::linker(sh)?;
    purgatories(sh, repo, drop_ins)?;
    hosted::capture_init(sh, repo)?;
    hosted::loader(sh, repo)?;
    manual::write(sh, &repo.man())?;
    completions::write(sh, &repo.completions())?;
    // They are stale now. `package` builds them again.
    sh.remove_path(repo.debian_package())?;
    sh.remove_path(repo.rpm_package())?;
    manifest::write(repo)
}

/// How a program that runs without an operating system is built.
pub struct Freestanding {
    /// The name of the program and of its package.
    pub program: &'static str,
    /// The target: a name or a file.
    pub target: &'static str,
    /// The parts of the standard library to build.
    pub build_std: &'static str,
    /// The build directory, below the repository's root.
    pub target_dir: &'static str,
    /// Additional flags.
    pub flags: &'static [&'static str],
}

/// The purgatory. Its drop-ins are built with it.
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

/// `cargo SUBCOMMAND` for a freestanding program, with all options for building its `core`.
pub fn freestanding_cargo<'a>(
    sh: &'a Shell,
    repo: &Repository,
    subcommand: &str,
    what: &Freestanding,
) -> Result<Cmd<'a>> {
    let Freestanding { program, target, build_std, target_dir, flags } = *what;
    let library = setup::rust_src(sh, repo)?;
    Ok(cargo(sh, subcommand)
        .args(["--release", "--package", program, "--bin", program, "--target", target])
        .args(["-Zjson-target-spec", build_std, "-Zbuild-std-features=compiler-builtins-mem"])
        .arg("--target-dir")
        .arg(repo.root.join(target_dir))
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(repo, &library, flags)?)
        // Unstable options on the stable toolchain, as in Linux itself. Only this cargo gets it:
        // build scripts that see it enable nightly features.
        .env("RUSTC_BOOTSTRAP", "1")
        .env(LIBRARY_AT, library))
}

/// cargo's output: below a directory named after the target, or after the target's file.
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
    write_if_changed(&strip::strip(&read(&linked)?)?, &repo.purgatory_elf(), 0o644)?;
    drop_in::build(repo, drop_ins)?;
    let paths = paths_of_this_machine(repo, &setup::rust_src(sh, repo)?)?;
    let objects = drop_in::DROP_INS.iter().map(|drop_in| drop_in.object(repo));
    [repo.purgatory_elf()]
        .into_iter()
        .chain(objects)
        .try_for_each(|program| no_foreign_path(&paths, &program))
}

/// The cargo that runs this xtask, with the committed versions, and without the environment's flags
/// for other builds.
fn cargo<'a>(sh: &'a Shell, subcommand: &str) -> Cmd<'a> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    cmd!(sh, "{cargo} {subcommand} --locked")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_BOOTSTRAP")
        .env_remove("CARGO_BUILD_TARGET")
}

/// The flags `more`, and flags that replace this machine's paths in panic messages.
fn rustflags(repo: &Repository, library: &Path, more: &[&str]) -> Result<OsString> {
    let mut flags: Vec<OsString> = more.iter().map(OsString::from).collect();
    for (path, name) in paths_of_this_machine(repo, library)? {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(path);
        flag.push("=");
        flag.push(name);
        flags.push(flag);
    }
    Ok(flags.join(FLAG_SEPARATOR.as_ref()))
}

/// This machine's source directories and their replacements, from the widest to the narrowest:
/// rustc uses the last that fits. If rust-src is present, rustc uses its path for the standard
/// library's files in every program.
fn paths_of_this_machine(
    repo: &Repository,
    library: &Path,
) -> Result<[(PathBuf, &'static str); 3]> {
    let library = library.to_path_buf();
    Ok([(cargo_home()?, "cargo"), (repo.root.clone(), "kdump-purgatory"), (library, "rust")])
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    Ok(std::env::home_dir().context("neither CARGO_HOME nor HOME is set")?.join(".cargo"))
}

/// Fails if a program contains one of these paths, because it would ship with names of directories
/// of this machine.
fn no_foreign_path(paths: &[(PathBuf, &str)], program: &Path) -> Result<()> {
    let bytes = read(program)?;
    for (path, _) in paths {
        let needle = path.as_os_str().as_encoded_bytes();
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            let text: Vec<u8> =
                bytes[at..].iter().copied().take_while(u8::is_ascii_graphic).collect();
            bail!(
                "{} contains a path of this machine: {}",
                program.display(),
                String::from_utf8_lossy(&text)
            );
        }
    }
    Ok(())
}

/// Copies a file. If nothing changed, the old file keeps its time: cargo rebuilds the loader if the
/// purgatory is newer.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let mode = std::fs::metadata(from).map(|metadata| metadata.permissions().mode());
    write_if_changed(&read(from)?, to, mode.unwrap_or(0o644))
}

/// Writes a file with this mode. If nothing changed, the old file keeps its time.
fn write_if_changed(new: &[u8], to: &Path, mode: u32) -> Result<()> {
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    // To a new name first: a running program cannot be written, and a test may be running it.
    let mut aside = to.as_os_str().to_owned();
    aside.push(".new");
    std::fs::write(&aside, new)
        .and_then(|()| std::fs::set_permissions(&aside, Permissions::from_mode(mode)))
        .and_then(|()| std::fs::rename(&aside, to))
        .with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_output_keeps_its_time() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        let time = || std::fs::metadata(&to).unwrap().modified().unwrap();
        std::fs::write(&from, "one").unwrap();
        copy_if_changed(&from, &to).unwrap();
        std::fs::File::options().write(true).open(&to).unwrap().set_modified(long_ago).unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(time(), long_ago);
        std::fs::write(&from, "two").unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"two");
        assert_ne!(time(), long_ago);
    }

    #[test]
    fn a_program_with_a_path_of_this_machine_is_rejected() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let paths = [(dir.path().to_path_buf(), "kdump-purgatory")];
        let program = dir.path().join("program");
        std::fs::write(&program, format!("\0\0{}/src/main.rs\0", dir.path().display())).unwrap();
        assert!(no_foreign_path(&paths, &program).unwrap_err().to_string().contains("src/main.rs"));
        std::fs::write(&program, "kdump-purgatory/src/main.rs").unwrap();
        no_foreign_path(&paths, &program).unwrap();
    }
}
