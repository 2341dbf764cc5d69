//! llvm-objcopy and llvm-objdump, without which the `bootloader` crate does not build: rustup's component llvm-tools, else two scripts
//! around the rust-objcopy that every toolchain has.
//!
//! The crate llvm-tools, which looks for them, asks the program `rustc` for the sysroot and takes the first directory
//! `lib/rustlib/*/bin` in it that has an llvm-objdump; it knows no variable (llvm-tools 0.1.1, `LlvmTools::new`). So the scripts lie in
//! a sysroot of their own under `target/assets`, beside a script called rustc that names it, and the toolchain is left alone.
//!
//! On exit: how a build finds the tools.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::command;
use crate::repository::Repository;

/// Name of the component and of the directory under `target/assets`.
pub const NAME: &str = "llvm-tools";
/// What the build asks for: it runs the first, and wants to know that the second is there.
const TOOLS: [&str; 2] = ["llvm-objcopy", "llvm-objdump"];
/// What every toolchain has instead.
const RUST_OBJCOPY: &str = "rust-objcopy";

/// Where the tools are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LlvmTools {
    /// In the toolchain's own directory of programs, where they are looked for.
    Toolchain(PathBuf),
    /// In scripts that stand in for them.
    StandIns(StandIns),
}

/// Two scripts in a sysroot that holds nothing else, and one that leads there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIns {
    /// The compiler that really compiles.
    rustc: PathBuf,
    /// Where the script called rustc is.
    path: PathBuf,
    /// Where the tools are.
    bin: PathBuf,
}

impl LlvmTools {
    /// The directory that has them.
    pub fn bin(&self) -> &Path {
        match self {
            Self::Toolchain(bin) | Self::StandIns(StandIns { bin, .. }) => bin,
        }
    }

    /// Leads a build to them.
    pub fn lead<'a>(&self, build: Cmd<'a>) -> Result<Cmd<'a>> {
        match self {
            Self::Toolchain(_) => Ok(build),
            // Who takes the compiler from cargo gets the real one; only who runs "rustc" by name meets the script.
            Self::StandIns(StandIns { rustc, path, .. }) => Ok(build.env("RUSTC", rustc).env("PATH", first_on_path(path)?)),
        }
    }
}

/// Where they are, if nothing needs to be brought or written.
pub fn there(sh: &Shell, repo: &Repository) -> Result<Option<LlvmTools>> {
    let (sysroot, bin) = toolchain(sh, repo)?;
    if TOOLS.iter().all(|tool| bin.join(tool).is_file()) {
        return Ok(Some(LlvmTools::Toolchain(bin)));
    }
    let scripts = scripts(&repo.assets().join(NAME), &sysroot, &bin)?;
    Ok(scripts.are_written().then_some(LlvmTools::StandIns(scripts.found)))
}

/// The toolchain's root, and the directory of programs in it.
fn toolchain(sh: &Shell, repo: &Repository) -> Result<(PathBuf, PathBuf)> {
    let _root = sh.push_dir(&repo.root);
    let sysroot = PathBuf::from(command::read(cmd!(sh, "rustc --print sysroot"))?.trim_end());
    let libdir = PathBuf::from(command::read(cmd!(sh, "rustc --print target-libdir"))?.trim_end());
    Ok((sysroot, libdir.parent().context("the toolchain's libraries lie in no directory")?.join("bin")))
}

/// Finds or brings them. `without_rustup` does as if the toolchain had none and rustup could not bring them.
pub fn get(sh: &Shell, repo: &Repository, without_rustup: bool) -> Result<LlvmTools> {
    let _root = sh.push_dir(&repo.root);
    let (sysroot, bin) = toolchain(sh, repo)?;
    let there = || TOOLS.iter().all(|tool| bin.join(tool).is_file());
    if !without_rustup && there() {
        return Ok(LlvmTools::Toolchain(bin));
    }
    let scripts = scripts(&repo.assets().join(NAME), &sysroot, &bin)?;
    // Once the scripts have had to stand in for this toolchain's tools, rustup is not asked again each time.
    if !without_rustup && !scripts.are_written() {
        eprintln!("{NAME}: missing, asking rustup for them");
        match command::read(cmd!(sh, "rustup component add {NAME}").env("RUST_BACKTRACE", "0")) {
            Ok(_) if there() => {
                eprintln!("  done: rustup's component");
                return Ok(LlvmTools::Toolchain(bin));
            }
            Ok(_) => eprintln!("  rustup was content, but {} did not appear in {}", TOOLS.join(" and "), bin.display()),
            Err(error) => eprintln!("  {error:#}"),
        }
    }
    if !scripts.are_written() {
        scripts.write()?;
        eprintln!("  done: scripts around the toolchain's {RUST_OBJCOPY}, in {}", scripts.found.bin.display());
    }
    Ok(LlvmTools::StandIns(scripts.found))
}

/// What the scripts are to say.
struct Scripts {
    files: Vec<(PathBuf, String)>,
    found: StandIns,
}

