//! Programs of the guests' user space: the program, its ELF interpreter, and every shared library
//! that it names.
//!
//! * On entry: a package name.
//! * On exit: which file goes to which path of the guest. All files come from one Debian release,
//!   libc included, whatever this machine has. The list follows the ELF files, not the packages'
//!   dependencies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::elf::FileHeader64;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, elf};
use qemu_runner::assets::{GuestProgram, Ovmf};

use crate::setup::apt::root::Package;
use crate::setup::apt::suites::Purpose;
use crate::setup::supply::{Found, Supply};

/// The default search path of Debian's ld.so (ld.so(8), multiarch), and the DT_RUNPATH of systemd's
/// programs.
const LIBRARIES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/x86_64-linux-gnu/systemd",
];
/// The directories of programs.
const PROGRAMS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// Fetches `program` of `package` and every file that it needs.
pub fn get(
    supply: &Supply<'_>,
    tree: &Path,
    package: &str,
    program: &str,
) -> Result<Found<GuestProgram>> {
    let root = supply.root(Purpose::Guests)?;
    if root.newest(package, |_| true)?.is_none() {
        return Ok(Found::missing(format!("no package {package} in the archive's index")));
    }
    // Other dependencies (perl, debconf) are for maintainer scripts, which never run here.
    let wanted = |p: &Package| p.name == package || p.section == "libs";
    let packages: Vec<Package> =
        root.closure(&[package], None)?.into_iter().filter(wanted).collect();
    supply.unpack(&root, &packages, tree)?;
    let program = find(tree, &PROGRAMS, program)
        .with_context(|| format!("{package} contains no program {program}"))?;
    let version =
        packages.iter().find(|p| p.name == package).map(Package::spec).unwrap_or_default();
    Ok(Found::present(with_libraries(tree, program, version.clone())?, vec![version]))
}

/// Another program of the package of `first`, in the same tree.
pub fn another(tree: &Path, first: &GuestProgram, program: &str) -> Result<GuestProgram> {
    let path = find(tree, &PROGRAMS, program)
        .with_context(|| format!("{} contains no program {program}", first.version))?;
    with_libraries(tree, path, first.version.clone())
}

/// The program at the guest's path `program`, and every file that it needs.
fn with_libraries(tree: &Path, program: String, version: String) -> Result<GuestProgram> {
    let mut files = BTreeMap::new();
    collect(tree, &program, &mut files)?;
    Ok(GuestProgram { version, files, program })
}

/// Fetches the static busybox.
pub fn busybox(supply: &Supply<'_>, tree: &Path) -> Result<Found<PathBuf>> {
    let root = supply.root(Purpose::Guests)?;
    let package = root
        .newest("busybox-static", |_| true)?
        .context("no package busybox-static in the archive's index")?;
    supply.unpack(&root, std::slice::from_ref(&package), tree)?;
    let path = find(tree, &PROGRAMS, "busybox").context("busybox-static contains no busybox")?;
    let mut files = BTreeMap::new();
    collect(tree, &path, &mut files)?;
    if files.len() != 1 {
        bail!("busybox of {} is not static: it needs {:?}", package.spec(), files.keys());
    }
    let file = files.remove(&path).context("busybox is among its own files")?;
    Ok(Found::present(file, vec![package.spec()]))
}

/// Fetches the EFI firmware.
pub fn ovmf(supply: &Supply<'_>, tree: &Path) -> Result<Found<Ovmf>> {
    let root = supply.root(Purpose::Guests)?;
    let Some(package) = root.newest("ovmf", |_| true)? else {
        return Ok(Found::missing("no package ovmf in the archive's index".into()));
    };
    supply.unpack(&root, std::slice::from_ref(&package), tree)?;
    // 4M is the flash size of today's builds. Under the Secure Boot variant, kernels reject
    // kexec_load.
    let flash = |name: &str| {
        resolve(tree, &Path::new("/usr/share/OVMF").join(name))
            .with_context(|| format!("{} contains no {name}", package.spec()))
    };
    let firmware = Ovmf { code: flash("OVMF_CODE_4M.fd")?, vars: flash("OVMF_VARS_4M.fd")? };
    Ok(Found::present(firmware, vec![package.spec()]))
}

