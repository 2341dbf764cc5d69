//! `cargo xtask linux-tree`: Debian's Linux source, built with our purgatory in place of its own.
//!
//! * On entry: root and namespaces, because the build runs in a Debian of its own. What is missing
//!   is fetched and built.
//! * On exit: a kernel that verifies with our object has survived hotplug, a panic and a capture,
//!   and one with a console has refused a flipped bit. Both stay in `target/linux-tree/`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use object::{Object, ObjectSymbol};
use qemu_runner::context::{
    KernelUnderTest, LINUX_DROP_IN, LINUX_DROP_IN_RESETTING, LINUX_DROP_IN_WITH_CONSOLE,
};
use qemu_runner::{Context, built_in};
use xshell::Shell;

use super::qemu;
use crate::command;
use crate::repository::{Repository, read};
use crate::setup::apt::Release;
use crate::setup::tree::{ESSENTIAL, Tree, possible};
use crate::setup::{self, Large, Supply};

/// Where everything of this command is, relative to the repository's root.
const DIRECTORY: &str = "target/linux-tree";
/// The source, and what its build needs besides the essential packages.
const PACKAGES: [&str; 9] =
    ["linux-source-6.12", "gcc", "libc6-dev", "make", "flex", "bison", "bc", "perl", "xz-utils"];
/// Options of the kernel, with their reasons.
const CONFIG: &str = include_str!("linux_tree/kernel.config");
/// Builds one kernel for each object.
const BUILD: &str = include_str!("linux_tree/build.sh");
/// Where the script expects files and leaves results, in the tree.
const PLACE: &str = "build";
/// What is built: the object, and the name of the kernel with it.
const KERNELS: [(&str, &str); 3] = [
    (LINUX_DROP_IN, "bzImage"),
    (LINUX_DROP_IN_WITH_CONSOLE, "bzImage-console"),
    (LINUX_DROP_IN_RESETTING, "bzImage-console-reset"),
];

/// Build Debian's Linux source with our purgatory, and crash it
///
/// Downloads 250 MB of packages once. Takes root and namespaces. The kernels stay in
/// target/linux-tree/.
#[derive(clap::Args)]
pub struct Args {
    /// Only build
    #[arg(long)]
    build_only: bool,
}

impl Args {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        possible(sh).context("a Linux tree is built in a Debian of its own")?;
        qemu::prepare(sh, repo, Large { kernels: false, debian_disk: false })?;
        let directory = repo.root.join(DIRECTORY);
        let tree = unpack(sh, repo, &directory)?;
        build_kernels(sh, repo, &tree)?;
        for (object, kernel) in KERNELS {
            let built = tree.root.join(PLACE).join(kernel);
            same_symbols(&repo.root.join(object), &built.with_extension("purgatory.ro"))?;
            sh.copy_file(&built, directory.join(kernel))?;
            println!("ok: {DIRECTORY}/{kernel} has every symbol of {object}");
        }
        if self.build_only {
            return Ok(());
        }
        for (kernel, test) in [
            (KERNELS[0].1, built_in::captures as fn(&Context) -> _),
            (KERNELS[1].1, built_in::refuses),
            (KERNELS[2].1, built_in::resets),
        ] {
            let under_test = KernelUnderTest::open(&directory.join(kernel), None)?;
            let context = Context::from_repo(&repo.root, None, false)?.with_kernel(under_test);
            let outcome = test(&context).with_context(|| format!("{kernel} under QEMU"))?;
            println!("{outcome}");
        }
        Ok(())
    }
}

/// A Debian with the source and a compiler.
fn unpack(sh: &Shell, repo: &Repository, directory: &Path) -> Result<Tree> {
    let _lock = setup::lock(sh, repo)?;
    let supply = Supply::new(sh, repo);
    let apt = supply.root(Release::Guests)?;
    let packages = apt.closure(&[&[ESSENTIAL], &PACKAGES[..]].concat(), None)?;
    Tree::unpack(sh, directory.join("system"), &apt, &packages)
}

fn build_kernels(sh: &Shell, repo: &Repository, tree: &Tree) -> Result<()> {
    sh.create_dir(tree.root.join(PLACE))?;
    tree.add(sh, "build/kernel.config", CONFIG.as_bytes())?;
    tree.add(sh, "build/build.sh", BUILD.as_bytes())?;
    for (object, kernel) in KERNELS {
        tree.add(sh, &format!("{PLACE}/{kernel}.object"), &read(&repo.root.join(object))?)?;
    }
    eprintln!("  building {} kernels", KERNELS.len());
    let names = KERNELS.map(|(_, kernel)| kernel);
    command::show(tree.run(sh, "/build/build.sh").args(names)).context("the kernel was not built")
}

/// Compares the global symbols of our object and of what the kernel's rules made of it, with their
/// values and sizes.
fn same_symbols(ours: &Path, linked: &Path) -> Result<()> {
    let symbols = |path: &Path| -> Result<BTreeSet<(String, u64, u64)>> {
        let bytes = read(path)?;
        let file = object::File::parse(&*bytes)
            .with_context(|| format!("cannot read {} as an object", path.display()))?;
        let global = file.symbols().filter(|symbol| symbol.is_global());
        global
            .map(|it| Ok((it.name()?.to_owned(), it.address(), it.size())))
            .collect::<Result<_, object::Error>>()
            .with_context(|| format!("cannot read the symbols of {}", path.display()))
    };
    let (ours_has, linked_has) = (symbols(ours)?, symbols(linked)?);
    ensure!(
        ours_has == linked_has,
        "{} and {} differ in these symbols: {:?}",
        ours.display(),
        linked.display(),
        ours_has.symmetric_difference(&linked_has).collect::<Vec<_>>()
    );
    Ok(())
}
