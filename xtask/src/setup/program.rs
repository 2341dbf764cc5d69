//! Programs of the guests' user space: the program, its ELF interpreter, and every shared library
//! that it names.
//!
//! * On entry: a package name.
//! * On exit: which file goes to which path of the guest. All files come from one Debian release,
//!   libc included, whatever this machine has. The list follows the ELF files, not the packages'
//!   dependencies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use object::elf::FileHeader64;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, elf};
use qemu_runner::assets::{GuestProgram, Ovmf};

use super::Supply;
use super::apt::Release;

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

pub fn get(supply: &Supply<'_>, tree: &Path, package: &str, program: &str) -> Result<GuestProgram> {
    get_from(supply, Release::Guests, tree, package, program)
}

/// The same from another release.
pub fn get_from(
    supply: &Supply<'_>,
    release: Release,
    tree: &Path,
    package: &str,
    program: &str,
) -> Result<GuestProgram> {
    let version = unpack(supply, release, tree, package)?;
    in_tree(tree, &version, program)
}

/// A program of an unpacked tree, and every file that it needs.
pub fn in_tree(tree: &Path, version: &str, program: &str) -> Result<GuestProgram> {
    let program = find(tree, &PROGRAMS, program)
        .with_context(|| format!("{version} contains no program {program}"))?;
    let mut files = BTreeMap::new();
    collect(tree, &program, &mut files)?;
    Ok(GuestProgram { version: version.to_owned(), files, program })
}

pub fn busybox(supply: &Supply<'_>, tree: &Path) -> Result<PathBuf> {
    let busybox = get(supply, tree, "busybox-static", "busybox")?;
    ensure!(busybox.files.len() == 1, "{} is not static: {:?}", busybox.version, busybox.files);
    Ok(busybox.files[&busybox.program].clone())
}

pub fn ovmf(supply: &Supply<'_>, tree: &Path) -> Result<Ovmf> {
    let version = unpack(supply, Release::Guests, tree, "ovmf")?;
    // 4M is the flash size of today's builds. Under the Secure Boot variant, kernels reject
    // kexec_load.
    let flash = |name: &str| {
        resolve(tree, &Path::new("/usr/share/OVMF").join(name))
            .with_context(|| format!("{version} contains no {name}"))
    };
    Ok(Ovmf { code: flash("OVMF_CODE_4M.fd")?, vars: flash("OVMF_VARS_4M.fd")? })
}

/// Unpacks a package with its dependencies; returns `name=version`.
fn unpack(supply: &Supply<'_>, release: Release, tree: &Path, package: &str) -> Result<String> {
    let root = supply.root(release)?;
    let packages = root.closure(&[package], None)?;
    root.unpack(&packages, tree)?;
    let own = packages.iter().find(|other| other.name == package);
    Ok(own.with_context(|| format!("apt does not plan {package}"))?.spec())
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
        let name = Path::new(&found).file_name();
        if !files.keys().any(|path| Path::new(path).file_name() == name) {
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
        for entry in entries.iter().filter(|entry| entry.d_tag(endian) == elf::DT_NEEDED) {
            needs.libraries.push(text(entry.string(endian, strings)?));
        }
    }
    Ok(needs)
}

/// The guest's path of `name` in one of `directories`.
fn find(tree: &Path, directories: &[&str], name: &str) -> Option<String> {
    let mut paths = directories.iter().map(|dir| format!("{dir}/{name}"));
    paths.find(|path| tree.join(&path[1..]).symlink_metadata().is_ok())
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
            [inside, merged].into_iter().find(|path| tree.join(path).symlink_metadata().is_ok())?;
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

    #[test]
    fn links_are_followed_inside_the_tree() {
        let tree = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
        let lib = tree.path().join("usr/lib/x86_64-linux-gnu");
        std::fs::create_dir_all(&lib).unwrap();
        std::fs::create_dir_all(tree.path().join("usr/lib64")).unwrap();
        std::fs::write(lib.join("ld.so"), "").unwrap();
        let link = |to: &str, name: &str| symlink(to, tree.path().join(name)).unwrap();
        link("/lib/x86_64-linux-gnu/ld.so", "usr/lib64/ld-linux.so.2");
        link("b", "a");
        link("a", "b");
        let resolved = |path: &str| resolve(tree.path(), Path::new(path));
        assert_eq!(resolved("/lib64/ld-linux.so.2"), Some(lib.join("ld.so")));
        assert_eq!((resolved("/lib64/absent.so"), resolved("/a")), (None, None));
    }
}
