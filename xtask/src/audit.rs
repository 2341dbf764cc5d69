//! `cargo xtask audit`: what the built purgatory and the drop-ins must satisfy, whatever the
//! compiler and the linker did.
//!
//! * On entry: `target/dist/purgatory.elf` and the drop-ins, each with its symbols beside it.
//! * On exit: a table of sizes; or every violation with its place. The audit reads the files as the
//!   loader and the CPU will, and does not trust the linker script.

mod image; // sections, segments, relocations, symbols
mod instructions; // what the CPU will execute
mod stack; // how deep the stacks can get
mod drop_in; // objects for other loaders
mod kernel_tree; // a drop-in, linked by a kernel tree's rules
pub mod reproducible; // two builds of the same source

use std::fmt::Display;
use std::path::Path;

use anyhow::{Context, Result, bail};
use loader::request::InputFile;
use xshell::Shell;

use crate::build;
use crate::build::drop_in::{DROP_INS, DropIn};
use crate::repository::{Repository, read};
use image::{MAX_FILE, MAX_LOADED};
use reproducible::What;

/// Check target/dist/purgatory.elf and the drop-ins, and print their sizes
///
/// Memory: no relocation and no undefined symbol; two segments, of which the first does not start
/// like an ELF file; room for exactly one handoff block; no initialized data; at most 52 KiB.
/// Instructions: only integer instructions where SSE may be off; CPUID, port I/O, HLT and MSR
/// access only in functions that check the block's permissions; no call chain deeper than its
/// stack. Drop-ins: also an object that the host's loaders accept, with the symbols that they
/// write, and no larger than the purgatory it replaces.
#[derive(clap::Args)]
pub struct Args {
    /// Also build a copy of the source in another directory, and compare the files
    #[arg(long, value_name = "WHAT", num_args = 0..=1, default_missing_value = "purgatories")]
    reproducible: Option<What>,
}

impl Args {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        match self.reproducible {
            Some(What::All) => build::build(sh, repo)?,
            Some(What::Purgatories) | None => build::purgatory(sh, repo)?,
        }
        audit(sh, repo)?;
        if let Some(what) = self.reproducible {
            println!("{}", reproducible::prove(sh, repo, what)?);
        }
        Ok(())
    }
}

/// Audits what was built. Returns a line with the purgatory's size in memory, without the leaf
/// table.
pub fn audit(sh: &Shell, repo: &Repository) -> Result<String> {
    let file = repo.purgatory_debug();
    let bytes = read(&file)?;
    let image = parse(&file, &bytes)?;
    let mut faults = image.faults();
    for (name, bytes) in image.sizes() {
        println!("{name:<24} {bytes:>6} bytes");
    }
    println!("{:<24} {:>6} bytes of {} allowed", "loaded", image.loaded_size(), MAX_LOADED);
    let len = read(&repo.purgatory_elf())?.len() as u64;
    println!("{:<24} {len:>6} bytes of {MAX_FILE} allowed", "file");
    if len > MAX_FILE {
        faults.push(format!(
            "{} has {len} bytes, {MAX_FILE} are allowed",
            repo.purgatory_elf().display()
        ));
    }
    let (executed, depths) = execution_faults(&image);
    faults.extend(executed);
    // Only the purgatory has a guard. Drop-ins have none.
    let deepest = image.storys_stack().zip(depths.first());
    faults.extend(deepest.and_then(|(stack, deepest)| stack::guards_page_fault(&stack, deepest)));
    conclude(file.display(), faults)?;
    DROP_INS.iter().try_for_each(|drop_in| audit_drop_in(repo, drop_in))?;
    let in_a_tree = kernel_tree::faults(sh, repo, &DROP_INS[0])?;
    conclude(
        format!("{}, linked by a kernel tree's rules,", DROP_INS[0].object(repo).display()),
        in_a_tree,
    )?;
    Ok(format!("purgatory: {} of {MAX_LOADED} bytes loaded", image.loaded_size()))
}

/// Audits the object as its loaders will read it, and the program behind it as the CPU will execute
/// it.
fn audit_drop_in(repo: &Repository, drop_in: &DropIn) -> Result<()> {
    let (object, program) = (drop_in.object(repo), drop_in.debug(repo));
    let bytes = read(&object)?;
    println!("{:<24} {:>6} bytes of {} allowed", drop_in.program, bytes.len(), drop_in.max_file);
    let unreadable = || format!("cannot read {} as an object", object.display());
    let mut faults = drop_in::faults(&bytes, drop_in).with_context(unreadable)?;
    let linked = read(&program)?;
    let image = parse(&program, &linked)?;
    if faults.is_empty() {
        let file = InputFile { path: object.clone(), bytes };
        faults = drop_in::binding_faults(&file, drop_in, &image).with_context(unreadable)?;
    }
    conclude(object.display(), faults)?;
    conclude(program.display(), [image.unresolved(), execution_faults(&image).0].concat())
}

/// Violations in executed code, and the depths of the stacks: the main one, then the exceptions'.
fn execution_faults(image: &image::Image<'_>) -> (Vec<String>, Vec<stack::Depth>) {
    let mut faults = instructions::faults(&image.code);
    let (depths, too_deep) = stack::depths(&image.code, image.stacks());
    faults.extend(too_deep);
    for stack::Depth { stack, bytes, room } in &depths {
        println!("{stack:<24} {bytes:>6} bytes of {room}, at worst");
    }
    (faults, depths)
}

fn parse<'data>(file: &Path, bytes: &'data [u8]) -> Result<image::Image<'data>> {
    image::Image::parse(bytes).with_context(|| format!("cannot read {} as ELF", file.display()))
}

fn conclude(what: impl Display, faults: Vec<String>) -> Result<()> {
    if !faults.is_empty() {
        bail!("{what} violates its rules:\n  {}", faults.join("\n  "));
    }
    println!("audit: {what} follows its rules");
    Ok(())
}