/// The scripts for a toolchain, below `tree`.
fn scripts(tree: &Path, sysroot: &Path, toolchain_bin: &Path) -> Result<Scripts> {
    let objcopy = toolchain_bin.join(RUST_OBJCOPY);
    ensure!(
        objcopy.is_file(),
        "there is no {} to stand in for {NAME}; bring them with `rustup component add {NAME}`",
        objcopy.display()
    );
    // Any name will do for the directory between: the host's, as in a toolchain.
    let host = toolchain_bin.parent().and_then(Path::file_name).context("the toolchain's programs lie in no directory")?;
    let (own, path) = (tree.join("sysroot"), tree.join("path"));
    let (rustc, bin) = (sysroot.join("bin/rustc"), own.join("lib/rustlib").join(host).join("bin"));
    // Nothing says where its libLLVM is but the place at which it expects to lie.
    let tool = format!("#!/bin/sh\nLD_LIBRARY_PATH={} exec {} \"$@\"\n", quoted(&sysroot.join("lib"))?, quoted(&objcopy)?);
    let compiler = format!(
        "#!/bin/sh\nif [ \"$*\" = \"--print sysroot\" ]; then printf '%s\\n' {}; else exec {} \"$@\"; fi\n",
        quoted(&own)?,
        quoted(&rustc)?
    );
    let mut files: Vec<_> = TOOLS.iter().map(|name| (bin.join(name), tool.clone())).collect();
    files.push((path.join("rustc"), compiler));
    Ok(Scripts { files, found: StandIns { rustc, path, bin } })
}

impl Scripts {
    /// Whether they are there and say so already: of another toolchain they would be others.
    fn are_written(&self) -> bool {
        self.files.iter().all(|(file, text)| fs::read_to_string(file).is_ok_and(|found| found == *text))
    }

    fn write(&self) -> Result<()> {
        for (file, text) in &self.files {
            let directory = file.parent().context("a script in no directory")?;
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(file, executable).with_context(|| format!("cannot make {} executable", file.display()))?;
        }
        Ok(())
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> Result<String> {
    let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("'{}'", path.replace('\'', r"'\''")))
}

/// PATH with one directory before all others.
fn first_on_path(directory: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = [directory.to_path_buf()].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(all).with_context(|| format!("{} contains a colon", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A toolchain with a compiler and a rust-objcopy that say how they were called; both paths have a quote and a space.
    fn toolchain(root: &Path) -> (PathBuf, PathBuf) {
        let (sysroot, bin) = (root.join("tool's chain"), root.join("tool's chain/lib/rustlib/host/bin"));
        for (program, said) in [(sysroot.join("bin/rustc"), "rustc $*"), (bin.join(RUST_OBJCOPY), "objcopy $LD_LIBRARY_PATH $*")]
        {
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::write(&program, format!("#!/bin/sh\necho \"{said}\"\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        (sysroot, bin)
    }

    #[test]
    fn who_looks_for_the_tools_as_the_crate_does_finds_the_toolchains_objcopy() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let (sysroot, bin) = toolchain(dir.path());
        let scripts = scripts(&dir.path().join("assets"), &sysroot, &bin).unwrap();
        assert!(!scripts.are_written());
        scripts.write().unwrap();
        assert!(scripts.are_written());

        let tools = LlvmTools::StandIns(scripts.found);
        let said = command::read(tools.lead(cmd!(sh, "sh -c 'rustc --print sysroot'")).unwrap()).unwrap();
        let entries: Vec<_> = fs::read_dir(Path::new(said.trim_end()).join("lib/rustlib")).unwrap().collect();
        let found = entries[0].as_ref().unwrap().path().join("bin");
        assert!(found.join(TOOLS[1]).is_file());
        let objcopy = found.join(TOOLS[0]);
        let said = command::read(cmd!(sh, "{objcopy} --version")).unwrap();
        assert_eq!(said, format!("objcopy {} --version\n", sysroot.join("lib").display()));
    }

    #[test]
    fn who_compiles_meets_the_real_compiler() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let (sysroot, bin) = toolchain(dir.path());
        let scripts = scripts(&dir.path().join("assets"), &sysroot, &bin).unwrap();
        scripts.write().unwrap();
        let tools = LlvmTools::StandIns(scripts.found);
        let said =
            command::read(tools.lead(cmd!(sh, "sh -c '\"$RUSTC\" --print sysroot; rustc --print target-libdir'")).unwrap());
        assert_eq!(said.unwrap(), "rustc --print sysroot\nrustc --print target-libdir\n");
    }

    #[test]
    fn scripts_of_another_toolchain_are_not_taken_for_this_ones() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let write = |root: &Path| {
            let (sysroot, bin) = toolchain(root);
            scripts(&dir.path().join("assets"), &sysroot, &bin).unwrap()
        };
        write(&one).write().unwrap();
        assert!(write(&one).are_written());
        assert!(!write(&other).are_written());
    }

    #[test]
    fn a_toolchain_without_objcopy_is_refused_with_the_command_that_helps() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let error = scripts(dir.path(), dir.path(), &dir.path().join("host/bin")).err().unwrap().to_string();
        assert!(error.contains(RUST_OBJCOPY) && error.contains("rustup component add llvm-tools"), "{error}");
    }
}