/// Adds the file at the guest's `path` and every file that it needs.
fn collect(tree: &Path, path: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    if files.contains_key(path) {
        return Ok(());
    }
    let file = resolve(tree, Path::new(path))
        .with_context(|| format!("{path} is in none of the packages"))?;
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let needs = needs(&bytes).with_context(|| format!("cannot read {} as ELF", file.display()))?;
    files.insert(path.to_string(), file);
    if let Some(interpreter) = needs.interpreter {
        collect(tree, &interpreter, files)?;
    }
    for library in needs.libraries {
        let found = find(tree, &LIBRARIES, &library)
            .with_context(|| format!("{path} needs {library}, which is in none of the packages"))?;
        // libc names the interpreter as a library. One copy, at the path that programs name, is
        // enough.
        let already =
            files.keys().any(|k| Path::new(k).file_name() == Path::new(&found).file_name());
        if !already {
            collect(tree, &found, files)?;
        }
    }
    Ok(())
}

/// The files that an ELF file names.
struct Needs {
    interpreter: Option<String>,
    libraries: Vec<String>,
}

fn needs(bytes: &[u8]) -> Result<Needs> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut needs = Needs { interpreter: None, libraries: Vec::new() };
    for segment in header.program_headers(endian, bytes)? {
        needs.interpreter = segment.interpreter(endian, bytes)?.map(text).or(needs.interpreter);
    }
    let sections = header.sections(endian, bytes)?;
    if let Some((entries, link)) = sections.dynamic(endian, bytes)? {
        let strings = sections.strings(endian, bytes, link)?;
        for entry in entries.iter().filter(|e| e.d_tag(endian) == elf::DT_NEEDED) {
            needs.libraries.push(text(entry.string(endian, strings)?));
        }
    }
    Ok(needs)
}

/// The guest's path of `name` in one of `directories`.
fn find(tree: &Path, directories: &[&str], name: &str) -> Option<String> {
    directories
        .iter()
        .map(|dir| format!("{dir}/{name}"))
        .find(|path| tree.join(&path[1..]).symlink_metadata().is_ok())
}

/// The file at the guest's `path` in an unpacked tree. Symbolic links are followed inside the tree.
/// A path below /bin or /lib is also looked for below /usr.
fn resolve(tree: &Path, path: &Path) -> Option<PathBuf> {
    /// More than any chain of links in a package.
    const MAX_LINKS: usize = 8;
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let inside = path.strip_prefix("/").unwrap_or(&path).to_path_buf();
        let merged = Path::new("usr").join(&inside);
        let found =
            [inside, merged].into_iter().find(|p| tree.join(p).symlink_metadata().is_ok())?;
        let file = tree.join(&found);
        match file.read_link() {
            Ok(target) => path = Path::new("/").join(found).parent()?.join(target),
            Err(_) => return file.canonicalize().ok().filter(|file| file.is_file()),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use xshell::Shell;

    #[test]
    fn links_are_followed_inside_the_tree() {
        let tree = Shell::new().unwrap().create_temp_dir().unwrap();
        let lib = tree.path().join("usr/lib/x86_64-linux-gnu");
        std::fs::create_dir_all(&lib).unwrap();
        std::fs::create_dir_all(tree.path().join("usr/lib64")).unwrap();
        std::fs::write(lib.join("ld.so"), "").unwrap();
        symlink("/lib/x86_64-linux-gnu/ld.so", tree.path().join("usr/lib64/ld-linux.so.2"))
            .unwrap();
        assert_eq!(
            resolve(tree.path(), Path::new("/lib64/ld-linux.so.2")),
            Some(lib.join("ld.so"))
        );
        assert_eq!(resolve(tree.path(), Path::new("/lib64/absent.so")), None);
    }

    #[test]
    fn a_cycle_of_links_has_no_file() {
        let tree = Shell::new().unwrap().create_temp_dir().unwrap();
        symlink("b", tree.path().join("a")).unwrap();
        symlink("a", tree.path().join("b")).unwrap();
        assert_eq!(resolve(tree.path(), Path::new("/a")), None);
    }

    #[test]
    fn this_test_program_names_its_interpreter_and_libc() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&own).unwrap();
        assert!(needs.interpreter.is_some_and(|i| i.starts_with("/lib")));
        assert!(needs.libraries.iter().any(|l| l.starts_with("libc.so")), "{:?}", needs.libraries);
    }
}
