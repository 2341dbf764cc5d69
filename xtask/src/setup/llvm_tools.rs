//! llvm-objcopy and llvm-objdump for the build of the crate `bootloader`: scripts around the
//! rust-objcopy of every toolchain.
//!
//! The crate llvm-tools looks for them. It asks the program `rustc` for the sysroot and takes the
//! first directory `lib/rustlib/*/bin` with an llvm-objdump. No variable changes that (llvm-tools
//! 0.1.1, `LlvmTools::new`). So the scripts are in a sysroot of their own under `target/assets`,
//! beside a script called rustc that names it. The toolchain stays unchanged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::command;
use crate::repository::Repository;

/// Makes a build find the tools.
pub fn provide_to<'a>(sh: &'a Shell, repo: &Repository, build: Cmd<'a>) -> Result<Cmd<'a>> {
    let _root = sh.push_dir(&repo.root);
    let sysroot = command::read(cmd!(sh, "rustc --print sysroot"))?;
    let libdir = command::read(cmd!(sh, "rustc --print target-libdir"))?;
    let objcopy = Path::new(libdir.trim_end()).with_file_name("bin").join("rust-objcopy");
    let (tree, sysroot) = (repo.assets().join("llvm-tools"), Path::new(sysroot.trim_end()));
    let rustc = write(&tree, sysroot, &objcopy)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = [tree.join("path")].into_iter().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(all).context("the repository's path contains a colon")?;
    // A build that gets the compiler from cargo uses the real one. The script serves only a build
    // that runs "rustc" by name.
    Ok(build.env("RUSTC", rustc).env("PATH", path))
}

/// Writes the scripts for a toolchain below `tree`; returns the real compiler.
fn write(tree: &Path, sysroot: &Path, objcopy: &Path) -> Result<std::path::PathBuf> {
    ensure!(objcopy.is_file(), "the toolchain has no {}", objcopy.display());
    let rustc = sysroot.join("bin/rustc");
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    // rust-objcopy finds its libLLVM only from its own place in the toolchain.
    let (lib, own) = (quoted(&sysroot.join("lib")), quoted(&tree.join("sysroot")));
    let tool = format!("LD_LIBRARY_PATH={lib} exec {} \"$@\"", quoted(objcopy));
    let asked = "[ \"$*\" = \"--print sysroot\" ]";
    let compiler = format!("{asked} && exec printf '%s\\n' {own}\nexec {} \"$@\"", quoted(&rustc));
    for (name, text) in [
        ("sysroot/lib/rustlib/host/bin/llvm-objcopy", &tool),
        ("sysroot/lib/rustlib/host/bin/llvm-objdump", &tool),
        ("path/rustc", &compiler),
    ] {
        let (file, text) = (tree.join(name), format!("#!/bin/sh\n{text}\n"));
        // A script that did not change is not written: a build may be running it.
        if fs::read_to_string(&file).is_ok_and(|old| old == text) {
            continue;
        }
        fs::create_dir_all(file.parent().context("a script is in a directory")?)?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(rustc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_of_the_crate_llvm_tools_finds_the_toolchains_objcopy() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        // Programs that print their arguments, at a path with a quote and a space.
        let sysroot = dir.path().join("tool's chain");
        let objcopy = sysroot.join("lib/rustlib/host/bin/rust-objcopy");
        let rustc = sysroot.join("bin/rustc");
        for (program, said) in [(&rustc, "rustc $*"), (&objcopy, "objcopy $LD_LIBRARY_PATH $*")] {
            sh.write_file(program, format!("#!/bin/sh\necho \"{said}\"\n")).unwrap();
            fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let tree = dir.path().join("assets");
        assert_eq!(write(&tree, &sysroot, &objcopy).unwrap(), rustc);
        let program = tree.join("path/rustc");
        let found = command::read(cmd!(sh, "{program} --print sysroot")).unwrap();
        let said = command::read(cmd!(sh, "{program} --print target-libdir")).unwrap();
        assert_eq!(said, "rustc --print target-libdir\n");
        let bin = Path::new(found.trim_end()).join("lib/rustlib/host/bin");
        assert!(bin.join("llvm-objdump").is_file());
        let tool = bin.join("llvm-objcopy");
        let said = command::read(cmd!(sh, "{tool} --version")).unwrap();
        assert_eq!(said, format!("objcopy {} --version\n", sysroot.join("lib").display()));
    }
}
