//! `cargo xtask linux-tree`: Debian's sources of Linux and kexec-tools, built with our purgatory in
//! place of theirs, by the recipes of docs/linux-purgatory.md.
//!
//! * On entry: root and namespaces, because the build runs in a Debian of its own. What is missing
//!   is fetched and built.
//! * On exit: machines armed by the new kernel's loader, and by the new kexec, have survived
//!   hotplug, a panic and a capture, and have refused a flipped bit. Kernels and kexec stay in
//!   `target/linux-tree/`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use object::{Object, ObjectSymbol};
use qemu_runner::context::{
    KEXEC_TOOLS_DROP_IN, KernelUnderTest, LINUX_DROP_IN, LINUX_DROP_IN_RESETTING,
    LINUX_DROP_IN_WITH_CONSOLE,
};
use qemu_runner::{Context, Error, Outcome, built_in};
use xshell::Shell;

use super::qemu;
use crate::command;
use crate::repository::{Repository, read};
use crate::setup::apt::Release;
use crate::setup::tree::{ESSENTIAL, Tree, possible};
use crate::setup::{self, Large, Supply, program};

/// Where everything of this command is, relative to the repository's root.
const DIRECTORY: &str = "target/linux-tree";
/// Linux's source, and what both builds need besides the essential packages.
const PACKAGES: [&str; 13] = [
    "linux-source-6.12",
    "gcc",
    "libc6-dev",
    "make",
    "flex",
    "bison",
    "bc",
    "libelf-dev",
    "perl",
    "xz-utils",
    // Only kexec-tools.
    "dpkg-dev",
    "pkgconf",
    "zlib1g-dev",
];
/// Where the scripts expect files and leave results, in the tree.
const PLACE: &str = "build";
/// What the scripts are, and read.
const FILES: [(&str, &str); 3] = [
    ("linux.sh", include_str!("linux_tree/linux.sh")),
    ("kernel.config", include_str!("linux_tree/kernel.config")),
    ("kexec-tools.sh", include_str!("linux_tree/kexec-tools.sh")),
];
/// The source of kexec-tools, in the same place.
const KEXEC_TOOLS: &str = "kexec-tools-source";

/// One crash.
type Test = fn(&Context) -> Result<Outcome, Error>;
/// The kernels: the object in each, its file's name, and what is tried with it.
const KERNELS: [(&str, &str, Test); 3] = [
    (LINUX_DROP_IN, "bzImage", built_in::kernel_captures),
    (LINUX_DROP_IN_WITH_CONSOLE, "bzImage-console", built_in::kernel_refuses),
    (LINUX_DROP_IN_RESETTING, "bzImage-console-reset", built_in::kernel_resets),
];
/// kexec-tools' program.
const KEXEC: &str = "kexec";
const KEXEC_TESTS: [Test; 2] = [built_in::kexec_captures, built_in::kexec_refuses];

/// Build Linux and kexec-tools from Debian's sources with our purgatory, and crash machines with
/// them
///
/// Downloads 250 MB once. Takes root and namespaces. What is built stays in target/linux-tree/.
#[derive(clap::Args)]
pub struct Args {
    /// Only build
    #[arg(long)]
    build_only: bool,
}

impl Args {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        possible(sh).context("the sources are built in a Debian of their own")?;
        qemu::prepare(sh, repo, Large { kernels: true, debian_disk: false })?;
        let directory = repo.root.join(DIRECTORY);
        let tree = unpack(sh, repo, &directory)?;
        build(sh, repo, &tree)?;
        for (object, kernel, _) in KERNELS {
            let built = tree.root.join(PLACE).join(kernel);
            same_symbols(&repo.root.join(object), &built.with_extension("purgatory.ro"))?;
            sh.copy_file(&built, directory.join(kernel))?;
            println!("ok: {DIRECTORY}/{kernel} has every symbol of {object}");
        }
        sh.copy_file(tree.root.join(PLACE).join(KEXEC), directory.join(KEXEC))?;
        if self.build_only {
            return Ok(());
        }
        let context = || Context::from_repo(&repo.root, None, false).map_err(explain);
        for (_, kernel, test) in KERNELS {
            let kernel = KernelUnderTest::open(&directory.join(kernel), None).map_err(explain)?;
            println!("{}", test(&context()?.with_kernel(kernel)).map_err(explain)?);
        }
        let kexec = program::in_tree(&tree.root, "kexec-tools, built with ours", KEXEC)?;
        for test in KEXEC_TESTS {
            println!("{}", test(&context()?.with_kexec(kexec.clone())).map_err(explain)?);
        }
        Ok(())
    }
}

/// A Debian with the sources and a compiler.
fn unpack(sh: &Shell, repo: &Repository, directory: &Path) -> Result<Tree> {
    let _lock = setup::lock(sh, repo)?;
    let supply = Supply::new(sh, repo);
    let apt = supply.root(Release::Guests)?;
    let packages = apt.closure(&[&[ESSENTIAL], &PACKAGES[..]].concat(), None)?;
    let tree = Tree::unpack(sh, directory.join("system"), &apt, &packages)?;
    let place = tree.root.join(PLACE);
    supply.root(Release::GuestSources)?.source("kexec-tools", &place.join(KEXEC_TOOLS))?;
    Ok(tree)
}

fn build(sh: &Shell, repo: &Repository, tree: &Tree) -> Result<()> {
    for (name, text) in FILES {
        tree.add(sh, &format!("{PLACE}/{name}"), text.as_bytes())?;
    }
    let kexec = (KEXEC_TOOLS_DROP_IN, KEXEC);
    for (object, name) in KERNELS.map(|(object, kernel, _)| (object, kernel)).iter().chain([&kexec])
    {
        tree.add(sh, &format!("{PLACE}/{name}.object"), &read(&repo.root.join(object))?)?;
    }
    eprintln!("  building kexec-tools");
    command::show(tree.run(sh, "/build/kexec-tools.sh")).context("kexec-tools was not built")?;
    // Where programs are found.
    sh.copy_file(tree.root.join(PLACE).join(KEXEC), tree.root.join("usr/sbin").join(KEXEC))?;
    eprintln!("  building {} kernels", KERNELS.len());
    let names = KERNELS.map(|(_, kernel, _)| kernel);
    command::show(tree.run(sh, "/build/linux.sh").args(names)).context("Linux was not built")
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

/// The runner's error with all its causes.
fn explain(error: Error) -> anyhow::Error {
    anyhow!("{}", error.chain())
}
