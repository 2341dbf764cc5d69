//! llvm-objcopy and llvm-objdump, which the `bootloader` crate needs: rustup's component
//! llvm-tools, else two scripts around the rust-objcopy of every toolchain.
//!
//! The crate llvm-tools looks for them. It asks the program `rustc` for the sysroot and takes the
//! first directory `lib/rustlib/*/bin` with an llvm-objdump. No variable changes that (llvm-tools
//! 0.1.1, `LlvmTools::new`). So the scripts are in a sysroot of their own under `target/assets`,
//! beside a script called rustc that names it. The toolchain stays unchanged.
//!
//! * On exit: how a build finds the tools.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::command;
use crate::repository::Repository;

/// The name of the component, and of the directory under `target/assets`.
pub const NAME: &str = "llvm-tools";
/// The build runs the first, and checks that the second exists.
const TOOLS: [&str; 2] = ["llvm-objcopy", "llvm-objdump"];
/// The tool that every toolchain has.
const RUST_OBJCOPY: &str = "rust-objcopy";

/// Where the tools are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LlvmTools {
    /// In the toolchain's own directory of programs, where the build finds them.
    Toolchain(PathBuf),
    /// Scripts in their place.
    StandIns(StandIns),
}

/// Two scripts in an otherwise empty sysroot, and a script called rustc that names the sysroot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIns {
    /// The real compiler.
    rustc: PathBuf,
    /// The directory of the script called rustc.
    path: PathBuf,
    /// The directory of the tools.
    bin: PathBuf,
}

impl LlvmTools {
    /// The directory of the tools.
    pub fn bin(&self) -> &Path {
        match self {
            Self::Toolchain(bin) | Self::StandIns(StandIns { bin, .. }) => bin,
        }
    }

    /// Makes a build find the tools.
    pub fn provide_to<'a>(&self, build: Cmd<'a>) -> Result<Cmd<'a>> {
        match self {
            Self::Toolchain(_) => Ok(build),
            // A build that gets the compiler from cargo uses the real one. The script serves only a
            // build that runs "rustc" by name.
            Self::StandIns(StandIns { rustc, path, .. }) => {
                Ok(build.env("RUSTC", rustc).env("PATH", first_on_path(path)?))
            }
        }
    }
}

/// The tools, if nothing needs to be fetched or written.
pub fn present(sh: &Shell, repo: &Repository) -> Result<Option<LlvmTools>> {
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
    Ok((
        sysroot,
        libdir.parent().context("the toolchain's libraries lie in no directory")?.join("bin"),
    ))
}

/// Finds or fetches the tools. `without_rustup` ignores those of the toolchain, and rustup.
pub fn get(sh: &Shell, repo: &Repository, without_rustup: bool) -> Result<LlvmTools> {
    let _root = sh.push_dir(&repo.root);
    let (sysroot, bin) = toolchain(sh, repo)?;
    let there = || TOOLS.iter().all(|tool| bin.join(tool).is_file());
    if !without_rustup && there() {
        return Ok(LlvmTools::Toolchain(bin));
    }
    let scripts = scripts(&repo.assets().join(NAME), &sysroot, &bin)?;
    // If the scripts exist, rustup has failed before and is not asked again.
    if !without_rustup && !scripts.are_written() {
        eprintln!("{NAME}: missing, asking rustup for them");
        match command::read(cmd!(sh, "rustup component add {NAME}").env("RUST_BACKTRACE", "0")) {
            Ok(_) if there() => {
                eprintln!("  done: rustup's component");
                return Ok(LlvmTools::Toolchain(bin));
            }
            Ok(_) => eprintln!(
                "  rustup succeeded, but {} are not in {}",
                TOOLS.join(" and "),
                bin.display()
            ),
            Err(error) => eprintln!("  {error:#}"),
        }
    }
    if !scripts.are_written() {
        scripts.write()?;
        eprintln!(
            "  done: scripts around the toolchain's {RUST_OBJCOPY}, in {}",
            scripts.found.bin.display()
        );
    }
    Ok(LlvmTools::StandIns(scripts.found))
}

/// The scripts' files and texts.
struct Scripts {
    files: Vec<(PathBuf, String)>,
    found: StandIns,
}

/// The scripts for a toolchain, below `tree`.
fn scripts(tree: &Path, sysroot: &Path, toolchain_bin: &Path) -> Result<Scripts> {
    let objcopy = toolchain_bin.join(RUST_OBJCOPY);
    ensure!(
        objcopy.is_file(),
        "there is no {} to replace {NAME}; run `rustup component add {NAME}`",
        objcopy.display()
    );
    // The name of this directory does not matter.
    let host = toolchain_bin
        .parent()
        .and_then(Path::file_name)
        .context("the toolchain's programs lie in no directory")?;
    let (own, path) = (tree.join("sysroot"), tree.join("path"));
    let (rustc, bin) = (sysroot.join("bin/rustc"), own.join("lib/rustlib").join(host).join("bin"));
    // rust-objcopy finds its libLLVM only from its own place in the toolchain.
    let tool = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH={} exec {} \"$@\"\n",
        quoted(&sysroot.join("lib"))?,
        quoted(&objcopy)?
    );
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
    /// Whether they exist with these texts, which differ from toolchain to toolchain.
    fn are_written(&self) -> bool {
        self.files
            .iter()
            .all(|(file, text)| fs::read_to_string(file).is_ok_and(|found| found == *text))
    }

    fn write(&self) -> Result<()> {
        for (file, text) in &self.files {
            let directory = file.parent().context("a script in no directory")?;
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(file, executable)
                .with_context(|| format!("cannot make {} executable", file.display()))?;
        }
        Ok(())
    }
}

/// A path, quoted for a shell.
fn quoted(path: &Path) -> Result<String> {
    let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("'{}'", path.replace('\'', r"'\''")))
}

/// PATH with one more directory at its front.
fn first_on_path(directory: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = [directory.to_path_buf()].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(all).with_context(|| format!("{} contains a colon", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A toolchain whose compiler and rust-objcopy print their arguments. Both paths have a quote
    /// and a space.
    fn toolchain(root: &Path) -> (PathBuf, PathBuf) {
        let (sysroot, bin) =
            (root.join("tool's chain"), root.join("tool's chain/lib/rustlib/host/bin"));
        for (program, said) in [
            (sysroot.join("bin/rustc"), "rustc $*"),
            (bin.join(RUST_OBJCOPY), "objcopy $LD_LIBRARY_PATH $*"),
        ] {
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::write(&program, format!("#!/bin/sh\necho \"{said}\"\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        (sysroot, bin)
    }

    #[test]
    fn the_search_of_the_crate_llvm_tools_finds_the_toolchains_objcopy() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let (sysroot, bin) = toolchain(dir.path());
        let scripts = scripts(&dir.path().join("assets"), &sysroot, &bin).unwrap();
        assert!(!scripts.are_written());
        scripts.write().unwrap();
        assert!(scripts.are_written());

        let tools = LlvmTools::StandIns(scripts.found);
        let said =
            command::read(tools.provide_to(cmd!(sh, "sh -c 'rustc --print sysroot'")).unwrap())
                .unwrap();
        let entries: Vec<_> =
            fs::read_dir(Path::new(said.trim_end()).join("lib/rustlib")).unwrap().collect();
        let found = entries[0].as_ref().unwrap().path().join("bin");
        assert!(found.join(TOOLS[1]).is_file());
        let objcopy = found.join(TOOLS[0]);
        let said = command::read(cmd!(sh, "{objcopy} --version")).unwrap();
        assert_eq!(said, format!("objcopy {} --version\n", sysroot.join("lib").display()));
    }

    #[test]
    fn a_build_compiles_with_the_real_compiler() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let (sysroot, bin) = toolchain(dir.path());
        let scripts = scripts(&dir.path().join("assets"), &sysroot, &bin).unwrap();
        scripts.write().unwrap();
        let tools = LlvmTools::StandIns(scripts.found);
        let said = command::read(
            tools
                .provide_to(cmd!(
                    sh,
                    "sh -c '\"$RUSTC\" --print sysroot; rustc --print target-libdir'"
                ))
                .unwrap(),
        );
        assert_eq!(said.unwrap(), "rustc --print sysroot\nrustc --print target-libdir\n");
    }

    #[test]
    fn scripts_of_another_toolchain_are_replaced() {
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
    fn a_toolchain_without_objcopy_is_rejected_with_the_command_that_helps() {
        let dir = Shell::new().unwrap().create_temp_dir().unwrap();
        let error = scripts(dir.path(), dir.path(), &dir.path().join("host/bin"))
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains(RUST_OBJCOPY) && error.contains("rustup component add llvm-tools"),
            "{error}"
        );
    }
}
